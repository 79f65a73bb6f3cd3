"""Axes in one order, whatever the file uses."""

from __future__ import annotations

from collections.abc import Sequence

from ..events import UserError
from .options import ChoiceNeeded
from .volume import ORDER, Volume

_FEW = 5  # channels; a stack or a series has more entries, as a rule
_COLOURS = 4  # red, green, blue, alpha


def likely_axes(shape: Sequence[int]) -> tuple[str, ...]:
    """Return what the axes of an array without labels may be.

    Parameters
    ----------
    shape : sequence of int
        Of the array.

    Returns
    -------
    tuple of str
        One letter of "tczyx" for each axis ("?" for axes of one entry), the likeliest first. One
        answer: it is sure; several: ask; none: no image has so many axes.
    """
    real = [i for i, n in enumerate(shape) if n > 1]
    if len(shape) < 2:
        return ()
    if len(real) < 2:
        real = [len(shape) - 2, len(shape) - 1]
    found = _likely([shape[i] for i in real])
    place = {at: number for number, at in enumerate(real)}
    return tuple(
        "".join(letters[place[i]] if i in place else "?" for i in range(len(shape)))
        for letters in found
    )


def _likely(sizes: Sequence[int]) -> tuple[str, ...]:
    """Return the same for an array without axes of one entry."""
    *leading, first, last = sizes
    colours = last <= _COLOURS and bool(leading) and min(*leading, first) >= 8 * last
    few = [n <= _FEW for n in leading]
    if not leading:
        return ("yx",)
    if len(leading) == 1:
        return ("yxc", "zyx") if colours else ("zyx",)
    if len(leading) == 2:
        if colours:
            return ("zyxc",)
        if few[1]:
            return ("czyx", "zcyx", "tzyx") if few[0] else ("zcyx", "tzyx")
        return ("czyx", "tzyx") if few[0] else ("tzyx",)
    if len(leading) == 3:
        if colours:
            return ("tzyxc",)
        if few[1] != few[2]:
            return ("tczyx",) if few[1] else ("tzcyx",)
        return ("tczyx", "tzcyx")
    return ()


def arranged(volume: Volume, axes: str | None = None) -> Volume:
    """Return the volume with its axes in the order "tczyx" and without t or c of one entry.

    Parameters
    ----------
    volume : Volume
        As a file has it: `axes` may be in any order, and hold "s" (colour samples) and letters
        of unknown meaning.
    axes : str, optional
        One letter of "tczyx" for each axis, in place of those from the file; axes of one entry
        may be left out, or have a "?".

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
    return volume.replace(data=data, axes="".join(kept[i] for i in order), file_axes=letters)


def _checked(axes: str, volume: Volume) -> str:
    figures = " × ".join(str(n) for n in volume.shape)
    real = sum(n > 1 for n in volume.shape)
    if len(axes) == real < len(volume.shape) and "?" not in axes:
        left = iter(axes)
        axes = "".join(next(left) if n > 1 else "?" for n in volume.shape)
    if len(axes) != len(volume.shape):
        raise UserError(
            f"The axes {axes!r} do not fit {volume.name}, which has {len(volume.shape)} axes "
            f"({figures}): give one letter of tczyx for each."
        )
    named = [a for a in axes if a != "?"]
    if len(set(named)) != len(named) or not {"y", "x"} <= set(named) <= set(ORDER):
        raise UserError(
            f"{axes!r} are no axes: use each letter of tczyx at most once, y and x among them."
        )
    if any(a == "?" and n > 1 for a, n in zip(axes, volume.shape, strict=True)):
        raise UserError(
            f"The axes {axes!r} leave out one of {volume.name} that has several entries "
            f"({figures}): give it a letter of tczyx."
        )
    return axes


def _named(volume: Volume) -> str:
    """Name the axes: "s" is colour; those of unknown meaning are told by their sizes if sure."""
    letters = ["c" if a == "s" else a for a in volume.axes.lower()]
    for i, axis in enumerate(letters):
        if volume.shape[i] == 1 and (axis not in ORDER or letters.count(axis) > 1):
            letters[i] = "?"  # one channel of three colours, or three of one
    known = [a for a in letters if a in ORDER]
    if known.count("c") > 1 and "s" in volume.axes.lower():
        raise UserError(
            f"{volume.where} has colours (RGB) in each of its channels: save it in grey."
        )
    unknown = len(letters) - len(known) - letters.count("?")
    if not unknown and len(set(known)) == len(known):
        return "".join(letters)
    # colours are never by themselves what is asked: two axes c are colours of each channel
    likely = likely_axes(volume.shape) if "s" not in volume.axes.lower() else ()
    if unknown == 1 and "z" not in known and not (likely and likely[0].endswith("c")):
        return "".join(a if a in (*ORDER, "?") else "z" for a in letters)
    figures = " × ".join(str(n) for n in volume.shape)
    if len(known) + unknown > len(ORDER):
        raise UserError(
            f"{volume.where} has {len(known) + unknown} axes of more than one entry ({figures}), "
            f"and a stack at most {len(ORDER)} (time, channel, z, y, x): save each stack in a file "
            "of its own."
        )
    raise ChoiceNeeded(
        f"{volume.where} does not tell what its axes ({figures}) are",
        "axes",
        likely[0] if likely else _example(letters),
    )


def _example(letters: Sequence[str]) -> str:
    """Return letters with those that are missing in place of what is unknown or there twice."""
    taken: list[str] = []
    for letter in letters:
        free = [a for a in "zct" if a not in letters and a not in taken]
        unclear = letter != "?" and (letter not in ORDER or letter in taken)
        taken.append(free[0] if unclear and free else letter)
    return "".join(taken)
