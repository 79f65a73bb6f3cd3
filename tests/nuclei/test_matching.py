"""Matching of label volumes: every verdict, the figures, and pooling."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_llcm.events import UserError
from napari_llcm.nuclei.counts import Counts
from napari_llcm.nuclei.matching import match_nuclei


def box(labels: np.ndarray, label: int, z: slice, y: slice, x: slice) -> None:
    labels[z, y, x] = label


def field(*boxes: tuple[int, int, int]) -> np.ndarray:
    """Return a 10×20×60 volume with 8×10 boxes, each (label, x start, x stop)."""
    labels = np.zeros((10, 20, 60), np.uint32)
    for label, start, stop in boxes:
        box(labels, label, slice(1, 9), slice(5, 15), slice(start, stop))
    return labels


def test_each_verdict_has_its_case() -> None:
    truth = field((1, 0, 8), (2, 10, 18), (3, 20, 26), (4, 26, 32), (5, 34, 46), (7, 50, 60))
    found = field((9, 0, 8), (8, 20, 32), (3, 34, 40), (2, 40, 46), (1, 55, 60))
    found[0, 0:4, 0:4] = 20
    matches = match_nuclei(truth, found, iou=0.6)
    assert matches.truth_verdicts == ["found", "missed", "merged", "merged", "split", "misshapen"]
    assert dict(zip(matches.found_ids.tolist(), matches.found_verdicts, strict=True)) == {
        1: "misshapen", 2: "split", 3: "split", 8: "merged", 9: "found", 20: "hallucinated",
    }  # fmt: skip
    counts = matches.counts
    assert (counts.truth, counts.stain, counts.found) == (6, 6, 1)
    assert (counts.missed, counts.hallucinated, counts.merged, counts.split) == (1, 1, 2, 1)
    assert matches.truth_partner.tolist()[0] == 9
    assert matches.truth_partner.tolist()[2:4] == [8, 8]
    assert counts.recall == counts.precision == counts.f1 == pytest.approx(1 / 6)
    # Absent is not misshapen: one of the two merged nuclei, the split and the misshapen one are
    # detected along with the found one.
    assert counts.detection_recall == pytest.approx(4 / 6)


def test_identical_labels_are_perfect_whatever_their_numbers() -> None:
    truth = field((1, 0, 8), (2, 10, 18), (5, 34, 46))
    counts = match_nuclei(truth, truth * 1000).counts
    assert counts.recall == counts.precision == counts.f1 == counts.ap == 1.0


def test_ap_is_the_mean_over_ten_thresholds() -> None:
    truth, found = field((1, 0, 10)), field((1, 0, 8))  # IoU 0.8: passes 0.50 to 0.80
    counts = match_nuclei(truth, found).counts
    assert counts.true_positives == (1,) * 7 + (0,) * 3
    assert counts.ap == pytest.approx(0.7)


def test_the_assignment_is_the_best_one_to_one_choice() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, (4, 6, 6))
    found = rng.integers(0, 5, (4, 6, 6))
    ious = np.array(
        [[((truth == i) & (found == j)).sum() / ((truth == i) | (found == j)).sum()
          for j in range(1, 5)] for i in range(1, 5)]
    )  # fmt: skip
    threshold = 0.12
    best = max(
        sum(ious[i, p[i]] >= threshold for i in range(4)) for p in itertools.permutations(range(4))
    )
    assert match_nuclei(truth, found, iou=threshold).counts.found == best > 0


def test_pooling_sums_counts_before_dividing() -> None:
    good = match_nuclei(field((1, 0, 8), (2, 10, 18), (3, 20, 28)), field((1, 0, 8), (2, 10, 18)))
    bad = match_nuclei(field((1, 0, 8)), field())
    pooled = good.counts + bad.counts
    assert pooled.recall == pytest.approx(2 / 4)
    assert pooled.precision == 1.0
    assert pooled.missed == 2


def test_nothing_at_all_has_no_figures() -> None:
    counts = match_nuclei(field(), field()).counts
    assert np.isnan([counts.recall, counts.precision, counts.f1, counts.ap]).all()
    assert np.isnan(Counts().detection_recall)


@pytest.mark.parametrize("iou", [0.0, 1.5])
def test_a_senseless_threshold_is_refused(iou: float) -> None:
    with pytest.raises(UserError, match="IoU"):
        match_nuclei(field(), field(), iou=iou)


def test_shapes_must_agree() -> None:
    with pytest.raises(UserError, match="same field"):
        match_nuclei(field(), field()[1:])


def test_every_object_is_accounted_for() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        truth, found = rng.integers(0, 6, (2, 3, 5, 5))
        matches = match_nuclei(truth, found, iou=0.15)
        counts = matches.counts
        verdicts = counts.found + counts.misshapen + counts.merged + counts.split + counts.missed
        assert verdicts == counts.truth
        assert counts.found <= counts.detected <= min(counts.truth, counts.stain)
        # Partners of the one-to-one kind point at each other.
        back = dict(zip(matches.found_ids, matches.found_partner, strict=True))
        for label, verdict, partner in zip(
            matches.truth_ids, matches.truth_verdicts, matches.truth_partner, strict=True
        ):
            if verdict in ("found", "misshapen"):
                assert back[partner] == label
