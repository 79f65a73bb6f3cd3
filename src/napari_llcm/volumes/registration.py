"""Do a label-free stack and its DAPI show the same place? Measured before a minute is trained.

Whether a correlation means anything is judged against the same search with the DAPI mirrored: it
has the same texture and statistics, but shows no common place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..events import UserError
from .correlation import Array, Vector, contrasts, correlation, peak, steps
from .volume import Spacing, Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Verdict = Literal["registered", "shifted", "distorted", "unclear", "unrelated"]

_ASSUMED: Spacing = (1.0, 0.5, 0.5)  # µm, where a file does not tell: nuclei of 16 voxels across
_TILE = 96  # largest part compared at once, in voxels of that grid: bounds memory and time
_TOLERANCE = np.array([2.0, 0.8, 0.8])  # µm; phase itself hardly tells more along z
_DISTORTION = 2.4  # µm; parts of a registered field scatter by up to 1.5
_MIRRORS = ((1,), (2,), (1, 2), (0, 1), (0, 2), (0, 1, 2))
_CHANCE, _SURE = 1.15, 1.4  # score: unrelated pairs reach 1.0 to 1.3, pairs of one field 1.6 to 3
_PART = 1.5  # score of a part of the field, or of a row of them, that can be believed


@dataclass(frozen=True)
class LocalShift:
    """The shift of one part of the field.

    Parameters
    ----------
    centre : tuple of float
        Position (y, x) in voxels.
    shift : tuple of float
        In voxels (z, y, x), as in `Registration`.
    score : float
        Height of the peak against the highest found by chance; above 1.5 it can be believed.
    """

    centre: tuple[float, float]
    shift: Vector
    score: float


@dataclass(frozen=True)
class Registration:
    """How a DAPI stack lies to its label-free stack.

    Parameters
    ----------
    verdict : str
        "registered", "shifted" (as a whole), "distorted" (parts by different shifts), "unclear"
        or "unrelated".
    sentence : str
        The verdict in words, with figures and what to do.
    shift : tuple of float
        Voxels (z, y, x) by which the DAPI must be moved to lie on the label-free stack.
    score : float
        Height of the correlation peak against the highest found by chance.
    correlation : float
        Height of the peak, -1 to 1.
    local : tuple of LocalShift
        The same for parts of the field.
    overlay : numpy.ndarray
        The middle plane of both (y, x, rgb), 0 to 1.
    """

    verdict: Verdict
    sentence: str
    shift: Vector
    score: float
    correlation: float
    local: tuple[LocalShift, ...]
    overlay: Array = field(repr=False, compare=False)

    def figure(self) -> Figure:
        """Return an overlay of both stacks with an arrow for the shift of each part of the field.

        Returns
        -------
        matplotlib.figure.Figure
            Label-free in magenta, DAPI in green; arrows, enlarged, show how DAPI must move.
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 7), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(self.overlay)
        axes.set_title(self.sentence, fontsize=9, wrap=True)
        for part in self.local:
            colour = "yellow" if part.score >= _PART else "gray"
            y, x = part.centre
            dy, dx = part.shift[1:]
            axes.plot(x, y, "o", color=colour, markersize=4)
            axes.annotate(
                f"z {part.shift[0]:+.1f}\ny {dy:+.1f}\nx {dx:+.1f}",
                (x, y),
                (x + 5 * dx, y + 5 * dy),
                color=colour,
                fontsize=7,
                arrowprops={"arrowstyle": "<-", "color": colour},
            )
        axes.set_axis_off()
        return figure


