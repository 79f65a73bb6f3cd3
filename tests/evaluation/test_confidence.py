"""Confidence: a probability that means what it says, kept in the bundle, for each nucleus."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_llcm.cli.app import app
from napari_llcm.evaluation.assessment import trusting
from napari_llcm.evaluation.confidence_fit import Measured, fit
from napari_llcm.evaluation.evaluating import evaluate_pair
from napari_llcm.evaluation.reliability import abstention, calibration_error, scores
from napari_llcm.events import Notice, UserError, result_of
from napari_llcm.models import find_model, load_bundle, load_model, save_bundle
from napari_llcm.nuclei import make_segmenter, segment
from napari_llcm.nuclei.confidence import assess
from napari_llcm.nuclei.features import PHASE, SPREAD, STAIN, faint_places, measure
from napari_llcm.nuclei.finding import find_nuclei
from napari_llcm.specimen import make_specimen, write_specimens
from napari_llcm.staining import StainOptions
from napari_llcm.staining.views import stain_views
from napari_llcm.volumes import Volume, find_pairs, write


def simulated(fields: int, seed: int = 0) -> list[Measured]:
    """Return nuclei of which brighter ones are more likely real, the phase telling nothing."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(fields):
        features = {name: rng.normal(size=120) for name in STAIN + PHASE}
        likely = 1 / (1 + np.exp(-2 * features["mean"] - 1))
        made.append(Measured(features, rng.random(120) < likely))
    return made


@pytest.mark.versions
def test_a_fit_says_what_is_true_on_fields_that_it_has_not_seen() -> None:
    confidence = fit(simulated(8), simulated(8, 1))
    assert confidence.estimator == "stain"  # the cheaper one: the phase adds nothing here
    fresh = simulated(20, 2)
    said = np.concatenate([confidence.nuclei.probability(m.features) for m in fresh])
    real = np.concatenate([m.real for m in fresh])
    assert calibration_error(said, real) < 0.04
    assert said[real].mean() > said[~real].mean() + 0.2
    # an overconfident one is told from it
    assert calibration_error(np.where(said > 0.5, 1.0, 0.0), real) > 0.1


def test_confidence_that_tells_nothing_gains_nothing() -> None:
    rng = np.random.default_rng(0)
    said = rng.uniform(0.2, 1, 4000)
    real = rng.random(4000) < said
    useful, constant = scores(said, real), scores(np.full(4000, real.mean()), real)
    assert constant["information_gain"] == pytest.approx(0, abs=1e-3)
    assert 0.05 < useful["information_gain"] < 1  # bits for each nucleus
    assert scores(1 - said, real)["information_gain"] < 0  # misleading is worse than nothing
    # leaving out what is trusted least raises the share of real ones, to that of all at the end
    kept = abstention(said, real)
    assert kept[400] > kept[2000] > kept[-1] == pytest.approx(real.mean())
    assert useful["trusted_half"] == pytest.approx(kept[1999])


def test_fields_without_nuclei_do_not_end_a_fit() -> None:
    none = Measured({name: np.zeros(0) for name in STAIN + PHASE}, np.zeros(0, bool))
    fields = [*simulated(2), none, none]
    assert fit(fields, fields).count == 240
    with pytest.raises(UserError, match="two pairs with nuclei"):
        fit([*simulated(1), none], [none, none])


def test_too_few_nuclei_are_refused_in_words() -> None:
    few = [Measured(m.features, np.ones(120, bool)) for m in simulated(3)]
    with pytest.raises(UserError, match="too few"):
        fit(few, few)


def test_features_tell_bright_from_faint_and_faint_places_lie_outside_of_nuclei() -> None:
    specimen = make_specimen((16, 64, 64), 3, "easy")
    labels = specimen.labels.numpy().astype(int)
    one = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    hidden = np.where(labels == one, 0, labels)  # as if the segmenter had not found it
    ids, features = measure(
        hidden, specimen.dapi.numpy(), specimen.qpi.numpy(), specimen.qpi.spacing
    )
    assert set(features) == set(STAIN + PHASE)
    assert list(ids) == [i for i in np.unique(labels) if i not in (0, one)]
    assert all(np.isfinite(v).all() for v in features.values())
    assert (features["contrast"] > 0).mean() > 0.9
    places = faint_places(hidden, specimen.dapi.numpy(), specimen.dapi.spacing, 7.0)
    assert not np.any(places[hidden > 0])
    assert np.any(places[labels == one])


