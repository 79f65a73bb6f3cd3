"""Geometry of tiles: boxes with halos on a padded grid. No arrays, no networks.

A box is (start, stop) for z, y and x. Networks with zero-padded convolutions are wrong near the
edge of a window that is not the volume's edge; a halo as wide as their reach is computed too and
thrown away. Windows start on multiples of the networks' strides, so that strided grids line up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import product

Box = tuple[tuple[int, int], ...]


def padded(shape: Sequence[int], multiple: Sequence[int]) -> tuple[int, int, int]:
    """Return the smallest multiple of `multiple` that holds `shape`."""
    z, y, x = (-(-n // m) * m for n, m in zip(shape, multiple, strict=True))
    return (z, y, x)


def tiles(shape: Sequence[int], tile: Sequence[int]) -> list[Box]:
    """Return the boxes of a regular grid of tiles over `shape`; the last ones are cut."""
    axes = [[(a, min(a + t, n)) for a in range(0, n, t)] for n, t in zip(shape, tile, strict=True)]
    return list(product(*axes))


def tiles_within(box: Box, tile: Sequence[int]) -> list[Box]:
    """Return the boxes of a regular grid of tiles over a box; the last ones are cut."""
    starts, shape = zip(*((a, b - a) for a, b in box), strict=True)
    return [
        tuple((a + s, b + s) for (a, b), s in zip(t, starts, strict=True))
        for t in tiles(shape, tile)
    ]


def bounds(boxes: Iterable[Box]) -> Box:
    """Return the smallest box around some."""
    axes = zip(*boxes, strict=True)
    return tuple((min(a for a, _ in axis), max(b for _, b in axis)) for axis in axes)


def window(
    box: Box, halo: Sequence[int], shape: Sequence[int], align: Sequence[int] = (1, 1, 1)
) -> Box:
    """Return `box` with its halo, stretched to multiples of `align`, cut to `shape`."""
    return tuple(
        (max((a - h) // s * s, 0), min(-(-(b + h) // s) * s, n))
        for (a, b), h, n, s in zip(box, halo, shape, align, strict=True)
    )


def scaled(box: Box, factor: Sequence[int]) -> Box:
    """Return a box of latent sites in voxels."""
    return tuple((a * f, b * f) for (a, b), f in zip(box, factor, strict=True))


def slices(box: Box, within: Box | None = None) -> tuple[slice, ...]:
    """Return the slices that cut `box` out of the whole, or out of the window `within`."""
    origin = (0,) * len(box) if within is None else tuple(a for a, _ in within)
    return tuple(slice(a - o, b - o) for (a, b), o in zip(box, origin, strict=True))


def size(box: Box) -> int:
    """Return how many sites a box holds."""
    return math.prod(b - a for a, b in box)


def shared(one: Box, other: Box) -> int:
    """Return how many sites two boxes share."""
    spans = zip(one, other, strict=True)
    return math.prod(max(min(b, d) - max(a, c), 0) for (a, b), (c, d) in spans)


def common(one: Box, other: Box) -> Box:
    """Return the sites that two overlapping boxes share."""
    spans = zip(one, other, strict=True)
    return tuple((max(a, c), min(b, d)) for (a, b), (c, d) in spans)


def covered(box: Box, done: Iterable[Box]) -> bool:
    """Return whether boxes that do not overlap cover `box` together."""
    return sum(shared(box, other) for other in done) == size(box)


def halves(box: Box, align: Sequence[int] = (1, 1, 1)) -> list[Box]:
    """Return the two halves of a box along its longest axis, cut on a multiple of `align`.

    A box that is one unit of `align` along every axis is returned as it is.
    """
    units = [-(-(b - a) // s) for (a, b), s in zip(box, align, strict=True)]
    if max(units) < 2:
        return [box]
    axis = units.index(max(units))
    start, stop = box[axis]
    cut = start + units[axis] // 2 * align[axis]
    return [(*box[:axis], span, *box[axis + 1 :]) for span in ((start, cut), (cut, stop))]


def distance(box: Box, point: Sequence[float]) -> float:
    """Return how far a point is from the nearest site of a box."""
    return math.hypot(*(max(a - p, p - b, 0) for (a, b), p in zip(box, point, strict=True)))
