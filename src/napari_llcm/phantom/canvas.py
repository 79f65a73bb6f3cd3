"""A grid that shapes are painted on: Hounsfield units, and which tissue each voxel is.

Shapes are signed distances in mm, below 0 inside. A voxel that a surface cuts gets its share of
both tissues (partial volume), so that surfaces lie between planes as they do in a scan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Point = Sequence[float] | np.ndarray  # z, y, x in mm
Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
TISSUES = (
    "outside", "fat", "muscle", "lung", "bone", "blood", "heart", "liver", "airway", "embolus",
    "nodule",
)  # fmt: skip


class Canvas:
    """Tissue and HU on a grid.

    Parameters
    ----------
    shape : sequence of int
        Planes, rows, columns.
    step : sequence of float
        Voxel size (z, y, x) in mm.
    middle : sequence of float
        Where the middle of the grid lies in the body (z, y, x) in mm.

    Attributes
    ----------
    hu : ndarray
        (z, y, x), float32.
    tissue : ndarray
        (z, y, x), uint8: index into `TISSUES`.
    """

    def __init__(
        self, shape: Sequence[int], step: Sequence[float], middle: Sequence[float]
    ) -> None:
        self.step = tuple(step)
        self.axes = [
            (np.arange(n, dtype=np.float32) - (n - 1) / 2) * s + m
            for n, s, m in zip(shape, step, middle, strict=True)
        ]
        self.hu = np.full(tuple(shape), -1000.0, np.float32)
        self.tissue = np.zeros(tuple(shape), np.uint8)

    def grid(self, box: Sequence[slice] = (slice(None),) * 3) -> tuple[np.ndarray, ...]:
        """Return z, y and x of a box in mm, each along its own axis."""
        z, y, x = (a[b] for a, b in zip(self.axes, box, strict=True))
        return z[:, None, None], y[:, None], x

    def box(self, low: Point, high: Point) -> tuple[slice, ...]:
        """Return the voxels between two corners (z, y, x) in mm, and one more on each side."""
        spans = zip(self.axes, low, high, self.step, strict=True)
        return tuple(
            slice(*np.searchsorted(a, (lo - s, hi + s)).tolist()) for a, lo, hi, s in spans
        )

    def paint(
        self,
        distance: np.ndarray | Distance,
        value: float | np.ndarray,
        tissue: str,
        box: Sequence[slice] = (slice(None),) * 3,
    ) -> None:
        """Fill a shape.

        Parameters
        ----------
        distance : ndarray or callable
            Signed distance in mm in the box, or what returns it of z, y and x.
        value : float or ndarray
            HU; an array is of the whole grid.
        tissue : str
            One of `TISSUES`.
        box : sequence of slice
            Part of the grid outside of which nothing of the shape lies.
        """
        box = tuple(box)
        hu = self.hu[box]
        if not hu.size:
            return
        d = distance(*self.grid(box)) if callable(distance) else distance
        share = np.clip(0.5 - d / np.mean(self.step), 0, 1)
        inside = value[box] if isinstance(value, np.ndarray) else value
        self.hu[box] = hu + share * (inside - hu)
        self.tissue[box][share > 0.5] = TISSUES.index(tissue)

    def tube(
        self,
        start: Point,
        end: Point,
        radii: tuple[float, float],
        value: float | np.ndarray,
        tissue: str,
    ) -> None:
        """Fill a tube with round ends whose radius goes from one to another, in mm."""
        a, b = np.asarray(start, float), np.asarray(end, float)
        most = max(radii)
        box = self.box(np.minimum(a, b) - most, np.maximum(a, b) + most)
        self.paint(lambda z, y, x: tube_distance(a, b, radii, z, y, x), value, tissue, box)

    def ball(
        self,
        middle: Point,
        radii: Point,
        value: float | np.ndarray,
        tissue: str,
    ) -> None:
        """Fill an ellipsoid, in mm."""
        m, r = np.asarray(middle, float), np.asarray(radii, float)
        self.paint(ellipsoid(middle, radii), value, tissue, self.box(m - r, m + r))


def tube_distance(
    a: np.ndarray, b: np.ndarray, radii: tuple[float, float], z: Any, y: Any, x: Any
) -> np.ndarray:
    """Return the signed distance to a tube from a to b (z, y, x)."""
    along = b - a
    t = (z - a[0]) * along[0] + (y - a[1]) * along[1] + (x - a[2]) * along[2]
    t = np.clip(t / max(float(along @ along), 1e-9), 0, 1)
    aside = [p - (start + t * by) for p, start, by in zip((z, y, x), a, along, strict=True)]
    far = np.sqrt(aside[0] ** 2 + aside[1] ** 2 + aside[2] ** 2)
    return np.asarray(far - (radii[0] + t * (radii[1] - radii[0])))


def ellipsoid(middle: Point, radii: Point) -> Distance:
    """Return the signed distance to an ellipsoid (z, y, x), exact near its surface."""

    def distance(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return it at points, in their unit; negative inside."""
        apart = [p - m for p, m in zip((z, y, x), middle, strict=True)]
        near = np.sqrt(sum((p / r) ** 2 for p, r in zip(apart, radii, strict=True)))
        slope = np.sqrt(sum((p / r**2) ** 2 for p, r in zip(apart, radii, strict=True)))
        return np.asarray(near * (near - 1) / np.maximum(slope, 1e-6), np.float32)

    return distance


def grain(
    rng: np.random.Generator, shape: Sequence[int], step: Sequence[float], size: float
) -> np.ndarray:
    """Return a random texture of deviation 1 whose grains are so many mm, float32."""
    from scipy.ndimage import gaussian_filter

    sigma = [size / (2 * s) for s in step]
    # grains of many voxels are drawn on a grid of their own and drawn out
    apart = [max(int(s), 1) for s in sigma]
    few = [n // a + 2 for n, a in zip(shape, apart, strict=True)]
    noise = rng.standard_normal(few, np.float32)
    noise = gaussian_filter(
        noise, [s / a for s, a in zip(sigma, apart, strict=True)], mode="wrap", truncate=3
    )
    noise = stretched(noise / max(float(noise.std()), 1e-9), shape, apart)
    return noise


def stretched(coarse: np.ndarray, shape: Sequence[int], apart: Sequence[int]) -> np.ndarray:
    """Return a coarse array on a grid so many times as fine, linear between its values."""
    for axis, (count, step) in enumerate(zip(shape, apart, strict=True)):
        if step == 1:
            coarse = np.take(coarse, np.arange(count), axis)
            continue
        at = np.arange(count, dtype=np.float32) / step
        low = at.astype(int)
        part = (at - low).reshape([-1 if i == axis else 1 for i in range(3)])
        coarse = np.take(coarse, low, axis) * (1 - part) + np.take(coarse, low + 1, axis) * part
    return np.asarray(coarse, np.float32)
