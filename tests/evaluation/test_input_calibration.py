"""Which stacks a model can read is learned from pairs and kept; confidence goes by it."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_llcm.cli import main
from napari_llcm.evaluation.confidence_fit import STACK
from napari_llcm.evaluation.confidence_fit import Measured as Nuclei
from napari_llcm.evaluation.confidence_fit import fit as fit_confidence
from napari_llcm.evaluation.familiarity_fit import Known, fit, left_out
from napari_llcm.evaluation.trust import unsure, withheld
from napari_llcm.events import UserError, result_of
from napari_llcm.models import load_bundle, load_model
from napari_llcm.models.familiarity import LIKE, READABLE, Verdict
from napari_llcm.nuclei.features import PHASE, STAIN
from napari_llcm.specimen import make_specimen
from napari_llcm.staining.check_input import check_input
from napari_llcm.staining.looking import StackFeatures
from napari_llcm.volumes import read, write


def stacks(count: int = 60, seed: int = 0) -> list[Known]:
    """Stacks of four families whose F1 a few features tell, behind noise."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        hidden = float(rng.normal())
        features = {
            name: hidden * k + 0.2 * float(rng.normal()) for k, name in enumerate("abcd", 1)
        }
        channels = hidden + 0.3 * rng.normal(size=16)
        f1 = 1 / (1 + np.exp(-2 * hidden))
        made.append(Known(StackFeatures(features, channels), f1, "NEWS"[number % 4]))
    return made


def test_the_expected_f1_is_right_on_families_left_out() -> None:
    known = stacks()
    familiarity = fit(known)
    assert familiarity.figures["auc"] > 0.95
    assert familiarity.figures["error"] < 0.1
    f1 = np.array([s.f1 for s in known])
    assert np.corrcoef(left_out(known), f1)[0, 1] > 0.95


def test_far_from_all_that_is_known_nothing_is_expected() -> None:
    familiarity = fit(stacks())
    good = {"a": 2.0, "b": 4.0, "c": 6.0, "d": 8.0}
    usual = {**good, **familiarity.encoded.features(np.full(16, 2.0))}  # type: ignore[union-attr]
    assert familiarity.expected(usual) > LIKE
    # as good by each feature alone, but no stack has such features together
    strange = {**usual, "a": -8.0, "b": 16.0, "c": -24.0, "d": 32.0}
    assert familiarity.expected(strange) < READABLE
    absurd = {name: 1e6 * (-1) ** k for k, name in enumerate(familiarity.features)}
    assert familiarity.expected(absurd) < READABLE


def test_what_cannot_be_fitted_is_said() -> None:
    with pytest.raises(UserError, match="too few"):
        fit(stacks(8))
    alike = [Known(s.measured, 0.9, s.family) for s in stacks()]
    with pytest.raises(UserError, match="on every stack"):
        fit(alike)


def test_confidence_by_the_stack_is_right_where_the_stain_alone_is_not() -> None:
    """Nuclei that look alike are real in one family and made up in another."""
    rng = np.random.default_rng(0)
    fields, families = [], []
    for number in range(40):
        share = (0.95, 0.8, 0.5, 0.15)[number % 4]
        real = rng.random(60) < share
        features = {n: rng.normal(size=60) + 0.3 * real for n in (*STAIN, *PHASE)}
        said = np.clip(share + 0.05 * rng.normal(), 0.02, 0.98)
        features[STACK] = np.full(60, np.log(said / (1 - said)))
        fields.append(Nuclei(features, real))
        families.append(str(number // 4 % 5))
    confidence = fit_confidence(fields, fields, families)
    assert confidence.minds_the_stack
    alone = confidence.compared["stain"]["log_loss"]
    assert confidence.compared[confidence.estimator]["log_loss"] < 0.8 * alone
    assert confidence.compared[confidence.estimator]["ece"] < 0.06


def test_confidence_is_withheld_where_it_means_nothing() -> None:
    model = load_model("specimen-v6", "cpu")
    nothing = Verdict(value="unreadable", model="m", f1=0.1, reasons=("it is noise",))
    assert "no confidence" in withheld(nothing)
    assert "It is noise" in withheld(nothing)
    unlike = Verdict(value="unlike", model="m", f1=0.5)
    assert not withheld(unlike)
    assert bool(unsure(unlike, model)) == (not model.info.confidence.minds_the_stack)  # type: ignore[union-attr]


def test_old_bundles_load_and_a_fit_survives_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(load_model("specimen-v6", "cpu").source, folder)
    said = json.loads((folder / "model.json").read_text())
    assert load_bundle(folder).info.familiarity is not None
    del said["familiarity"]
    (folder / "model.json").write_text(json.dumps(said))
    assert load_bundle(folder).info.familiarity is None


@pytest.mark.slow
def test_the_command_learns_it_from_pairs_and_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Specimens that the model stains well, and the same truth with noise in place of the stack."""
    folder = tmp_path / "mine"
    shutil.copytree(load_model("specimen-v6", "cpu").source, folder)
    info = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**info, "familiarity": None}))
    for seed in range(6):
        specimen = make_specimen(size=(16, 64, 64), seed=seed, difficulty="easy")
        noise = np.random.default_rng(seed).standard_normal((16, 64, 64)).astype(np.float32)
        for kind, stack in (("own", specimen.qpi), ("noise", specimen.qpi.replace(data=noise))):
            write(tmp_path / kind / "qpi" / f"{seed}.ome.tif", stack)
            write(tmp_path / kind / "dapi" / f"{seed}.ome.tif", specimen.dapi)
    arguments = ["model", "calibrate-input", folder, "--segmenter", "classical", "--device", "cpu"]
    arguments += ["--pairs", tmp_path / "own", "--pairs", tmp_path / "noise"]
    monkeypatch.setattr(sys, "argv", ["napari-llcm", *map(str, arguments)])
    with contextlib.suppress(SystemExit):
        main()
    assert "On kinds left out: area under ROC" in capsys.readouterr().out
    learned = load_bundle(folder)
    assert learned.info.familiarity is not None
    assert learned.info.familiarity.stacks == 12
    own, noise = (
        result_of(check_input(read(tmp_path / kind / "qpi" / "3.ome.tif"), learned))
        for kind in ("own", "noise")
    )
    assert own.value == "like"
    assert noise.value == "unreadable"