def test_flipped_views_of_a_field_differ_little_where_the_model_is_sure() -> None:
    specimen = make_specimen((16, 64, 64), 3, "easy")
    job = stain_views(specimen.qpi, load_model(None), StainOptions(device="cpu"))
    value = None
    while True:
        try:
            next(job)
        except StopIteration as stopped:
            value = stopped.value
            break
    assert value is not None
    stain, spread = value
    assert spread.shape == stain.shape == specimen.qpi.shape
    assert 0 < float(spread.mean()) < float(np.ptp(stain.numpy()))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the shipped model without its confidence."""
    folder = tmp_path / "models" / "copy"
    bundle = load_bundle(find_model(None))
    info = bundle.info.model_copy(update={"confidence": None})
    return save_bundle(folder, info, bundle.networks)


@pytest.mark.slow
def test_calibrating_a_model_keeps_the_confidence_in_its_bundle(
    model: Path, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs"
    result_of(write_specimens(pairs, 8, (20, 88, 88), 700, "varied"))
    # far more noise than a model was made for, so that the best one makes up enough to learn from
    rng = np.random.default_rng(0)
    for pair in find_pairs(pairs):
        qpi = pair.read()[0]
        noise = rng.normal(scale=0.2 * qpi.numpy().std(), size=qpi.shape)
        write(pair.qpi, qpi.replace(data=qpi.numpy() + noise.astype(np.float32)), overwrite=True)
    arguments = ["model", "calibrate", str(model), "--pairs", str(pairs)]
    diagram = tmp_path / "reliability.png"
    arguments += ["--segmenter", "classical", "--device", "cpu", "--diagram", str(diagram)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "(chosen)" in done.output
    bundle = load_bundle(model)
    confidence = bundle.info.confidence
    assert confidence is not None
    assert sum(b.nuclei for b in confidence.reliability) == confidence.count
    assert diagram.stat().st_size > 1000
    assert {"stain", "stain and phase", "seeds alone", "views alone"} <= set(confidence.compared)
    specimen = make_specimen((20, 88, 88), 800, "medium")
    job = evaluate_pair(
        "field",
        specimen.qpi,
        specimen.dapi,
        bundle,
        segmenter=make_segmenter("classical"),
        device="cpu",
    )
    evaluation = None
    while True:
        try:
            next(job)
        except StopIteration as stopped:
            evaluation = stopped.value
            break
    assert evaluation is not None
    rows = [r for r in evaluation.comparison.table if r["verdict"] == "found"]
    assert rows
    assert all(0 < r["confidence"] < 1 for r in rows)
    missed = [r for r in evaluation.comparison.table if r["verdict"] == "missed"]
    assert all(r["confidence"] is None for r in missed)


def test_a_nucleus_can_be_assessed_without_any_truth(model: Path) -> None:
    confidence = fit(simulated(6), simulated(6, 1))
    specimen = make_specimen((16, 64, 64), 5, "easy")
    labels = segment(specimen.dapi, "classical")
    assessed = assess(confidence, labels, specimen.dapi, specimen.qpi)
    assert set(assessed.confidence) == set(np.unique(labels.numpy())) - {0}
    assert all(0 <= p <= 1 for p in assessed.confidence.values())
    assert [r["confidence"] for r in assessed.faint] == sorted(
        (r["confidence"] for r in assessed.faint), reverse=True
    )
    assert set(SPREAD).isdisjoint(confidence.nuclei.features)


def test_the_command_tells_which_nuclei_to_trust_without_a_truth(
    model: Path, tmp_path: Path
) -> None:
    bundle = load_bundle(model)
    confidence = fit(simulated(6), simulated(6, 1))
    info = bundle.info.model_copy(update={"confidence": confidence})
    save_bundle(tmp_path / "calibrated", info, bundle.networks)
    specimen = make_specimen((16, 64, 64), 5, "easy")
    for name, volume in (("qpi", specimen.qpi), ("stain", specimen.dapi)):
        write(tmp_path / f"{name}.ome.tif", volume)
    arguments = ["nuclei", "--stain", str(tmp_path / "stain.ome.tif"), "--out", str(tmp_path / "o")]
    phase = ["--qpi", str(tmp_path / "qpi.ome.tif"), "--segmenter", "classical"]
    trusted = [*arguments, *phase, "--model", str(tmp_path / "calibrated")]
    done = CliRunner().invoke(app, trusted)
    assert done.exit_code == 0, done.output
    with (tmp_path / "o" / "nuclei.csv").open() as file:
        said = [float(row["confidence"]) for row in csv.DictReader(file)]
    assert said == sorted(said, reverse=True)
    assert (tmp_path / "o" / "probably_missed.csv").exists()
    for wrong, words in (
        (arguments, "Give --truth"),
        ([*arguments, *phase, "--model", str(model)], "does not know how far"),
    ):
        refused = CliRunner().invoke(app, wrong)
        assert isinstance(refused.exception, UserError)
        assert words in str(refused.exception)


def test_pairs_for_calibration_are_several(model: Path, tmp_path: Path) -> None:
    result_of(write_specimens(tmp_path / "one", 1, (16, 48, 48), 1, "easy"))
    done = CliRunner().invoke(
        app, ["model", "calibrate", str(model), "--pairs", str(tmp_path / "one")]
    )
    assert done.exit_code != 0
    assert isinstance(done.exception, UserError)
    assert find_pairs(tmp_path / "one")


def test_a_stack_on_another_grid_gives_no_confidence_and_that_is_told() -> None:
    """Features are lengths: of voxels of another size they would be wrong without a word."""
    specimen = make_specimen((16, 64, 64), 5, "easy")
    stain = specimen.dapi.replace(metadata={"model": load_model(None).info.name})

    def told(qpi: Volume) -> tuple[list[str], list[Any]]:
        """Return what is said, and the confidences."""
        job = trusting(find_nuclei(stain, segmenter="classical"), qpi, stain, device="cpu")
        events = list(job)
        said = [e.text for e in events if isinstance(e, Notice)]
        return said, [row["confidence"] for row in events[-1].value.table]

    as_it_is = told(specimen.qpi)[1]
    assert all(isinstance(c, float) for c in as_it_is)
    said, silent = told(specimen.qpi.replace(spacing=None))
    assert silent == pytest.approx(as_it_is)
    assert any("does not tell its voxel size" in text for text in said)
    said, other = told(specimen.qpi.replace(spacing=(0.8, 0.1, 0.1)))
    assert other == [None] * len(as_it_is)
    assert any("have no confidence" in text for text in said)
