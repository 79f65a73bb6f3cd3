"""What is left of a comparison when virtual nuclei below a confidence are not believed.

Quick enough to follow a slider: nothing is segmented or matched again.
"""

from __future__ import annotations

from collections.abc import Sequence

from .counts import LOOSE, THRESHOLDS, Counts
from .table import Row

CONFIDENCE = "confidence"


def confidences(rows: Sequence[Row]) -> list[float]:
    """Return the confidences that are known, one for each row that has one."""
    return [float(row[CONFIDENCE]) for row in rows if row.get(CONFIDENCE) is not None]


def at_confidence(rows: Sequence[Row], threshold: float) -> list[Row]:
    """Return the table as it is without the virtual nuclei below a confidence.

    Recall, precision and F1 of what is left are exact, because a pair with an IoU of one half or
    more has no rival. Of a real nucleus that was merged or split, and has lost its partner, it is
    said that it is missed, though another piece of it may be left.

    Parameters
    ----------
    rows : sequence of dict
        A table; the confidence of a real nucleus is that of its virtual partner. Rows without a
        confidence stay as they are.
    threshold : float
        The least confidence that is believed.

    Returns
    -------
    list of dict
        The rows that are left: real nuclei all, without the partner they lost; of virtual ones
        those that are believed.
    """
    left = []
    for row in rows:
        confidence = row.get(CONFIDENCE)
        if confidence is None or confidence >= threshold:
            left.append(row)
        elif row["image"] == "truth":
            lost = {"verdict": "missed", "detected": False, "partner": None, "iou": 0.0}
            left.append({**row, **lost})
    return left


def counts_of(rows: Sequence[Row]) -> Counts:
    """Return the counts of a table.

    Parameters
    ----------
    rows : sequence of dict
        From `make_table`, or what `at_confidence` has left of it.

    Returns
    -------
    Counts
        As `match_nuclei` counts, but for AP at IoU thresholds above the table's own.
    """
    real = [row for row in rows if row["image"] == "truth"]
    virtual = [row for row in rows if row["image"] == "stain"]
    tally = {
        v: sum(row["verdict"] == v for row in real)
        for v in ("found", "misshapen", "merged", "split", "missed")
    }
    # virtual nuclei that were found or misshapen stand in their partner's row
    paired = sum(row["verdict"] in ("found", "misshapen") for row in real)
    found = [row["iou"] for row in real if row["verdict"] == "found"]
    return Counts(
        truth=len(real),
        stain=paired + len(virtual),
        hallucinated=sum(row["verdict"] == "hallucinated" for row in virtual),
        detected=sum(bool(row["detected"]) for row in real),
        loose=sum(bool(row["detected"]) and row["iou"] >= LOOSE for row in real),
        true_positives=tuple(sum(iou >= t for iou in found) for t in THRESHOLDS),
        **tally,
    )
