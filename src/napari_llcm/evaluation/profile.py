"""Intensities along a line, and how wide what the line crosses is: a peak or an edge.

Resolution as it is looked at: the full width at half maximum (FWHM) of a thin structure, or over
what length an edge climbs from 10 to 90 % of its height.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from ..volumes import Volume

Kind = Literal["peak", "edge"]
_PER_VOXEL = 8  # samples; linear interpolation bends at voxels only
_ENDS = 0.1  # share of a profile, at either end, whose mean is its level there


class Profile(NamedTuple):
    """Intensities along a line.

    Parameters
    ----------
    at : ndarray
        Distance from the start of the line, in µm; in voxels where the stacks tell no spacing.
    values : dict of str to ndarray
        For each stack the intensities there.
    kind : {"peak", "edge"}
        What the line crosses, in the first stack.
    widths : dict of str to float
        For each stack the FWHM of the peak, or the length of the edge from 10 to 90 %; NaN where
        the line ends before that.
    """

    at: np.ndarray
    values: dict[str, np.ndarray]
    kind: Kind
    widths: dict[str, float]


def profile_of(
    stacks: Mapping[str, Volume], start: Sequence[float], stop: Sequence[float]
) -> Profile:
    """Return the intensities of stacks of one grid along a line.

    Parameters
    ----------
    stacks : mapping of str to Volume
        Axes "zyx", of one grid; the first one is the truth.
    start, stop : sequence of float
        Ends of the line, in voxels (z, y, x).
    """
    from scipy.ndimage import map_coordinates

    truth = next(iter(stacks.values()))
    way = np.subtract(stop, start)
    length = float(np.linalg.norm(way * truth.step))
    count = max(2, int(np.ceil(np.abs(way).max() * _PER_VOXEL)) + 1)
    share = np.linspace(0, 1, count)
    places = np.asarray(start)[:, None] + way[:, None] * share
    values = {
        name: map_coordinates(v.numpy().astype(np.float32), places, order=1, mode="nearest")
        for name, v in stacks.items()
    }
    kind, at = kind_of(next(iter(values.values()))), share * length
    return Profile(at, values, kind, {n: width_of(at, v, kind) for n, v in values.items()})


def kind_of(values: np.ndarray) -> Kind:
    """Return whether a profile ends on another level than it begins on, or comes back."""
    first, last = _levels(values)
    return "edge" if abs(last - first) > np.ptp(values) / 2 else "peak"


def width_of(at: np.ndarray, values: np.ndarray, kind: Kind) -> float:
    """Return the FWHM of the highest (or deepest) peak, or the 10-90 % length of an edge.

    Parameters
    ----------
    at, values : ndarray
        Distances and intensities.
    kind : {"peak", "edge"}
        Which of them.

    Returns
    -------
    float
        In the unit of `at`; NaN where the profile is level, or ends before both crossings.
    """
    first, last = _levels(values)
    if kind == "edge":
        if first == last:
            return float("nan")
        height = (values - first) / (last - first)
        # the edge is where half of its height is first reached
        middle = int(np.argmax(height >= 0.5))
        return _crossing(at, height, middle, 1, 0.9) - _crossing(at, height, middle, -1, 0.1)
    base = (first + last) / 2
    top = int(np.argmax(np.abs(values - base)))
    if values[top] == base:
        return float("nan")
    height = (values - base) / (values[top] - base)
    return _crossing(at, height, top, 1, 0.5) - _crossing(at, height, top, -1, 0.5)


def _levels(values: np.ndarray) -> tuple[float, float]:
    n = max(1, round(_ENDS * len(values)))
    return float(values[:n].mean()), float(values[-n:].mean())


def _crossing(at: np.ndarray, height: np.ndarray, start: int, way: int, level: float) -> float:
    """Return where a level is first crossed, going one way from a sample; NaN if nowhere."""
    above = height[start] > level
    i = start
    while 0 <= i + way < len(height):
        before, i = i, i + way
        if (height[i] > level) != above:
            share = (level - height[before]) / (height[i] - height[before])
            return float(at[before] + share * (at[i] - at[before]))
    return float("nan")
