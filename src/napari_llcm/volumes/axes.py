"""Axes in one order, whatever the file uses."""

from __future__ import annotations

from ..events import UserError
from .volume import Volume

ORDER = "tczyx"


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
    if axes is not None and volume.file_grid is not None:
        grid = volume.file_grid.renamed(volume.axes.lower(), letters)
        volume = volume.replace(file_grid=grid)
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
