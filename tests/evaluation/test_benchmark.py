"""The benchmark of methods: one command from pairs to report, resumed after an interruption."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_llcm.evaluation.quality import QualityBenchmark, benchmark_quality
from napari_llcm.evaluation.quality_report import MEANING, _write_page
from napari_llcm.evaluation.sharpness import spectral_correlation, spectral_distance
from napari_llcm.evaluation.statistics import interval, pooled, precision_recall
from napari_llcm.events import Finished, Notice, UserError
from napari_llcm.models import read_info
from napari_llcm.nuclei import make_segmenter
from napari_llcm.nuclei.counts import Counts
from napari_llcm.training.runs import run_state
from tiny import NETWORK


def tiny(out: Path, **changes: Any) -> QualityBenchmark:
    job = {
        "network": NETWORK,
        "patch": (16, 32, 32),
        "crops": 1,
        "validations": 1,
        "tensorboard": False,
    }
    fields: dict[str, Any] = {
        "minutes": 0.02,
        "specimens": (1, 1),
        "size": (16, 64, 64),
        "device": "cpu",
        "job": job,
    }
    return QualityBenchmark(out, **(fields | changes))


@pytest.mark.slow
def test_every_method_ends_in_one_report_and_an_interrupted_one_goes_on(tmp_path: Path) -> None:
    segmenter = make_segmenter("classical")
    asked = iter([False] * 40)
    first = list(
        benchmark_quality(
            tiny(tmp_path), segmenter=segmenter, should_stop=lambda: next(asked, True)
        )
    )
    assert isinstance(first[-1], Finished)
    assert first[-1].result == {"stopped": True}
    trained = {p.name for p in tmp_path.glob("runs/*") if run_state(p) == "finished"}
    assert trained
    events = list(benchmark_quality(tiny(tmp_path), segmenter=segmenter))
    again = [e.text for e in events if isinstance(e, Notice) and e.text.startswith("Training ")]
    assert not any(f"Training {name} " in text for name in trained for text in again)
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report["groups"]) == {"medium", "hard"}
    rows = report["groups"]["hard"]["variants"]
    assert {"second exposure", "VAE round trip", "llcm", "llcm 4 steps", "pix2pix"} <= set(rows)
    assert {"diffusion 20 steps", "diffusion 50 steps", "resshift", "regression"} <= set(rows)
    assert rows["second exposure"]["recall"] > 0.5  # the segmenter agrees with itself
    assert rows["llcm"]["parameters"] > 0
    assert rows["llcm"]["train_voxels"] > 0
    assert rows["llcm"]["seconds_per_megavoxel"] > 0
    assert "pix2pix" in report["groups"]["hard"]["differences"]
    page = (tmp_path / "report.html").read_text()
    assert "hard-images.png" in page
    assert (tmp_path / "hard-images.png").exists()
    with (tmp_path / "report.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2 * len(rows)


@pytest.mark.slow
def test_other_ways_to_steer_are_trained_and_judged_as_methods_are(tmp_path: Path) -> None:
    wide = NETWORK.model_copy(update={"unet_widths": (16, 32)})  # MONAI's norms have 16 groups
    job = tiny(tmp_path).job | {"network": wide}
    benchmark = tiny(tmp_path, methods=["llcm"], ways=["control", "attention"], job=job)
    last = list(benchmark_quality(benchmark, segmenter=make_segmenter("classical")))[-1]
    assert isinstance(last, Finished)
    rows = last.result["groups"]["medium"]["variants"]
    assert {"llcm", "llcm control", "llcm attention"} <= set(rows)
    assert rows["llcm control"]["parameters"] > rows["llcm"]["parameters"]
    steps = {
        n: rows[f"llcm {n}"]["train_voxels"] / (16 * 32 * 32) for n in ("control", "attention")
    }
    for name in ("control", "attention"):
        said = read_info(tmp_path / "runs" / f"llcm-{name}" / "model").provenance
        assert steps[name] >= said["consistency_steps"] + 1  # of the autoencoder, too
    assert "llcm attention" in last.result["groups"]["medium"]["differences"]
    networks = {
        name: read_info(tmp_path / "runs" / f"llcm-{name}" / "model").network
        for name in ("control", "attention", "half")
    }
    assert networks["control"].control
    assert networks["half"] == wide
    assert (networks["attention"].unet, networks["attention"].condition) == ("monai", "attention")
    with pytest.raises(UserError, match="no way 'hope'"):
        list(
            benchmark_quality(tiny(tmp_path, ways=["hope"]), segmenter=make_segmenter("classical"))
        )


def test_training_and_test_pairs_may_not_overlap(tmp_path: Path) -> None:
    from napari_llcm.events import result_of
    from napari_llcm.specimen import write_specimens

    result_of(write_specimens(tmp_path / "pairs", 1, (16, 48, 48), 1, "easy"))
    both = [tmp_path / "pairs"]
    benchmark = tiny(tmp_path / "out", train=both, test=both)
    with pytest.raises(UserError, match="trained on and judged on"):
        list(benchmark_quality(benchmark, segmenter=make_segmenter("classical")))
    with pytest.raises(UserError, match="no method 'gan'"):
        list(
            benchmark_quality(
                tiny(tmp_path / "x", methods=["gan"]), segmenter=make_segmenter("classical")
            )
        )


def test_the_interval_holds_the_figure_and_widens_with_the_spread_of_fields() -> None:
    alike = [Counts(truth=100, stain=100, found=80)] * 6
    unlike = [Counts(truth=100, stain=100, found=n) for n in (60, 70, 80, 80, 90, 100)]

    def width(counts: list[Counts]) -> float:
        found = interval(lambda drawn: pooled([counts[i] for i in drawn], "recall"), len(counts))
        assert found is not None
        low, high = found
        assert low <= pooled(counts, "recall") <= high
        return high - low

    assert width(alike) == 0
    assert width(unlike) > 0.05
    assert interval(lambda drawn: 0.0, 1) is None


def test_a_field_without_nuclei_leaves_the_interval_of_the_others() -> None:
    counts = [Counts(truth=0, stain=0), *(Counts(truth=10, stain=10, found=k) for k in (6, 8))]
    found = interval(lambda drawn: pooled([counts[i] for i in drawn], "recall"), len(counts))
    assert found == pytest.approx((0.6, 0.8))
    assert interval(lambda drawn: pooled([counts[0]] * len(drawn), "recall"), 3) is None


def test_the_area_under_precision_and_recall_rewards_good_order() -> None:
    real = [True, True, False, True, False]
    good = precision_recall([0.9, 0.8, 0.3, 0.7, 0.1], real, 4)
    bad = precision_recall([0.1, 0.2, 0.9, 0.3, 0.8], real, 4)
    assert good[2] == pytest.approx(0.75)  # three of four found, none wrong before them
    assert bad[2] < good[2]
    assert good[0][-1] == bad[0][-1] == 0.75


def test_a_blurred_image_is_far_from_the_spectrum_of_the_sharp_one() -> None:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    sharp = gaussian_filter(rng.normal(size=(8, 64, 64)), 1.0)
    assert spectral_distance(sharp, sharp) == 0
    other = gaussian_filter(rng.normal(size=(8, 64, 64)), 1.0)  # as sharp, elsewhere
    assert spectral_distance(sharp, other) < 0.1
    blurred = gaussian_filter(sharp, (0, 2, 2))
    assert spectral_distance(sharp, blurred) > 0.5
    assert spectral_distance(sharp, sharp / 3) < 0.01  # dim is not blurred
    half = spectral_distance(sharp, (sharp + blurred) / 2)
    assert 0.05 < half < spectral_distance(sharp, blurred)
    # shot noise is no detail: neither missing from a stain nor made up for by noise
    noise = rng.normal(size=sharp.shape) * sharp.std() / 4
    assert spectral_distance(sharp + noise, sharp) < 0.1
    assert spectral_distance(sharp, blurred + noise) > 0.5


def test_detail_counts_where_it_is_that_of_the_truth() -> None:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    sharp, other = (gaussian_filter(rng.normal(size=(8, 64, 64)), 1.0) for _ in range(2))
    assert spectral_correlation(sharp, 3 * sharp + 1) == pytest.approx(1)
    assert abs(spectral_correlation(sharp, other)) < 0.15  # as sharp, but made up
    # half of the detail is in place: more than none, less than all
    assert 0.5 < spectral_correlation(sharp, sharp + other) < 0.9
    # where nothing is made up nothing is lost: a filter takes no phase
    assert spectral_correlation(sharp, gaussian_filter(sharp, (0, 1, 1), mode="wrap")) > 0.95


@pytest.mark.versions
def test_names_are_text_on_the_page(tmp_path: Path) -> None:
    group = '<script>alert(1)</script> & "x"'
    row = {"recall": 0.5, "precision": 0.5, "f1": 0.5}
    content = {"fields": 1, "variants": {group: row}, "differences": {}}
    report = {"minutes": 1, "meaning": MEANING, "groups": {group: content}}
    _write_page(tmp_path / "report.html", report, {group: ["a#b c.png"]})
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert 'src="a%23b%20c.png"' in page
