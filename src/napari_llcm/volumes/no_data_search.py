"""Find the voxels that hold no data, in one pass over the planes of a stack.

One exact value over a stretch is a filling unless it goes over into its surroundings: nuclei that
saturate have bright rims, a background that was clipped or masked has the faintest voxels at its
border, a plateau of few grey values has neighbours one grey value away, labels are nothing but
plateaus. A frame, a corner or a dead plane cuts through whatever is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from .no_data import LINE, SQUARE, NoData, not_finite, stretches
from .volume import Volume, planes

_MOST = 6  # values looked at in one plane, those that fill most of it
_ENOUGH, _AGAIN = 4, 8  # a value that is data in so many planes is looked at in every eighth
_VERIFIED = 4096  # stretches of a plane looked at in full
_SAMPLE = 40_000  # voxels of a plane that its percentiles are estimated from
_KEPT = 256  # voxels of each plane kept, to tell how common a value is
_PLATEAUS = 0.8  # share of equal neighbours above which a picture is made of plateaus: labels
_SMOOTH = 0.5  # neighbours of a value this much nearer to it than other voxels go over into it
_TOUCHING = 0.5  # share of the faintest voxels that touch a background which was clipped
_GAP = 2.0  # a value this many times the range of all others away from them is no grey value
_STAYS = 0.5  # share of a filling's voxels that fill the same place of every plane
_MASKED = 0.2  # share of one value above which a user is told

_SIDES = ("top", "bottom", "left", "right")


@dataclass
class _Value:
    """What is known of one value that fills stretches."""

    filling: int = 0  # voxels in planes where it looks like a filling
    data: int = 0  # the same where it goes over into its surroundings
    planes: int = 0
    voxels: int = 0
    looked: int = 0  # all voxels of the planes looked at
    sides: set[str] = field(default_factory=set)
    always: np.ndarray | None = None  # the voxels (y, x) that it fills in every plane looked at

    @property
    def is_filling(self) -> bool:
        return self.filling > self.data

    @property
    def stays(self) -> bool:
        """Whether it fills the same place of every plane, as a frame does and no nucleus."""
        whole = 0 if self.always is None else int(self.always.sum()) * self.planes
        return whole > _STAYS * self.voxels

    def is_settled(self, z: int) -> bool:
        """Return whether it was data in so many planes that this one need not be asked."""
        return not self.is_filling and self.planes >= _ENOUGH and z % _AGAIN > 0


class NoDataSearch:
    """Takes the planes of a stack one after another and tells which voxels hold no data.

    Attributes
    ----------
    least, most : float
        The smallest and the largest finite value so far; inf and -inf where there was none.
    """

    def __init__(self) -> None:
        self.least, self.most = np.inf, -np.inf
        self._values: dict[float, _Value] = {}
        self._constant: dict[int, float] = {}  # planes of one value; NaN where none is finite
        self._bad, self._bad_stretches, self._bad_sides = 0, 0, set[str]()
        self._kept: list[np.ndarray] = []
        self._voxels = 0
        self._saturated: float | None = None  # the largest value, where values are whole numbers

    def add(self, z: int, plane: np.ndarray) -> None:
        """Look at plane z (y, x)."""
        if not plane.size:
            self._constant[z] = float("nan")
            return
        self._voxels += plane.size
        smallest, largest = float(plane.min()), float(plane.max())
        finite, bad = plane, None
        if not np.isfinite([smallest, largest]).all():  # min and max pass NaN on
            bad = not_finite(plane)
            finite = plane[~bad]
            if not finite.size:
                self._constant[z] = float("nan")
                return
            smallest, largest = float(finite.min()), float(finite.max())
        self.least, self.most = min(self.least, smallest), max(self.most, largest)
        if smallest == largest:
            self._constant[z] = smallest
            return
        if bad is not None:
            self._bad += int(bad.sum())
            flat = stretches(bad)
            self._bad_stretches += int(flat.sum())
            self._bad_sides |= _sides(flat)
        if plane.dtype.kind in "iu":
            self._saturated = max(largest, largest if self._saturated is None else self._saturated)
        self._kept.append(finite.ravel()[:: max(finite.size // _KEPT, 1)])
        values = _flat_values(plane)
        if all(v in self._values and self._values[v].is_settled(z) for v in values):
            return
        found = {v: stretches(plane == v) for v in values}
        for value, flat in found.items():
            count = int(flat.sum())
            if not count:
                continue
            known = self._values.setdefault(value, _Value())
            if known.is_settled(z):
                continue
            known.planes += 1
            known.voxels += count
            known.looked += plane.size
            known.always = flat if known.always is None else known.always & flat
            # nuclei that saturate beside a frame go over into their rims, not into the frame
            rest = np.ones(plane.shape, bool) if bad is None else ~bad
            for other, elsewhere in found.items():
                if other != value:
                    rest &= ~elsewhere
            if _is_data(plane, value, rest, flat):
                known.data += count
            else:
                known.filling += count
                known.sides |= _sides(flat)

    def found(self) -> NoData:
        """Return what holds no data."""
        # a camera's largest value, here and there, is where it saturates: that is data
        fillings = {
            v: k
            for v, k in self._values.items()
            if k.is_filling and (v != self._saturated or k.stays)
        }
        dead = [z for z, v in self._constant.items() if v in fillings or not self._common(v)]
        plane = self._voxels / max(len(self._kept) + len(self._constant), 1)
        count = len(dead) * plane + self._bad + sum(k.voxels for k in fillings.values())
        masked = [k.voxels / k.looked for v, k in self._values.items() if v not in fillings]
        largest = max(masked, default=0.0)
        return NoData(
            values=tuple(sorted(fillings)),
            planes=tuple(sorted(dead)),
            share=min(count / max(self._voxels, 1), 1.0),
            where=" and ".join(self._words(fillings, dead)),
            masked=largest if largest >= _MASKED else 0.0,
        )

    def _common(self, value: float) -> bool:
        """Return whether most voxels of the other planes have a value: it is a background."""
        if np.isnan(value) or not self._kept:
            return not np.isnan(value)  # a volume of one value is told elsewhere
        return float(np.mean(np.concatenate(self._kept) == value)) >= 0.5

    def _words(self, fillings: dict[float, _Value], dead: list[int]) -> Iterable[str]:
        for value, known in fillings.items():
            yield f"the value {value:g} {_place(known.sides)}"
        if self._bad:
            scattered = self._bad_stretches < self._bad / 2
            where = "scattered" if scattered else _place(self._bad_sides)
            yield f"NaN or infinite values {where}"
        if dead:
            kinds = Counter(str(np.float32(self._constant[z])) for z in dead)
            what = " or ".join("NaN" if k == "nan" else f"{float(k):g}" for k in kinds)
            yield f"{_runs(dead)}, {what} throughout"


def find_no_data(volume: Volume) -> NoData:
    """Return which voxels of a stack hold no data.

    Parameters
    ----------
    volume : Volume
        Axes "zyx"; read plane by plane.
    """
    search = NoDataSearch()
    for z, plane in enumerate(planes(volume)):
        search.add(z, plane)
    return search.found()


def _is_data(plane: np.ndarray, value: float, rest: np.ndarray, flat: np.ndarray) -> bool:
    """Return whether a value that fills stretches goes over into what surrounds it.

    Parameters
    ----------
    plane : ndarray
        (y, x).
    value : float
        The value.
    rest : ndarray of bool
        The finite voxels that lie in no stretch of another value.
    flat : ndarray of bool
        The stretches of this value.
    """
    from scipy.ndimage import binary_dilation

    mask = plane == value
    other = rest & ~mask
    near = np.ones((3, 3), bool)
    border = plane[other & binary_dilation(flat, near)].astype(np.float64)
    around = plane[other].astype(np.float64)
    if len(border) < 4 or not len(around):
        return True  # nothing to tell by
    both = other[:, 1:] & other[:, :-1]
    steps = np.abs(np.diff(plane.astype(np.float64), axis=1)[both])
    if not len(steps) or np.mean(steps == 0) > _PLATEAUS:
        return True
    away = float(np.median(np.abs(border - value)))
    if away <= 2 * steps[steps > 0].min():
        return True
    sample = around[:: max(len(around) // _SAMPLE, 1)]
    lowest, least, faint, highest = np.percentile(sample, (1, 5, 10, 99))
    if np.abs(sample - value).min() > _GAP * (highest - lowest):
        return False
    if value <= least:
        faintest = other & (plane <= faint)
        touching = faintest & binary_dilation(mask, near)
        return bool(touching.sum() > _TOUCHING * faintest.sum())
    return away <= _SMOOTH * float(np.median(np.abs(sample - value)))


def _flat_values(plane: np.ndarray) -> list[float]:
    """Return the values that fill stretches of a plane, those that fill most of it first.

    A square of 7 voxels holds 2 × 2 points of a grid of every third voxel, a line of 31 three of
    every tenth: they are looked at first, which costs little where nothing is flat.
    """
    found = []
    step = SQUARE // 2
    grid = plane[::step, ::step]
    same = (
        (grid[:-1, :-1] == grid[1:, :-1])
        & (grid[:-1, :-1] == grid[:-1, 1:])
        & (grid[:-1, :-1] == grid[1:, 1:])
    )
    y, x = (step * i for i in _some(same))
    inside = np.arange(step + 1)
    parts = plane[y[:, None, None] + inside[:, None], x[:, None, None] + inside]
    found.append(parts[(parts == parts[:, :1, :1]).all((1, 2)), 0, 0])
    step = LINE // 3
    for turned in (plane, plane.T):
        grid = turned[:, ::step]
        y, x = _some((grid[:, :-2] == grid[:, 1:-1]) & (grid[:, 1:-1] == grid[:, 2:]))
        parts = turned[y[:, None], step * x[:, None] + np.arange(2 * step + 1)]
        found.append(parts[(parts == parts[:, :1]).all(1), 0])
        if min(plane.shape) < LINE and turned.shape[1] >= SQUARE:  # lines are as short as the plane
            whole = (turned[:, 1:] == turned[:, :-1]).all(1)
            found.append(turned[whole, 0])
    values = Counter(np.concatenate(found).tolist())
    return [float(v) for v, _ in values.most_common(_MOST)]


def _some(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices (y, x) of a mask, evenly thinned where there are very many."""
    y, x = np.nonzero(mask)
    thin = slice(None, None, max(len(y) // _VERIFIED, 1))
    return y[thin], x[thin]


def _sides(mask: np.ndarray) -> set[str]:
    """Return which sides of its plane a mask touches."""
    edges = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    return {side for side, edge in zip(_SIDES, edges, strict=True) if edge.any()}


def _place(sides: set[str]) -> str:
    """Return in words where a region lies that touches some sides of its planes."""
    if len(sides) == 4:
        return "in a frame around the field"
    if not sides:
        return "inside the field"
    ordered = [side for side in _SIDES if side in sides]
    if len(ordered) == 2 and set(ordered) not in ({"top", "bottom"}, {"left", "right"}):
        return f"in the corner at the {' '.join(ordered)}"
    return f"along the {' and '.join(ordered)}"


def _runs(numbers: list[int]) -> str:
    """Return planes in words: "planes 0 to 3, 7"."""
    runs: list[list[int]] = []
    for n in sorted(numbers):
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    words = [str(a) if a == b else f"{a} to {b}" for a, b in runs[:4]]
    more = ", …" if len(runs) > 4 else ""
    return f"plane{'s' if len(numbers) > 1 else ''} {', '.join(words)}{more}"
