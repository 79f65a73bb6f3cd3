"""What the axes of a layer are: told by its labels and units, by its shape, or by the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...events import UserError
from ...volumes.axes import likely_axes
from ...volumes.units import to_micron

WORDS = {"t": "time", "c": "channel", "z": "z", "y": "y", "x": "x"}
_LETTERS = {
    **{letter: letter for letter in "tczyx"},
    **dict.fromkeys(("time", "frame", "frames", "timepoint"), "t"),
    **dict.fromkeys(("channel", "channels", "ch", "colour", "color", "rgb"), "c"),
    **dict.fromkeys(("plane", "planes", "slice", "slices", "depth"), "z"),
    **dict.fromkeys(("row", "rows", "height"), "y"),
    **dict.fromkeys(("column", "columns", "width"), "x"),
}
_TIMES = {"s", "sec", "second", "seconds", "ms", "millisecond", "minute", "minutes", "hour", "day"}
_COMMON = {  # what the axes of more than one entry may be, where shape and units do not tell
    2: ("yx",),
    3: ("zyx", "tyx", "cyx", "yxc"),
    4: ("tzyx", "zcyx", "czyx", "ztyx", "zyxc", "tcyx"),
    5: ("tczyx", "tzcyx", "ctzyx", "cztyx", "ztcyx", "zctyx", "tzyxc"),
}


class AxesUnknown(UserError):
    """A layer does not tell what its axes are.

    Parameters
    ----------
    sentence : str
        What the user reads.
    likely : sequence of str
        What they may be, a letter of "tczyx" for each, "?" for an axis of one entry; the
        likeliest first.
    """

    def __init__(self, sentence: str, likely: Sequence[str]) -> None:
        super().__init__(sentence)
        self.likely = tuple(likely)


class SeveralChannels(UserError):
    """A layer holds channels, one of which must be chosen."""


def axes_of(attributes: Mapping[str, Any], shape: Sequence[int]) -> str:
    """Return a letter of "tczyx" for each axis of a layer, "?" for one of a single entry.

    Parameters
    ----------
    attributes : mapping
        Of the layer: "name", and where they are there "axis_labels" and "units".
    shape : sequence of int
        Of its data.

    Raises
    ------
    AxesUnknown
        If labels, units and shape leave more than one possibility.
    UserError
        If there are more axes than a volume has.
    """
    said = [_LETTERS.get(str(a).strip().lower(), "") for a in attributes.get("axis_labels") or ()]
    units = [str(u).lower() for u in attributes.get("units") or ()]
    said = said if len(said) == len(shape) else [""] * len(shape)
    units = units if len(units) == len(shape) else ["pixel"] * len(shape)
    known = [a for a in said if a]
    if len(set(known)) < len(known):  # labels that name two axes alike tell nothing
        said = [""] * len(shape)
    if all(said):
        return "".join(said)
    name, figures = attributes.get("name", "layer"), " × ".join(str(n) for n in shape)
    real = sum(n > 1 for n in shape)
    if real > max(_COMMON):
        raise UserError(
            f"{name} has {real} axes of more than one entry ({figures}), and a stack at most "
            "5 (time, channel, z, y, x): split it into layers first."
        )
    likely = likely_axes(shape)
    found = _fitting(likely, said, units) or _fitting(_common(shape), said, units)
    found = found or _fitting(likely, said, ["pixel"] * len(shape)) or list(likely)
    if len(found) == 1:
        return found[0]
    raise AxesUnknown(f"{name} does not tell what its axes ({figures}) are: say so.", found)


def choices(shape: Sequence[int], likely: Sequence[str]) -> dict[str, str]:
    """Return what a user may say of the axes: the letters by the words, the likeliest first."""
    offered = dict.fromkeys((*likely, *_common(shape)))
    return {", ".join(WORDS[a] for a in axes if a in WORDS): axes for axes in offered}


def _common(shape: Sequence[int]) -> list[str]:
    real = [i for i, n in enumerate(shape) if n > 1]
    found = []
    for letters in _COMMON.get(len(real), ()):
        place = dict(zip(real, letters, strict=True))
        found.append("".join(place.get(i, "?") for i in range(len(shape))))
    return found


def _fitting(offered: Sequence[str], said: Sequence[str], units: Sequence[str]) -> list[str]:
    """Return the possibilities that agree with the labels and units, labels filled in."""
    lengths = [to_micron(unit) is not None for unit in units]
    telling = 0 < sum(lengths) <= 3  # one unit for all axes, time too, is what napari makes of it
    found = []
    for axes in offered:
        filled = [b if a == "?" and b else a for a, b in zip(axes, said, strict=True)]
        letters = [a for a in filled if a != "?"]
        fits = len(set(letters)) == len(letters)
        for a, label, unit, is_length in zip(filled, said, units, lengths, strict=True):
            fits &= label in ("", a) and (a in "t?" or unit not in _TIMES)
            fits &= not telling or a == "?" or (a in "zyx") == is_length
        if fits:
            found.append("".join(filled))
    return found