def check_registration(qpi: Volume, dapi: Volume, *, limit: float = 10.0) -> Registration:
    """Measure the shift between the two stacks of a pair, as a whole and over the field.

    Parameters
    ----------
    qpi, dapi : Volume
        Axes "zyx", same shape; read plane by plane. Where both lack a spacing, nuclei are
        taken to be about 16 voxels wide and 8 deep.
    limit : float
        Largest shift looked for, in µm along each axis (at most a third of the volume).

    Returns
    -------
    Registration
        Shifts in voxels, a verdict and a sentence.

    Raises
    ------
    UserError
        If the volumes are not two stacks of one shape.
    """
    if qpi.axes != "zyx" or qpi.shape != dapi.shape:
        raise UserError(
            f"{qpi.name} {qpi.shape} and {dapi.name} {dapi.shape} must be two stacks of one shape."
        )
    spacing = qpi.spacing or dapi.spacing or _ASSUMED
    step = np.array(steps(spacing))
    fixed, moving = (contrasts(v, spacing) for v in (qpi, dapi))
    scale = np.array([spacing[0], *(step * spacing[1:])])
    lags = np.minimum(limit / scale, np.array(fixed.shape[1:]) // 3).astype(int)
    tiles = _tiles(fixed.shape[1:])
    surfaces = np.stack([correlation(fixed[t], moving[t], lags) for t in tiles])
    chance = np.stack(
        [[correlation(fixed[t], m, lags) for m in _mirrored(moving[t])] for t in tiles]
    )
    voxels = np.array([1, *step])
    whole = peak(surfaces.sum(0), chance.sum(0), voxels)
    local = tuple(
        LocalShift(_centre(tile, step), *peak(surface, null, voxels)[:2])
        for tile, surface, null in zip(tiles, surfaces, chance, strict=True)
    )
    strips = [peak(surfaces[s].sum(0), chance[s].sum(0), voxels)[:2] for s in _strips(tiles)]
    shift, score = whole[:2]
    verdict, sentence = _judge(shift, score, strips, np.array(spacing))
    overlay = _overlay(qpi, dapi)
    return Registration(verdict, sentence, shift, score, whole[2] / len(tiles), local, overlay)


def apply_shift(volume: Volume, shift: Sequence[float], *, order: int = 1) -> Volume:
    """Return the volume moved by a rigid shift.

    What comes in from outside is the volume's median, its background, or 0 in labels: a black
    rim would look like structure.

    Parameters
    ----------
    volume : Volume
        Axes "zyx"; read into memory.
    shift : sequence of float
        Voxels (z, y, x), as in `Registration.shift`.
    order : int
        Of the spline for fractions of a voxel: 1 is linear; 0, nearest neighbour, is for labels.

    Returns
    -------
    Volume
        Same shape, dtype and spacing.
    """
    from scipy import ndimage

    data = volume.numpy()
    values = data if order == 0 else data.astype(np.float32)
    outside = 0.0 if order == 0 else float(np.median(values))
    moved = ndimage.shift(values, shift, order=order, cval=outside)
    if order > 0 and data.dtype.kind in "iu":
        moved = np.rint(moved)
    record = {**volume.metadata, "shifted_by_voxels": [float(s) for s in shift]}
    return volume.replace(data=moved.astype(data.dtype, copy=False), metadata=record)


def _judge(
    shift: Vector, score: float, strips: Sequence[tuple[Vector, float]], spacing: Array
) -> tuple[Verdict, str]:
    microns = np.abs(shift) * spacing
    figures = ", ".join(f"{s:+.1f}" for s in shift)
    if score < _CHANCE:
        return "unrelated", (
            "DAPI and label-free stack agree no better than chance: they seem to show different "
            "places; check that the right files are paired."
        )
    if score < _SURE:
        return "unclear", (
            f"DAPI may be shifted by {figures} voxels (z, y, x), but the two agree hardly better "
            "than chance: look at the overlay."
        )
    sure = np.array([moved for moved, height in strips if height >= _PART])
    if len(sure) > 1:
        spread = (np.ptp(sure, axis=0) * spacing)[1:].max()
        if spread > _DISTORTION:
            return "distorted", (
                f"Parts of the field are shifted by amounts that differ by up to {spread:.1f} µm: "
                "a rigid shift cannot mend this; register the pair elastically."
            )
    if (microns > _TOLERANCE).any():
        return "shifted", (
            f"DAPI is shifted: move it by {figures} voxels (z, y, x) to lie on the label-free "
            "stack."
        )
    return (
        "registered",
        f"DAPI lies on the label-free stack to within about {microns.max():.1f} µm.",
    )


def _tiles(shape: Sequence[int]) -> list[tuple[slice, ...]]:
    """Return up to 3 × 3 parts spread over the field, of at most `_TILE` voxels a side."""
    depth = min(shape[0], _TILE)
    z = slice((shape[0] - depth) // 2, (shape[0] + depth) // 2)
    spans = []
    for n in shape[1:]:
        count = int(np.clip(n // 32, 1, 3))
        size = min(n // count, _TILE)
        starts = np.linspace(0, n - size, count).astype(int)
        spans.append([slice(int(s), int(s) + size) for s in starts])
    return [(slice(None), z, y, x) for y in spans[0] for x in spans[1]]


def _strips(tiles: Sequence[tuple[slice, ...]]) -> list[list[int]]:
    """Return which parts make up each row and each column of the field.

    A part alone holds few nuclei: one in nine of a registered field is astray by chance, while in a
    field torn in two hardly any can be believed.
    """
    return [
        [i for i, tile in enumerate(tiles) if tile[axis].start == start]
        for axis in (2, 3)
        for start in sorted({tile[axis].start for tile in tiles})
    ]


def _mirrored(contrast: Array) -> list[Array]:
    return [np.flip(contrast, [axis + 1 for axis in mirror]) for mirror in _MIRRORS]


def _centre(tile: tuple[slice, ...], step: Array) -> tuple[float, float]:
    y, x = ((t.start + t.stop) / 2 * s for t, s in zip(tile[2:], step, strict=True))
    return float(y), float(x)


def _overlay(qpi: Volume, dapi: Volume) -> Array:
    """Return the middle plane of both as one picture (y, x, rgb), 0 to 1."""
    middle = qpi.shape[0] // 2
    grey = []
    for volume in (qpi, dapi):
        plane = np.asarray(volume.data[middle]).astype(np.float32)
        low, high = np.percentile(plane, (1, 99.7))
        grey.append(np.clip((plane - low) / max(high - low, 1e-30), 0, 1))
    return np.stack([grey[0], grey[1], grey[0]], axis=-1)
