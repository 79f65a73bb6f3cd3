"""The figures of a nuclei comparison; they add up, so that volumes are pooled by counts."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

THRESHOLDS: tuple[float, ...] = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))
"""IoU thresholds over which AP is averaged: 0.50, 0.55 … 0.95."""
LOOSE = 0.3
"""An IoU that forgives a shape that is not quite right: balls shifted by a quarter of their width
have 0.46, by a third 0.35."""

FIGURES = (
    "recall", "precision", "f1", "ap", "ap_50",
    "f1_30", "detection_recall", "detection_precision", "detection_f1",
)  # fmt: skip
"""The shares that are reported."""


@dataclass(frozen=True)
class Counts:
    """Counts of one comparison; add them to pool volumes.

    Parameters
    ----------
    truth, stain : int
        Nuclei in the real and in the virtual image.
    found : int
        Pairs with an IoU at or above the threshold (true positives).
    misshapen, merged, split, missed : int
        Verdicts on the other real nuclei; `missed` are those that are absent altogether.
    hallucinated : int
        Virtual nuclei where no real one is.
    detected : int
        Real nuclei with a virtual partner of any shape.
    loose : int
        Pairs with an IoU of at least `LOOSE`.
    true_positives : tuple of int
        Pairs at each of `THRESHOLDS`.
    """

    truth: int = 0
    stain: int = 0
    found: int = 0
    misshapen: int = 0
    merged: int = 0
    split: int = 0
    missed: int = 0
    hallucinated: int = 0
    detected: int = 0
    loose: int = 0
    true_positives: tuple[int, ...] = (0,) * len(THRESHOLDS)

    def __add__(self, other: Counts) -> Counts:
        """Return the counts of both comparisons together."""
        tps = tuple(a + b for a, b in zip(self.true_positives, other.true_positives, strict=True))
        sums = {
            f.name: getattr(self, f.name) + getattr(other, f.name)
            for f in fields(self)
            if f.name != "true_positives"
        }
        return Counts(**sums, true_positives=tps)

    @property
    def recall(self) -> float:
        """Share of the real nuclei that were found; NaN without real nuclei."""
        return _ratio(self.found, self.truth)

    @property
    def precision(self) -> float:
        """Share of the virtual nuclei that are real; NaN without virtual nuclei."""
        return _ratio(self.found, self.stain)

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision, 2 TP / (2 TP + FP + FN)."""
        return _ratio(2 * self.found, self.truth + self.stain)

    @property
    def detection_recall(self) -> float:
        """Share of the real nuclei with a virtual partner, whatever its shape."""
        return _ratio(self.detected, self.truth)

    @property
    def detection_precision(self) -> float:
        """Share of the virtual nuclei with a real partner, whatever its shape."""
        return _ratio(self.detected, self.stain)

    @property
    def detection_f1(self) -> float:
        """Harmonic mean of detection recall and precision."""
        return _ratio(2 * self.detected, self.truth + self.stain)

    @property
    def f1_30(self) -> float:
        """F1 at an IoU of 0.3."""
        return _ratio(2 * self.loose, self.truth + self.stain)

    @property
    def f1_50(self) -> float:
        """F1 at an IoU of 0.5, whatever `found` was counted at."""
        return _ratio(2 * self.true_positives[0], self.truth + self.stain)

    @property
    def ap_50(self) -> float:
        """Average precision at IoU 0.5, TP / (TP + FP + FN)."""
        return self._ap(self.true_positives[0])

    @property
    def ap(self) -> float:
        """Mean of TP / (TP + FP + FN) over `THRESHOLDS`, as Cellpose and StarDist report it."""
        return float(np.mean([self._ap(tp) for tp in self.true_positives]))

    def figures(self) -> dict[str, Any]:
        """Return all figures and counts under the names that reports use; NaN becomes None."""
        values = {name: getattr(self, name) for name in FIGURES}
        return {
            **{name: None if np.isnan(v) else v for name, v in values.items()},
            "truth_nuclei": self.truth,
            "stain_nuclei": self.stain,
            **{f.name: getattr(self, f.name) for f in fields(self)[2:]},
        }

    def _ap(self, true_positives: int) -> float:
        return _ratio(true_positives, self.truth + self.stain - true_positives)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
