"""One stack of a volume that holds channels and time points."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..events import UserError
from .options import ChoiceNeeded

if TYPE_CHECKING:
    from .volume import Volume

_CALLED = {"c": ("channel", "channel"), "t": ("time", "time point")}  # option and word of an axis


def selected(
    volume: Volume, channel: int | str | None, time: int | None, known: Sequence[str] = ()
) -> Volume:
    """Return one z-y-x stack; see `Volume.select`."""
    given: dict[str, int | str | None] = {"t": time, "c": channel}
    _check_depth(volume, given)
    notes = [
        f"{volume.where} has one {_CALLED[axis][1]}: the choice of {given[axis]!r} changes nothing."
        for axis in "ct"
        if given[axis] not in (None, 0, "0") and axis not in volume.axes
    ]
    if channel is None and _entries(volume, "c") > 1:
        named = [n for n in volume.channels if set(words_in(n)) & set(known)]
        if len(named) == 1:
            given["c"] = named[0]
            names = ", ".join(volume.channels)
            notes.append(f"{volume.where} has the channels {names}: {named[0]} is taken.")
    index: list[Any] = []
    chosen = dict(volume.chosen)
    for axis in volume.axes:
        if axis not in _CALLED:
            index.append(slice(None))
            continue
        number = _pick(volume, axis, given[axis])
        index.append(number)
        named_so = axis == "c" and volume.channels
        chosen[_CALLED[axis][0]] = volume.channels[number] if named_so else number
    if all(i == slice(None) for i in index):
        return volume.noted(*notes)
    axes = "".join(a for a in volume.axes if a not in _CALLED)
    data = volume.data[tuple(index)]
    return volume.replace(data=data, axes=axes, channels=(), chosen=chosen).noted(*notes)


def narrowed(volume: Volume, channel: int | str | None, time: int | None) -> Volume:
    """Return one channel, or one time point; see `Volume.only`."""
    for axis, choice in (("c", channel), ("t", time)):
        if choice is None or axis not in volume.axes:
            continue
        at, number = volume.axes.index(axis), _pick(volume, axis, choice)
        named_so = axis == "c" and volume.channels
        name = volume.channels[number] if named_so else f"{axis}{number}"
        volume = volume.replace(
            data=volume.data[(slice(None),) * at + (number,)],
            axes=volume.axes.replace(axis, ""),
            name=f"{volume.name} {name}",
            channels=() if axis == "c" else volume.channels,
            chosen={**volume.chosen, _CALLED[axis][0]: name if named_so else number},
        )
    return volume


def _check_depth(volume: Volume, given: dict[str, int | str | None]) -> None:
    """Ask whether what the file calls times or channels are the planes of a stack.

    Microscopes and ImageJ often save planes so.
    """
    if _entries(volume, "z") > 1:
        return
    for axis in "tc":
        count = _entries(volume, axis)
        if count < 2:
            continue
        if volume.file_axes.endswith("c"):
            raise UserError(f"{volume.where} is a colour image of one plane, and no stack.")
        if given[axis] is None:
            swapped = {axis: "z", "z": axis}
            raise ChoiceNeeded(
                f"{volume.where} is no stack: it has {count} {_CALLED[axis][1]}s of one plane. If "
                "these are the planes of a stack, say so",
                "axes",
                "".join(swapped.get(a, a) for a in volume.file_axes or volume.axes),
            )


def _entries(volume: Volume, axis: str) -> int:
    return volume.shape[volume.axes.index(axis)] if axis in volume.axes else 1


def words_in(name: str) -> list[str]:
    """Return the words of a channel's name, in small letters: "Phase3D" has phase and d."""
    return re.findall(r"[^\W\d_]+", name.casefold())


def _pick(volume: Volume, axis: str, choice: int | str | None) -> int:
    """Return the number of a channel or time point."""
    option, what = _CALLED[axis]
    size, names = _entries(volume, axis), volume.channels if axis == "c" else ()
    if choice is None:
        if size == 1:
            return 0
        listed = ", ".join(names) if names else f"0 to {size - 1}"
        raise ChoiceNeeded(
            f"{volume.where} has {size} {what}s ({listed}), of which one is needed",
            option,
            names[0] if names else 0,
        )
    if isinstance(choice, str) and choice in names:
        return names.index(choice)
    if isinstance(choice, str) and not choice.lstrip("-").isdigit():
        raise UserError(
            f"{volume.where} has no {what} named {choice!r}; it has {', '.join(names) or size}."
        )
    number = int(choice)
    if not 0 <= number < size:
        raise UserError(f"{volume.where} has {what}s 0 to {size - 1}, not {number}.")
    return number
