"""Match the nuclei of two label volumes: what was found, missed, hallucinated, merged, split.

Two matchings, because they answer two questions. The *IoU match* asks whether a nucleus is there
with the right shape; it gives recall, precision, F1 and AP. The *detection match* asks only
whether it is there at all, so that a nucleus of the wrong shape is not called absent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csgraph

from ..events import UserError
from .counts import LOOSE, THRESHOLDS, Counts

# A nucleus belongs to another object when more than this share of its voxels lies within it.
_MOSTLY = 0.5


@dataclass(frozen=True)
class Matches:
    """The outcome of matching two label volumes.

    Parameters
    ----------
    truth_ids, found_ids : ndarray of int
        Labels of the real and the virtual nuclei, ascending.
    truth_verdicts : list of str
        For each real nucleus: found, misshapen, merged, split or missed.
    found_verdicts : list of str
        For each virtual nucleus: found, misshapen, merged, split (a further piece of a real
        nucleus) or hallucinated.
    truth_partner : ndarray of int
        For each real nucleus the label of its virtual partner (IoU match, else detection match,
        else the object that swallowed it), 0 where there is none.
    found_partner : ndarray of int
        The same seen from the virtual nuclei.
    truth_iou, found_iou : ndarray of float
        IoU with that partner, 0 where there is none.
    truth_detected, found_detected : ndarray of bool
        Whether the nucleus has a one-to-one partner of whatever shape.
    counts : Counts
        Everything counted.
    iou : float
        The IoU at which a nucleus counts as found.
    """

    truth_ids: np.ndarray
    found_ids: np.ndarray
    truth_verdicts: list[str]
    found_verdicts: list[str]
    truth_partner: np.ndarray
    found_partner: np.ndarray
    truth_iou: np.ndarray
    found_iou: np.ndarray
    truth_detected: np.ndarray
    found_detected: np.ndarray
    counts: Counts
    iou: float


def match_nuclei(truth_labels: np.ndarray, found_labels: np.ndarray, iou: float = 0.5) -> Matches:
    """Match the nuclei of two label volumes.

    Parameters
    ----------
    truth_labels, found_labels : ndarray of int
        Label volumes of one shape; 0 is background.
    iou : float
        Intersection over union, in (0, 1], at which a nucleus counts as found.

    Returns
    -------
    Matches
        Verdict and partner of every nucleus.

    Raises
    ------
    UserError
        If the shapes differ or `iou` is out of range.
    """
    if truth_labels.shape != found_labels.shape:
        raise UserError(
            f"The two label volumes have different shapes, {truth_labels.shape} and "
            f"{found_labels.shape}: compare images of the same field."
        )
    if not 0 < iou <= 1:
        raise UserError(f"The IoU threshold must lie above 0 and at most at 1, not at {iou}.")
    overlap = _Overlap(truth_labels, found_labels)
    found_pairs = overlap.assign(overlap.iou >= iou)
    # A nucleus that was found keeps its partner: only the others look for one of any shape.
    taken = np.isin(overlap.t, overlap.t[found_pairs]) | np.isin(overlap.f, overlap.f[found_pairs])
    misshapen_pairs = overlap.assign(overlap.touches() & ~taken)
    per_threshold = tuple(overlap.assign(overlap.iou >= t).size for t in THRESHOLDS)
    alike = overlap.assign(overlap.iou >= LOOSE).size
    return _judge(overlap, found_pairs, misshapen_pairs, per_threshold, alike, iou)


class _Overlap:
    """The sparse contingency table: one entry for each pair of nuclei that share voxels."""

    def __init__(self, truth: np.ndarray, found: np.ndarray) -> None:
        self.truth_ids, truth_size, t = _indexed(truth)
        self.found_ids, found_size, f = _indexed(found)
        both = (t >= 0) & (f >= 0)
        ones = np.ones(np.count_nonzero(both), np.int64)
        shape = (self.truth_ids.size, self.found_ids.size)
        table = sparse.coo_array((ones, (t[both], f[both])), shape=shape).tocsr().tocoo()
        self.t, self.f = table.row, table.col
        shared = table.data.astype(float)
        size_t, size_f = truth_size[self.t], found_size[self.f]
        self.of_truth, self.of_found = shared / size_t, shared / size_f
        self.iou = shared / (size_t + size_f - shared)
        self._truth_inside = _at_centroids(t.reshape(truth.shape), f, shape[0])
        self._found_inside = _at_centroids(f.reshape(truth.shape), t, shape[1])

    def touches(self) -> np.ndarray:
        """Return which pairs could be the same nucleus, however badly shaped.

        One lies mostly in the other, or the centroid of one lies in the other.
        """
        mostly = (self.of_truth >= _MOSTLY) | (self.of_found >= _MOSTLY)
        central = (self._truth_inside[self.t] == self.f) | (self._found_inside[self.f] == self.t)
        return mostly | central

    def assign(self, eligible: np.ndarray) -> np.ndarray:
        """Return the largest one-to-one choice among `eligible` pairs; of these the highest IoU.

        The Hungarian method, run on each connected group of overlapping nuclei by itself: the
        optimum is the same, and a field of thousands needs no thousands-by-thousands matrix.
        """
        pairs = np.flatnonzero(eligible)
        if pairs.size == 0:
            return pairs
        nt, n = self.truth_ids.size, self.truth_ids.size + self.found_ids.size
        graph = sparse.coo_array(
            (np.ones(pairs.size), (self.t[pairs], nt + self.f[pairs])), shape=(n, n)
        )
        group = csgraph.connected_components(graph, directed=False)[1][self.t[pairs]]
        order = np.argsort(group, kind="stable")
        cuts = np.flatnonzero(np.diff(group[order])) + 1
        chosen = [self._assign_group(pairs[part]) for part in np.split(order, cuts)]
        return np.concatenate(chosen)

    def _assign_group(self, pairs: np.ndarray) -> np.ndarray:
        if pairs.size == 1:
            return pairs
        rows, i = np.unique(self.t[pairs], return_inverse=True)
        columns, j = np.unique(self.f[pairs], return_inverse=True)
        # One more pair always outweighs any gain in IoU, as every IoU is at most 1.
        gain = np.zeros((rows.size, columns.size))
        gain[i, j] = 1 + self.iou[pairs] / (pairs.size + 1)
        entry = np.full(gain.shape, -1)
        entry[i, j] = pairs
        picked = entry[linear_sum_assignment(gain, maximize=True)]
        return picked[picked >= 0]


def _judge(
    overlap: _Overlap,
    found_pairs: np.ndarray,
    misshapen_pairs: np.ndarray,
    per_threshold: tuple[int, ...],
    alike: int,
    iou: float,
) -> Matches:
    """Turn overlaps and matchings into one verdict per nucleus; later rules win."""
    nt, nf = overlap.truth_ids.size, overlap.found_ids.size
    truth = np.full(nt, "missed", dtype=object)
    found = np.full(nf, "hallucinated", dtype=object)
    partner_t, partner_f = np.full(nt, -1), np.full(nf, -1)

    def pair_up(pairs: np.ndarray, verdict: str) -> None:
        truth[overlap.t[pairs]] = found[overlap.f[pairs]] = verdict
        partner_t[overlap.t[pairs]], partner_f[overlap.f[pairs]] = pairs, pairs

    pair_up(misshapen_pairs, "misshapen")
    pieces = np.flatnonzero(overlap.of_found > _MOSTLY)
    in_truth = np.bincount(overlap.t[pieces], minlength=nt)
    pieces = pieces[in_truth[overlap.t[pieces]] > 1]
    loose = pieces[partner_f[overlap.f[pieces]] < 0]
    partner_f[overlap.f[loose]] = loose
    truth[overlap.t[pieces]] = found[overlap.f[pieces]] = "split"
    swallowed = np.flatnonzero(overlap.of_truth > _MOSTLY)
    in_found = np.bincount(overlap.f[swallowed], minlength=nf)
    swallowed = swallowed[in_found[overlap.f[swallowed]] > 1]
    loose = swallowed[partner_t[overlap.t[swallowed]] < 0]
    partner_t[overlap.t[loose]] = loose
    truth[overlap.t[swallowed]] = found[overlap.f[swallowed]] = "merged"
    pair_up(found_pairs, "found")

    one_to_one = np.concatenate([misshapen_pairs, found_pairs])
    seen_t, seen_f = np.zeros(nt, bool), np.zeros(nf, bool)
    seen_t[overlap.t[one_to_one]] = seen_f[overlap.f[one_to_one]] = True
    tally = {v: int(np.sum(truth == v)) for v in ("misshapen", "merged", "split", "missed")}
    counts = Counts(
        truth=nt,
        stain=nf,
        found=found_pairs.size,
        hallucinated=int(np.sum(found == "hallucinated")),
        detected=int(seen_t.sum()),
        loose=alike,
        true_positives=per_threshold,
        **tally,
    )
    return Matches(
        truth_ids=overlap.truth_ids,
        found_ids=overlap.found_ids,
        truth_verdicts=truth.tolist(),
        found_verdicts=found.tolist(),
        truth_partner=_lookup(partner_t, overlap.found_ids, overlap.f),
        found_partner=_lookup(partner_f, overlap.truth_ids, overlap.t),
        truth_iou=_lookup(partner_t, overlap.iou, np.arange(overlap.iou.size)),
        found_iou=_lookup(partner_f, overlap.iou, np.arange(overlap.iou.size)),
        truth_detected=seen_t,
        found_detected=seen_f,
        counts=counts,
        iou=iou,
    )


def _lookup(pair: np.ndarray, values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return ``values[index[pair]]``, 0 where there is no pair."""
    result = np.zeros(pair.size, values.dtype)
    result[pair >= 0] = values[index[pair[pair >= 0]]]
    return result


def _indexed(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the labels in use, their sizes in voxels, and each voxel's index (-1: background)."""
    inside = np.flatnonzero(labels)  # sorting the background would take most of the time
    ids, which, sizes = np.unique(labels.ravel()[inside], return_inverse=True, return_counts=True)
    index = np.full(labels.size, -1)
    index[inside] = which
    return ids, sizes, index


def _at_centroids(index: np.ndarray, other: np.ndarray, n: int) -> np.ndarray:
    """Return what `other` (flat) holds at the centroid voxel of each of the `n` objects."""
    if n == 0:
        return np.zeros(0, int)
    inside = np.flatnonzero(index.ravel() >= 0)
    which = index.ravel()[inside]
    size = np.bincount(which, minlength=n)
    centre = [
        np.rint(np.bincount(which, axis, minlength=n) / size).astype(int)
        for axis in np.unravel_index(inside, index.shape)
    ]
    return other.reshape(index.shape)[tuple(centre)]
