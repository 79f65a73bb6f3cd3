"""Where the correlation of two stacks peaks, and how sure that is.

Two questions are asked. Does the peak stand out? It is compared with the highest of the same search
in which the DAPI is mirrored: it has the same texture and statistics, but shows no common place.
Does it stay where it is? The parts of the field are drawn anew, with repetition (a bootstrap), and
the peak is looked for each time. In a field of few nuclei one or two of them make the peak, and
without these it is elsewhere: it is then no evidence of a shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .correlation import Array, Vector, correlations, subvoxel, surface

_MIRRORS = ((1,), (2,), (1, 2), (0, 1), (0, 2), (0, 1, 2))
_DRAWS = 100
Products = tuple[Array, Array]  # as `correlations` returns them


@dataclass(frozen=True)
class Search:
    """The products of two stacks at each lag, part by part, and of the same with one mirrored.

    Parameters
    ----------
    found : tuple of ndarray
        As `correlations` returns them.
    mirrored : list of tuple of ndarray
        The same for each of the mirrored stacks.
    signs : tuple of int
        1, where structures are bright in both, and -1, where they may be dark in one.
    """

    found: Products
    mirrored: list[Products]
    signs: tuple[int, ...]

    def of(self, parts: Sequence[int]) -> Search:
        """Return the search in some of the parts."""
        chosen = list(parts)
        return Search(
            (self.found[0][chosen], self.found[1][chosen]),
            [(p[chosen], o[chosen]) for p, o in self.mirrored],
            self.signs,
        )


@dataclass(frozen=True)
class Peak:
    """Where a correlation peaks.

    Parameters
    ----------
    lag : tuple of float
        Steps of the grid (z, y, x).
    height : float
        Correlation there, -1 to 1.
    score : float
        Height over the highest of chance.
    chance : float
        The highest of chance.
    at_edge : bool
        Whether it lies at the edge of what was searched: the true one may lie beyond.
    mirror : tuple of int
        Axes along which the other must be mirrored to fit far better; empty if it need not.
    """

    lag: Vector
    height: float
    score: float
    chance: float
    at_edge: bool
    mirror: tuple[int, ...] = ()


def search(
    fixed: Array,
    moving: Array,
    parts: Sequence[tuple[slice, slice, slice]],
    lags: Array,
    signs: tuple[int, ...],
) -> Search:
    """Return the products of two stacks (from `contrasts`) at each lag, for each part."""
    mirrored = [np.flip(moving, [axis + 1 for axis in mirror]) for mirror in _MIRRORS]
    return Search(
        correlations(fixed, moving, parts, lags),
        [correlations(fixed, m, parts, lags) for m in mirrored],
        signs,
    )


def peak(looked: Search) -> Peak:
    """Return the peak of a search."""
    surfaces = [surface(*looked.found, sign) for sign in looked.signs]
    found = max(surfaces, key=lambda s: float(s.max()))
    chance = np.stack(
        [[surface(*products, sign) for sign in looked.signs] for products in looked.mirrored]
    )
    heights = chance.max((1, 2, 3, 4))
    top = tuple(int(i) for i in np.unravel_index(found.argmax(), found.shape))
    height, highest = float(found[top]), float(heights.max())
    others = np.append(np.sort(heights)[:-1], height)
    return Peak(
        lag=subvoxel(found, top),
        height=height,
        score=height / max(highest, 1e-30),
        chance=highest,
        at_edge=any(i in (0, n - 1) and n > 1 for i, n in zip(top, found.shape, strict=True)),
        mirror=_MIRRORS[int(heights.argmax())] if highest > 1.4 * others.max() else (),
    )


def drawn(looked: Search) -> Array:
    """Return where the peak is when parts are drawn anew: (draws, 3), in steps of the grid."""
    products, overlaps = looked.found
    rng = np.random.default_rng(0)
    middle = np.array(overlaps.shape[1:]) // 2
    lags = []
    for _ in range(_DRAWS):
        chosen = rng.integers(len(products), size=len(products))
        surfaces = [surface(products[chosen], overlaps[chosen], sign) for sign in looked.signs]
        best = max(surfaces, key=lambda s: float(s.max()))
        lags.append(np.array(np.unravel_index(best.argmax(), best.shape)) - middle)
    return np.stack(lags)
