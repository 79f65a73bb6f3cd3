"""What the plate browser runs: looking at a plate, into a well, and opening a field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...evaluation.well_tables import STATE, known_wells
from ...events import Finished, Job, Notice, ShouldStop, Started, UserError
from ...volumes import ReadOptions, notices, read
from ...volumes.plate_writing import record_of
from ...volumes.plates import Plate, PlateField, is_plate, open_plate
from ...volumes.reading import stem
from ..jobs.runner import MakeJob
from ..layers.look import dressed
from .jobs import reading_elsewhere


@dataclass(frozen=True)
class PlateView:
    """A plate, with what lies beside it.

    Parameters
    ----------
    plate : Plate
        What is browsed.
    stains : tuple of Plate
        Plates of results that were made of it.
    wells : dict
        Well to its row in the table of nuclei, where there is one.
    table : Path, optional
        The folder of that table.
    """

    plate: Plate
    stains: tuple[Plate, ...] = ()
    wells: dict[str, dict[str, Any]] = field(default_factory=dict)
    table: Path | None = None


@dataclass(frozen=True)
class WellView:
    """The fields of a well.

    Parameters
    ----------
    name : str
        The well.
    fields : list of PlateField
        What it names.
    missing : set of str
        The fields that are not there (yet).
    stained : set of str
        Those that a plate of results has.
    """

    name: str
    fields: list[PlateField]
    missing: frozenset[str]
    stained: frozenset[str]


def looking(path: Path) -> MakeJob:
    """Return a maker of the job that looks at a plate; its value is a `PlateView`.

    No well is looked into. Results are looked for beside the plate, under names that begin as its
    own does.
    """

    def make_job(_: ShouldStop) -> Job:
        """Look at the plate."""
        yield Started(job="plate")
        plate = open_plate(path)
        stains, wells, table = [], dict[str, dict[str, Any]](), None
        for other in sorted(_beside(path)):
            with suppress(UserError):  # what cannot be read is none of ours
                if is_plate(other):
                    made = record_of(other)
                    if made is not None and made.get("plate") == plate.name:
                        stains.append(open_plate(other))
        names = {path.name, *(stain.path.name for stain in stains)}
        for folder in sorted(_beside(path)):
            if not (folder / STATE).exists():
                continue
            try:
                known = known_wells(folder)
            except UserError as error:
                yield Notice(text=str(error))
                continue
            if known is not None and known["made"].get("stain") in names:
                wells, table = known["wells"], folder
        yield Finished(value=PlateView(plate, tuple(stains), wells, table))

    return make_job


def looking_into(view: PlateView, well: str) -> MakeJob:
    """Return a maker of the job that looks into a well; its value is a `WellView`."""

    def make_job(_: ShouldStop) -> Job:
        """Look into the well."""
        yield Started(job="well")
        fields = view.plate.fields(well)
        missing = frozenset(one.name for one in fields if not one.is_there)
        stained = frozenset(
            one.name
            for one in fields
            if any((stain.path / one.well / one.image).is_dir() for stain in view.stains)
        )
        yield Finished(value=WellView(well, fields, missing, stained))

    return make_job


def opening_field(
    view: PlateView,
    one: PlateField,
    reading: ReadOptions,
    spacing: Sequence[float] | None = None,
) -> MakeJob:
    """Return a maker of the job that opens a field and its stains; its value is a list of layers.

    Parameters
    ----------
    view : PlateView
        The plate and its stains.
    one : PlateField
        The field.
    reading : ReadOptions
        Channel and time point that are opened; all if none.
    spacing : sequence of float, optional
        Voxel size (z, y, x) in µm that was given for this plate, in place of its own word.
    """

    def make_job(_: ShouldStop) -> Job:
        """Open the field."""
        yield Started(job="open")
        whole = reading.model_copy(update={"image": one.name, "channel": None, "time": None})
        opened = yield from reading_elsewhere(
            partial(read, one.plate, whole, spacing=spacing), one.path
        )
        volume = opened.only(reading.channel, reading.time)
        only = f"{one.name} {reading.channel}" if reading.channel else one.name
        layers = dressed(volume.replace(name=only))
        yield from notices(volume)
        for stain in view.stains:
            place = stain.path / one.well / one.image
            if place.is_dir():
                opened = yield from reading_elsewhere(partial(read, place), place)
                result = opened.only(time=reading.time)
                name = stem(stain.path).removeprefix(stem(view.plate.path)).strip()
                layers += dressed(result.replace(name=f"{one.name} {name}"))
        yield Finished(value=layers)

    return make_job


def _beside(path: Path) -> Iterator[Path]:
    """Yield the folders beside a plate whose names begin as its own."""
    start = stem(path)
    with suppress(OSError):
        for entry in path.resolve().parent.iterdir():
            if entry.name.startswith(start) and entry.is_dir() and entry != path.resolve():
                yield entry
