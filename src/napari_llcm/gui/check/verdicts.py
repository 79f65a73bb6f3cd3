"""Verdicts as the Check panel shows them: groups, colours, words."""

from __future__ import annotations

from collections.abc import Sequence

from ...nuclei.figures import COLOURS
from ...nuclei.table import Row
from ...nuclei.thresholding import CONFIDENCE

NUCLEUS, UNSURE = "#56B4E9", "#E69F00"  # Okabe & Ito (2008), as the others
CHOSEN = "#FFFFFF"
WORDS = {
    "found": "found",
    "missed": "missed",
    "hallucinated": "hallucinated",
    "misshapen": "wrong shape",
    "merged": "merged",
    "split": "split",
    "nucleus": "nucleus",
}
FILTERS = {  # what the drop-down offers: verdicts that are shown
    "All nuclei": tuple(WORDS),
    "Only missed": ("missed",),
    "Only hallucinated": ("hallucinated",),
    "Only merged, split or of wrong shape": ("misshapen", "merged", "split"),
    "All that went wrong": ("missed", "hallucinated", "misshapen", "merged", "split"),
    "Only found": ("found",),
}
TIPS = {
    "found": "There in both images, with the same shape.",
    "missed": "In the real image, but absent from the virtual one.",
    "hallucinated": "In the virtual image, where the real one has no nucleus.",
    "misshapen": "In both images, but of different shape.",
    "merged": "Joined with another nucleus to one object in the virtual image.",
    "split": "In several pieces in the virtual image.",
    "nucleus": "Found in this image; whether it is real is not known without a real stain.",
}


def colour_of(row: Row, least: float = 0.0) -> str:
    """Return the colour of a nucleus; without a verdict it tells whether it is believed.

    Parameters
    ----------
    row : dict
        The nucleus.
    least : float
        The least confidence that is believed.
    """
    verdict = row["verdict"]
    if verdict == "nucleus":
        confidence = row.get(CONFIDENCE)
        return UNSURE if confidence is not None and confidence < least else NUCLEUS
    return COLOURS.get(verdict, COLOURS["wrong shape"])


def key_of(row: Row) -> tuple[str, int]:
    """Return what names a nucleus among those of both images."""
    return row["image"], row["id"]


def in_reading_order(rows: Sequence[Row]) -> list[Row]:
    """Return rows from the first plane to the last, and on a plane from top to bottom."""
    return sorted(rows, key=_place)


def neighbour(rows: Sequence[Row], current: Row | None, by: int) -> Row:
    """Return the next or previous nucleus, of the first ones after the last one.

    Parameters
    ----------
    rows : sequence of dict
        In reading order, at least one.
    current : dict, optional
        The nucleus to go on from, which need not be among them.
    by : int
        1 or -1.
    """
    keys = [key_of(row) for row in rows]
    if current is None:
        at = 0 if by > 0 else -1
    elif key_of(current) in keys:
        at = keys.index(key_of(current)) + by
    else:
        after = sum(_place(row) < _place(current) for row in rows)
        at = after if by > 0 else after - 1
    return rows[at % len(rows)]


def _place(row: Row) -> tuple[float, float, float]:
    return row["z"] or 0.0, row["y"], row["x"]  # flat nuclei tell no z
