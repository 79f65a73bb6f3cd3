"""Several judges of one stain: their rows, their truth, and the figure that needs no segmenter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from napari_llcm import Volume, compare_nuclei
from napari_llcm.evaluation import judge_stain, nuclear_auc, pool_judgements
from napari_llcm.events import UserError, result_of
from napari_llcm.nuclei import make_segmenter
from napari_llcm.nuclei.thresholding import counts_of

SPACING = (0.8, 0.5, 0.5)
PLACES = [(10, 16 + 28 * j, 16 + 28 * i) for j in range(3) for i in range(3)]
WIDTH = 14.0  # pixels


def balls(places: list[tuple[int, int, int]]) -> np.ndarray:
    """Return labels of balls 14 pixels wide."""
    labels = np.zeros((20, 88, 88), np.uint16)
    grid = np.indices(labels.shape)
    for number, place in enumerate(places, 1):
        far = sum((s * (g - p)) ** 2 for g, p, s in zip(grid, place, (1.6, 1.0, 1.0), strict=True))
        labels[far <= (WIDTH / 2) ** 2] = number
    return labels


def stained(labels: np.ndarray, seed: int = 0) -> Volume:
    """Return an image of the labels with blur and noise."""
    light = ndimage.gaussian_filter((labels > 0).astype(np.float32), (0.6, 1, 1)) * 400
    noise = np.random.default_rng(seed).normal(0, 5, labels.shape)
    return Volume((light + 100 + noise).astype(np.float32), spacing=SPACING)


class Threshold:
    """A segmenter that grants anything brighter than a threshold."""

    name = "threshold"

    def __call__(self, image: np.ndarray, diameter: float, anisotropy: float) -> np.ndarray:
        return ndimage.label(image > 300)[0].astype(np.uint32)


def test_each_judge_speaks_for_itself_against_each_truth() -> None:
    labels = balls(PLACES)
    made_up = (10, 30, 30)
    stain = balls([*PLACES[:7], made_up])  # two are missed, one is made up
    said = result_of(
        judge_stain(
            stained(labels),
            stained(stain, 1),
            Volume(labels, spacing=SPACING, metadata={"labels": True}),
            segmenters=[Threshold(), make_segmenter("classical")],
            diameter=WIDTH * 0.5,
        )
    )
    assert [j.key for j in said[:4]] == [
        ("threshold", "stain", "dapi"),
        ("threshold", "stain", "labels"),
        ("threshold", "stain", "elsewhere"),
        ("threshold", "dapi", "labels"),
    ]
    assert {j.judge for j in said} == {"threshold", "classical"}
    for judgement in said:
        counts = judgement.counts
        if judgement.against == "elsewhere":  # the one made up happens to lie there
            assert (counts.loose, counts.truth, counts.stain) == (1, 9, 8)
        elif judgement.image == "stain":
            assert (counts.truth, counts.missed, counts.hallucinated) == (9, 2, 1)
            assert counts.detection_recall == pytest.approx(7 / 9)
            assert counts.detection_precision == pytest.approx(7 / 8)
            assert counts.f1_30 == counts.f1_50 == counts.detection_f1 == pytest.approx(14 / 17)
        else:  # what the judge makes of the real stain is the most that it can grant
            assert counts.f1_50 == 1.0


def test_a_nucleus_in_a_wrong_shape_is_there_and_passes_the_loose_overlap_alone() -> None:
    labels = balls(PLACES)
    moved = balls([(z, y, x + 5) for z, y, x in PLACES])  # a third of the width: IoU .35
    said = result_of(judge_stain(stained(labels), stained(moved), segmenters=[Threshold()]))
    (counts,) = [j.counts for j in said]
    assert (counts.detection_f1, counts.f1_30, counts.f1_50) == (1.0, 1.0, 0.0)
    assert counts.f1 == 0.0
    table = result_of(
        compare_nuclei(*(Volume(a, metadata={"labels": True}) for a in (labels, moved)))
    ).table
    assert counts_of(table).loose == counts.loose == 9


def test_fields_are_pooled_by_counts_and_drawn_for_the_interval() -> None:
    labels = stained(balls(PLACES))
    fields = [
        result_of(judge_stain(labels, stained(balls(PLACES[:n])), segmenters=[Threshold()]))
        for n in (9, 5, 3)
    ]
    (row,) = pool_judgements(fields)
    assert (row["fields"], row["truth"], row["stain"], row["missed"]) == (3, 27, 17, 10)
    assert row["recall"] == row["detection_recall"] == pytest.approx(17 / 27)
    assert row["precision"] == 1.0
    low, high = row["recall_interval"]
    assert 3 / 9 <= low < 17 / 27 < high <= 1.0
    assert pool_judgements(fields[:1])[0]["recall_interval"] is None


def test_auc_is_that_of_scikit_learn_and_minds_ties_and_where() -> None:
    rng = np.random.default_rng(1)
    nuclear = rng.random((4, 20, 20)) < 0.2
    image = np.round(rng.normal(size=nuclear.shape) + 1.2 * nuclear, 1)  # many ties
    expected = roc_auc_score(nuclear.ravel(), image.ravel())
    assert nuclear_auc(image, nuclear) == pytest.approx(expected)
    assert nuclear_auc(-image, nuclear) == pytest.approx(1 - expected)
    where = rng.random(nuclear.shape) < 0.5
    assert nuclear_auc(np.where(where, image, 99), nuclear, where) == pytest.approx(
        roc_auc_score(nuclear[where], image[where])
    )
    with pytest.raises(UserError, match="nuclear voxels"):
        nuclear_auc(image, np.zeros_like(nuclear))
    with pytest.raises(UserError, match="shapes"):
        nuclear_auc(image, nuclear[1:])
