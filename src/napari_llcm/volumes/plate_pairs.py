"""Pairs in a plate: channels of one field are the stacks of a pair, at each time point."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..events import UserError
from .folders import Found
from .options import ChoiceNeeded, PairReadOptions
from .plates import PlateField, open_plate
from .reading import CHANNEL_NAMES, read, stored_images
from .selecting import words_in

if TYPE_CHECKING:
    from .pairs import Channels, Pair


def plate_pairs(source: Path, reading: PairReadOptions, channels: Channels) -> Found[Pair]:
    """Return a pair for each field and time point of a plate.

    Parameters
    ----------
    source : Path
        The plate.
    reading : PairReadOptions
        Its image is a well or a field, all if none; a channel of its own for a stack says which of
        the field's channels that is. Without, the one that is called so is taken, with a note.
    channels : Channels
        Which stacks a field has.

    Raises
    ------
    UserError
        If a channel is not there, or cannot be told from the others.
    """
    from .pairs import Pair

    image = None if reading.image is None else str(reading.image)
    fields = list(open_plate(source).all_fields(image))
    reading = reading.model_copy(update={"image": None})
    first = read(fields[0].path, reading.model_copy(update={"channel": None, "time": None}))
    taken = _taken(source, first.channels, reading, channels)
    told = ", ".join(f"{channel} as {name}" for name, channel in taken.items())
    names = ", ".join(first.channels)
    notes = [f"{source} has the channels {names}: {told} is taken."] if taken else []
    count = len(channels.inputs)
    pairs = [
        Pair(
            name,
            (field.path,) * count,
            (field.path,) * len(channels.outputs),
            reading=reading if time is None else reading.model_copy(update={"time": time}),
            channels=channels,
            taken=tuple(taken.items()),
        )
        for field in fields
        for name, time in _times(field, reading)
    ]
    return Found(pairs, notes)


def _taken(
    source: Path, there: Sequence[str], reading: PairReadOptions, channels: Channels
) -> dict[str, str]:
    """Return which of the field's channels a stack is, for each that was not told."""
    taken: dict[str, str] = {}
    for names in (*channels.inputs, *channels.outputs):
        name = names[0]
        role = name if name in PairReadOptions.model_fields else None
        if reading.of(role).channel is not None:
            continue
        called = {*names, *CHANNEL_NAMES.get(name, ())}
        found = [c for c in there if c.casefold() in called]
        found = found or [c for c in there if called & set(words_in(c))]
        if len(found) == 1:
            taken[name] = found[0]
            continue
        listed = ", ".join(there) or "one channel, without a name"
        if role is None:
            raise UserError(
                f"{source} has the channels {listed}: one of them has to be called {name}."
            )
        left = [c for c in there if c not in taken.values()]
        raise ChoiceNeeded(
            f"{source} has the channels {listed}, of which one is the {name}",
            "channel",
            left[0] if left else 0,
            role,
        )
    return taken


def _times(field: PlateField, reading: PairReadOptions) -> list[tuple[str, int | None]]:
    """Return the name of each pair of a field, and its time point."""
    if reading.time is not None:
        return [(field.plain, None)]  # as it was told
    letters, shape = stored_images(field.path)[0].size
    count = shape[letters.index("t")] if "t" in letters else 1
    if count == 1:
        return [(field.plain, None)]
    digits = len(str(count - 1))
    return [(f"{field.plain}_t{t:0{digits}d}", t) for t in range(count)]
