"""Do a label-free stack and its DAPI show the same place? Measured before a minute is trained.

A verdict needs evidence (see `alignment`): where a field is too small, or too empty, to tell, it is
"unclear". How often that is, and how often a verdict is wrong, is in docs/registration.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..events import UserError
from .alignment import Peak, drawn, peak, search
from .correlation import Array, Vector, contrasts, of_columns, steps
from .flat import is_flat, project
from .no_data import not_finite
from .no_data_search import find_no_data
from .registration_figure import SURE, overlay_of
from .volume import Spacing, Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Verdict = Literal["registered", "shifted", "distorted", "unclear", "unrelated"]

_ASSUMED: Spacing = (1.0, 0.5, 0.5)  # µm, where a file does not tell: nuclei of 16 voxels across
_TILE = 96  # largest part compared at once, in voxels of that grid: bounds memory and time
_PARTS, _SMALLEST = 3, 8  # along y and along x, and the least width of one in voxels of that grid
_TOLERANCE = np.array([2.0, 0.8, 0.8])  # µm; phase itself hardly tells more along z
_AT_REST = np.array([2.0, 1.0, 1.0])  # µm; the same for peaks at whole steps of the grid
_DISTORTION = 2.4  # µm; parts of a registered field scatter by up to 1.5
_STRIP = 24  # least width of a row or column of parts that is looked at by itself, in that grid
_CHANCE, _SURE = 1.15, 1.4  # score: unrelated pairs reach 1.0 to 1.3, pairs of one field 1.5 to 4
_RELATED = 0.2  # pairs of one field correlate by .25 (hard) to .7: lower chance cannot hide them
_STAYS, _RETURNS = 0.8, 0.02  # share of draws that peak where the field does, and without a shift


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
    notes : tuple of str
        What a user should know: which stack has voxels without data.
    """

    verdict: Verdict
    sentence: str
    shift: Vector
    score: float
    correlation: float
    local: tuple[LocalShift, ...]
    overlay: Array = field(repr=False, compare=False)
    notes: tuple[str, ...] = ()

    def figure(self) -> Figure:
        """Return an overlay of both stacks with an arrow for the shift of each part of the field.

        Returns
        -------
        matplotlib.figure.Figure
            Label-free in magenta, DAPI in green; arrows, enlarged, show how DAPI must move.
        """
        from .registration_figure import draw

        return draw(self)


