"""Comparing two images of one field: same rules for both, labels accepted, a whole report."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from napari_llcm.events import Finished, Notice, UserError, result_of
from napari_llcm.nuclei import Comparison, compare_nuclei, pool, segment, write_report
from napari_llcm.nuclei.scale import estimate_diameter, normalise, stands_out
from napari_llcm.volumes import Volume, read, write

SPACING = (1.0, 0.5, 0.5)
CENTRES = [(10, 20, 20), (10, 20, 60), (10, 60, 20), (10, 60, 60), (10, 40, 84)]
BRIGHT = [1.0, 0.2, 1.0, 0.6, 0.8]  # the second is dim


def balls(keep: list[int], radius: float = 7.0) -> np.ndarray:
    """Return labels of balls `2 * radius` pixels wide; z is sampled half as densely."""
    z, y, x = np.indices((20, 80, 100))
    labels = np.zeros(z.shape, np.uint16)
    for i in keep:
        cz, cy, cx = CENTRES[i]
        labels[4 * (z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < radius**2] = i + 1
    return labels


def stain(keep: list[int], gain: float = 300.0, offset: float = 100.0) -> Volume:
    """Return an image of the balls: blurred, noisy, in its own units."""
    labels = balls(keep)
    light = np.array([0.0, *BRIGHT])[labels]
    image = ndimage.gaussian_filter(light, (0.5, 1, 1))
    noise = 0.01 * np.random.default_rng(0).standard_normal(image.shape)
    return Volume((gain * (image + noise) + offset).astype(np.float32), SPACING, name="DAPI")


def compare(truth: Volume, other: Volume, **settings: object) -> Comparison:
    settings = {"segmenter": "classical", "diameter": 7.0} | settings
    result = result_of(compare_nuclei(truth, other, **settings))
    assert isinstance(result, Comparison)
    return result


@pytest.mark.versions
def test_missed_and_hallucinated_nuclei_are_told_with_place_and_size() -> None:
    result = compare(stain([0, 1, 2, 3]), stain([0, 2, 3, 4]))
    counts = result.counts
    assert (counts.found, counts.missed, counts.hallucinated) == (3, 1, 1)
    (missed,) = [r for r in result.table if r["verdict"] == "missed"]
    assert [missed[a] for a in "zyx"] == pytest.approx([10.0, 10.0, 30.0], abs=0.3)
    ball = 4 / 3 * np.pi * 3.5**3  # µm³
    assert 0.3 * ball < missed["volume"] < 1.5 * ball  # dim: the threshold cuts it small
    (ghost,) = [r for r in result.table if r["verdict"] == "hallucinated"]
    assert ghost["image"] == "stain"
    assert ghost["x"] == pytest.approx(42.0, abs=0.3)
    # The missed nucleus is the dimmest, and the strata say so.
    dim, *bright = result.figures["strata"]["brightness"]
    assert dim["recall"] < 1
    assert [b["recall"] for b in bright] == [1, 1]


def test_gain_and_offset_change_nothing() -> None:
    plain = compare(stain([0, 1, 2, 3]), stain([0, 1, 2, 3]))
    other = compare(stain([0, 1, 2, 3]), stain([0, 1, 2, 3], gain=7.0, offset=-3.0))
    assert plain.counts == other.counts
    assert other.counts.f1 == 1.0


def test_the_same_diameter_serves_both_images() -> None:
    events = list(compare_nuclei(stain([0, 2, 3]), stain([0]), segmenter="classical"))
    notices = [e.text for e in events if isinstance(e, Notice)]
    assert len(notices) == 1
    assert "µm wide (estimated)" in notices[0]
    assert isinstance(events[-1], Finished)
    assert events[-1].value.settings["diameter_pixels"] == pytest.approx(14, rel=0.2)
    json.dumps(events[-1].result)


def test_labels_stand_in_for_either_image() -> None:
    labels = Volume(balls([0, 1, 2, 3]), SPACING, name="truth")
    result = compare(labels, stain([0, 2, 3]))
    assert (result.counts.found, result.counts.missed) == (3, 1)
    assert all(row["brightness"] is None for row in result.table if row["image"] == "truth")
    unnamed = labels.replace(name="something", data=balls([0, 1, 2, 3]).astype(np.float32))
    result = compare(unnamed, unnamed, truth_is_labels=True, stain_is_labels=True)
    assert result.counts.f1 == 1.0
    assert result.settings["segmenter"] == "labels as given"


@pytest.mark.versions
def test_the_report_is_whole(tmp_path: Path) -> None:
    result = compare(stain([0, 1, 2, 3]), stain([0, 2, 3, 4]))
    paths = write_report(tmp_path / "out", result, qpi=stain([0, 1, 2, 3, 4]))
    assert paths["figure"].read_bytes()[:4] == b"\x89PNG"
    report = json.loads(paths["report"].read_text())
    assert report["recall"] == pytest.approx(3 / 4)
    assert report["hallucinated"] == 1
    with paths["table"].open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["verdict"] for r in rows].count("found") == 3
    assert float(rows[0]["volume (µm³)"]) > 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "nuclei.csv", "nuclei.png", "report.json",
    ]  # fmt: skip


def test_pooled_figures_come_from_summed_counts() -> None:
    good = compare(stain([0, 1, 2, 3]), stain([0, 1, 2, 3]))
    bad = compare(stain([0, 2]), stain([0]))
    pooled = pool([good, bad])
    assert pooled["recall"] == pytest.approx(5 / 6)
    assert pooled["volumes"] == 2
    assert sum(third["nuclei"] for third in pooled["strata"]["depth"]) == 6
    with pytest.raises(UserError, match="same IoU"):
        pool([good, compare(stain([0]), stain([0]), iou=0.4)])


def test_labels_keep_their_grid_on_disk(tmp_path: Path) -> None:
    labels = segment(stain([0, 2, 3]), "classical", diameter=7.0)
    assert labels.dtype == np.uint32
    again = read(write(tmp_path / "found.ome.tif", labels, labels=True))
    assert again.spacing == pytest.approx(SPACING)
    assert len(np.unique(again.numpy())) == 4


def test_stopping_ends_without_a_result() -> None:
    job = compare_nuclei(stain([0]), stain([0]), segmenter="classical", should_stop=lambda: True)
    assert not any(isinstance(event, Finished) for event in job)


def test_one_hot_voxel_does_not_dim_the_image() -> None:
    image = stain([0, 2, 3]).numpy()
    hot = image.copy()
    hot[0, 0, 0] = 1e6
    np.testing.assert_allclose(normalise(hot)[1:], normalise(image)[1:], atol=0.02)


def test_the_diameter_is_that_of_the_nuclei() -> None:
    image = stain([0, 2, 3, 4]).numpy()
    assert estimate_diameter(image) == pytest.approx(14, rel=0.2)


def test_noise_has_no_diameter() -> None:
    noise = np.random.default_rng(0).poisson(20, (8, 96, 96)).astype(np.float32)
    with pytest.raises(UserError, match="give their diameter"):
        estimate_diameter(noise)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"data": np.zeros((20, 80, 99), np.float32)}, "same field"),
        ({"data": np.full((20, 80, 100), np.nan, np.float32)}, "not numbers"),
    ],
)
def test_images_that_cannot_be_compared(change: dict[str, np.ndarray], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        compare(stain([0, 1]), stain([0, 1]).replace(**change))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"segmenter": "magic"}, "no segmenter"),
        ({"diameter": 0.1}, "at least 4"),
        ({"weights": "x"}, "takes no weights"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        compare(stain([0, 1]), stain([0, 1]), **settings)


def test_a_noisy_field_has_nuclei_and_noise_has_none() -> None:
    """Whatever the share of nuclei in it, and also where their width is given."""
    rng = np.random.default_rng(0)
    noise = rng.poisson(100, (20, 80, 100)).astype(np.float32)
    sparse = noise + rng.poisson(200 * (balls([0]) > 0))
    dense = noise + rng.poisson(200 * (balls([0, 1, 2, 3, 4], 19.0) > 0))
    hot = np.where(rng.random(noise.shape) < 1e-4, 4000, noise).astype(np.float32)
    for image, there in ((noise, False), (hot, False), (sparse, True), (dense, True)):
        for diameter in (8.0, 14.0, 30.0):
            assert stands_out(image, diameter, 2.0) is there
    # five times its noise, and its width is still told
    noisy = stain([0, 2, 3, 4]).numpy() + rng.normal(0, 60, (20, 80, 100)).astype(np.float32)
    assert estimate_diameter(noisy) == pytest.approx(14, rel=0.25)
    coarse = Volume((noise / 10).astype(np.uint8), SPACING)  # its few values make wider specks
    beside = compare(coarse, stain([0, 1]), diameter=None)
    assert (beside.counts.truth, beside.counts.stain) == (0, 2)
    empty = compare(Volume(hot, SPACING), stain([0, 1]), diameter=7.0)
    assert (empty.counts.truth, empty.counts.stain) == (0, 2)


@pytest.mark.parametrize("silent", ["truth", "stain"])
def test_the_same_voxels_are_the_same_nuclei_whichever_side_tells_the_spacing(silent: str) -> None:
    sides = {"truth": stain([0, 1, 2, 3]), "stain": stain([0, 1, 2, 3])}
    sides[silent] = sides[silent].replace(spacing=None, name="silent")
    events = list(compare_nuclei(**sides, segmenter="classical"))
    told = [e.text for e in events if isinstance(e, Notice)]
    assert "silent does not tell its voxel size" in told[0]
    result = events[-1].value
    assert result.counts.f1 == 1
    assert result.truth_labels.spacing == result.stain_labels.spacing == SPACING
    assert result.settings["unit"] == "µm"


def test_spacings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UserError, match=r"0\.5 × 0\.5 µm.*0\.25 × 0\.25 µm"):
        compare(stain([0]), stain([0]).replace(spacing=(1.0, 0.25, 0.25)))


@pytest.mark.parametrize(
    "nothing",
    [np.zeros((20, 80, 100), np.uint16), np.random.default_rng(0).poisson(100, (20, 80, 100))],
    ids=["zeros", "noise"],
)
@pytest.mark.parametrize("is_labels", [None, False])
def test_a_truth_without_nuclei_counts_none(nothing: np.ndarray, is_labels: bool | None) -> None:
    empty = Volume(nothing, SPACING, name="nobody there")
    job = compare_nuclei(empty, stain([0, 1]), segmenter="classical", truth_is_labels=is_labels)
    events = list(job)
    counts = events[-1].value.counts
    assert (counts.truth, counts.stain, counts.hallucinated) == (0, 2, 2)
    assert events[-1].result["precision"] == 0
    assert events[-1].result["recall"] is None
    told = [e.text for e in events if isinstance(e, Notice)]
    assert any("nobody there" in text and "counts as having" in text for text in told)


def test_labels_without_nuclei_count_none_and_a_blank_stain_misses_all(tmp_path: Path) -> None:
    none = Volume(np.zeros((20, 80, 100), np.uint16), SPACING, name="none")
    found = compare(none, stain([0, 1]), truth_is_labels=True, diameter=None)
    assert (found.counts.truth, found.counts.hallucinated) == (0, 2)
    write_report(tmp_path, found)
    missed = compare(stain([0, 1]), none.replace(data=np.full((20, 80, 100), 7, np.float32)))
    assert (missed.counts.missed, missed.counts.stain) == (2, 0)
    both = compare(none, none)
    assert (both.counts.truth, both.counts.stain) == (0, 0)
    write_report(tmp_path / "both", both)


def test_what_is_said_of_an_image_is_not_overruled_but_told() -> None:
    labels = Volume(balls([0, 1, 2, 3]), SPACING, name="balls")
    events = list(compare_nuclei(labels, labels, truth_is_labels=False, segmenter="classical"))
    told = [e.text for e in events if isinstance(e, Notice)]
    assert any("seems to hold labels" in text for text in told)
    assert any("balls holds labels, as its values tell" in text for text in told)
    assert events[-1].value.truth is not None
    assert events[-1].value.stain is None
