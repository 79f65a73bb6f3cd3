"""Axes in one order and lengths in one unit, whatever the file uses."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..events import UserError
from .volume import Spacing, Volume

ORDER = "tczyx"

# Length of each unit in µm. "pixel" and its like are left out: they say nothing about size.
_MICRONS = {
    **dict.fromkeys(("µm", "μm", "um", "micron", "microns", "micrometer", "micrometre"), 1.0),
    **dict.fromkeys(("\\u00b5m", "\\u00b5", "µ"), 1.0),  # ImageJ's escaped micro sign
    **dict.fromkeys(("å", "angstrom"), 1e-4),
    **dict.fromkeys(("pm", "picometer"), 1e-6),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e4),
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
    **dict.fromkeys(("in", "inch"), 25400.0),
}


def to_micron(unit: str | None) -> float | None:
    """Return the length of `unit` in µm; None for a unit that is no length."""
    return _MICRONS.get((unit or "").strip().lower())


def checked_spacing(spacing: Sequence[float], name: str) -> Spacing:
    """Return `spacing` (z, y, x) in µm if a microscope can have it.

    Raises
    ------
    UserError
        If it is not three numbers above 0 and up to 1000 µm.
    """
    values = tuple(float(s) for s in spacing)
    if len(values) != 3:
        raise UserError(
            f"The spacing of {name} needs three numbers (z, y, x) in µm, not {len(values)}."
        )
    if not all(math.isfinite(s) and 0 < s <= 1000 for s in values):
        figures = ", ".join(f"{s:g}" for s in values)
        raise UserError(
            f"{name} cannot have a voxel size (z, y, x) of {figures} µm: "
            "give the true one as spacing."
        )
    return values


def arranged(volume: Volume, axes: str | None = None) -> Volume:
    """Return the volume with its axes in the order "tczyx" and without t or c of one entry.

    Parameters
    ----------
    volume : Volume
        As a file has it: `axes` may be in any order, and hold "s" (colour samples) and letters
        of unknown meaning.
    axes : str, optional
        One letter of "tczyx" for each axis, in place of those from the file.

    Raises
    ------
    UserError
        If the letters do not fit the array, or an axis is of unknown meaning.
    """
    letters = _named(volume) if axes is None else _checked(axes.lower(), volume)
    keep = [i for i, a in enumerate(letters) if a in "zyx" or volume.shape[i] > 1]
    data = volume.data[tuple(slice(None) if i in keep else 0 for i in range(len(letters)))]
    kept = "".join(letters[i] for i in keep)
    order = sorted(range(len(kept)), key=lambda i: ORDER.index(kept[i]))
    if order != list(range(len(kept))):
        data = data.transpose(order)
    return volume.replace(data=data, axes="".join(kept[i] for i in order))


def _checked(axes: str, volume: Volume) -> str:
    figures = " × ".join(str(n) for n in volume.shape)
    if len(axes) != len(volume.shape):
        raise UserError(
            f"The axes {axes!r} do not fit {volume.name}, which has {len(volume.shape)} axes "
            f"({figures}): give one letter of tczyx for each."
        )
    if len(set(axes)) != len(axes) or not {"y", "x"} <= set(axes) <= set(ORDER):
        raise UserError(
            f"{axes!r} are no axes: use each letter of tczyx at most once, y and x among them."
        )
    return axes


def _named(volume: Volume) -> str:
    """Name the axes: "s" is colour, a single axis of unknown meaning is z."""
    letters = ["c" if a == "s" else a for a in volume.axes.lower()]
    for i, axis in enumerate(letters):
        if letters.count(axis) > 1 and volume.shape[i] == 1:
            letters[i] = "?"  # one channel of three colours, or three of one
        elif axis not in ORDER:
            letters[i] = "?" if volume.shape[i] == 1 else "z"
    known = [a for a in letters if a != "?"]
    if len(set(known)) != len(known):
        figures = " × ".join(str(n) for n in volume.shape)
        raise UserError(
            f"{volume.name} does not tell what its axes ({figures}) are: name them, "
            "such as axes='tzyx'."
        )
    return "".join(letters)