def check_registration(
    qpi: Volume, dapi: Volume, *, stain: Volume | None = None, limit: float = 10.0
) -> Registration:
    """Measure the shift between the two stacks of a pair, as a whole and over the field.

    That of a flat DAPI is measured in its plane, against the columns of the stack.

    Parameters
    ----------
    qpi, dapi : Volume
        Axes "zyx", same shape; read plane by plane. Where both lack a spacing, nuclei are
        taken to be about 16 voxels wide and 8 deep.
    stain : Volume, optional
        Virtual DAPI of `qpi`: compared in its place, nuclei with nuclei, it tells far more.
    limit : float
        Largest shift looked for, in µm along each axis (at most a third of the volume).

    Returns
    -------
    Registration
        Shifts in voxels, a verdict and a sentence.

    Raises
    ------
    UserError
        If the volumes are not stacks of one shape.
    """
    if is_flat(dapi) and stain is not None and not is_flat(stain):
        stain = project(stain)
    for other in (dapi, stain):
        if other is None:
            continue
        shape = (1, *qpi.shape[1:]) if is_flat(other) else qpi.shape
        if qpi.axes != "zyx" or shape != other.shape:
            raise UserError(
                f"{qpi.name} {qpi.shape} and {other.name} {other.shape} must be two stacks of one "
                "shape."
            )
    spacing = qpi.spacing or dapi.spacing or _ASSUMED
    step = np.array(steps(spacing))
    holes = [find_no_data(volume) for volume in (qpi, dapi)]
    seen = (qpi if stain is None else stain, dapi)
    fixed, moving = (contrasts(v, spacing, n) for v, n in zip(seen, holes, strict=True))
    if fixed.shape[1] > moving.shape[1]:
        fixed = of_columns(fixed)
    scale = np.array([spacing[0], *(step * spacing[1:])])
    lags = np.minimum(limit / scale, np.array(fixed.shape[1:]) // 3).astype(int)
    parts = _parts(fixed.shape[1:])
    looked = search(fixed, moving, parts, lags, (1, -1) if stain is None else (1,))
    voxels = np.array([1, *step])
    whole = peak(looked)
    local = tuple(
        LocalShift(_centre(part, step), _in_voxels(found, voxels), found.score)
        for part, found in ((p, peak(looked.of([i]))) for i, p in enumerate(parts))
    )
    strips = [peak(looked.of(strip)) for strip in _strips(parts)]
    verdict, sentence = _judge(whole, strips, drawn(looked) * scale, scale, voxels)
    told = tuple(n.sentence(v.name) for n, v in zip(holes, (qpi, dapi), strict=True) if n)
    return Registration(
        verdict,
        sentence,
        _in_voxels(whole, voxels),
        whole.score,
        whole.height,
        local,
        overlay_of(qpi, dapi, holes),
        told,
    )


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
    empty = not_finite(values)  # would spread over every neighbour
    outside = 0.0 if order == 0 or empty.all() else float(np.median(values[~empty]))
    values = np.where(empty, np.float32(outside), values) if empty.any() else values
    moved = ndimage.shift(values, shift, order=order, cval=outside)
    if order > 0 and data.dtype.kind in "iu":
        moved = np.rint(moved)
    record = {**volume.metadata, "shifted_by_voxels": [float(s) for s in shift]}
    return volume.replace(data=moved.astype(data.dtype, copy=False), metadata=record)


def _judge(
    whole: Peak, strips: Sequence[Peak], draws: Array, scale: Array, voxels: Array
) -> tuple[Verdict, str]:
    """Return verdict and sentence.

    Parameters
    ----------
    whole : Peak
        Of the field.
    strips : sequence of Peak
        Of its rows and columns, compared with the field's.
    draws : ndarray
        Peaks of parts drawn anew (draws, 3), in µm.
    scale, voxels : ndarray
        Of a step of the grid: µm and voxels (z, y, x).
    """
    microns = np.array(whole.lag) * scale
    figures = ", ".join(f"{s:+.1f}" for s in _in_voxels(whole, voxels))
    if whole.score < _CHANCE and whole.mirror:
        axes = " and ".join("zyx"[axis] for axis in whole.mirror)
        return "unrelated", f"DAPI fits the label-free stack only if it is mirrored along {axes}."
    if whole.score < _CHANCE and whole.chance < _RELATED:
        return "unrelated", (
            "DAPI and label-free stack agree no better than chance: they show different places, or "
            "this microscope shows nuclei by neither texture nor size, as brightfield of flat "
            "cells; check that the right files are paired, and look at the overlay."
        )
    sure = np.array([s.lag for s in strips if s.score >= SURE])
    if len(sure) > 1:
        spread = (np.ptp(sure, axis=0) * scale)[1:].max()
        if spread > _DISTORTION:
            return "distorted", (
                f"Parts of the field are shifted by amounts that differ by up to {spread:.1f} µm: "
                "a rigid shift cannot mend this; register the pair elastically."
            )
    few = "there is too little in the field to tell: look at the overlay."
    if whole.score < _SURE:
        return "unclear", f"Whether DAPI lies on the label-free stack is not clear: {few}"
    stays = float((np.abs(draws - microns) <= 2 * _AT_REST).all(1).mean())
    if (np.abs(microns) <= _TOLERANCE).all() and stays >= 0.5:
        return (
            "registered",
            f"DAPI lies on the label-free stack to within about {np.abs(microns).max():.1f} µm.",
        )
    returns = float((np.abs(draws) <= _AT_REST).all(1).mean())
    if stays < _STAYS or returns > _RETURNS or whole.at_edge:
        return "unclear", f"DAPI may be shifted by {figures} voxels (z, y, x), but {few}"
    return "shifted", (
        f"DAPI is shifted: move it by {figures} voxels (z, y, x) to lie on the label-free stack."
    )


def _in_voxels(found: Peak, voxels: Array) -> Vector:
    z, y, x = (np.array(found.lag) * voxels).tolist()
    return (z, y, x)


def _parts(shape: Sequence[int]) -> list[tuple[slice, slice, slice]]:
    """Return up to 3 × 3 parts spread over the field, of at most `_TILE` voxels a side."""
    depth = min(shape[0], _TILE)
    z = slice((shape[0] - depth) // 2, (shape[0] + depth) // 2)
    spans = []
    for n in shape[1:]:
        count = int(np.clip(n // _SMALLEST, 1, _PARTS))
        size = min(n // count, _TILE)
        starts = np.linspace(0, n - size, count).astype(int)
        spans.append([slice(int(s), int(s) + size) for s in starts])
    return [(z, y, x) for y in spans[0] for x in spans[1]]


def _strips(parts: Sequence[tuple[slice, slice, slice]]) -> list[list[int]]:
    """Return which parts make up each row and each column of the field.

    A part alone holds few nuclei: one in nine of a registered field is astray by chance, while in a
    field torn in two hardly any can be believed.
    """
    return [
        [i for i, part in enumerate(parts) if part[axis].start == start]
        for axis in (1, 2)
        for start in sorted({part[axis].start for part in parts})
        if parts[0][axis].stop - parts[0][axis].start >= _STRIP
    ]


def _centre(part: tuple[slice, slice, slice], step: Array) -> tuple[float, float]:
    y, x = ((t.start + t.stop) / 2 * s for t, s in zip(part[1:], step, strict=True))
    return float(y), float(x)
