"""The nuclei of a plate: a table for each well, and one of all wells; well by well, resumable."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..events import (
    Event,
    Finished,
    Job,
    Meter,
    Notice,
    Progress,
    ShouldStop,
    Started,
    UserError,
    relay,
)
from ..volumes import CheckReadOptions, ChoiceNeeded, Volume, read
from ..volumes.apart import check_apart
from ..volumes.plates import PlateField, is_plate, open_plate
from ..volumes.reading import read_role
from ..volumes.sole_writer import sole_writer
from .checking import Check
from .well_tables import WellTables

if TYPE_CHECKING:
    from ..models import ModelBundle
    from ..nuclei import Segmenter
    from ..nuclei.counts import Counts
    from ..nuclei.table import Row


@dataclass
class WellNuclei:
    """What was found in a well, stack by stack.

    Parameters
    ----------
    name : str
        The well.
    rows : list of dict
        One for each nucleus, with its field and time point.
    settings : dict
        Of the checks.
    counts : Counts, optional
        All together, where there is a truth.
    fields : list of str
        Which were checked.
    stacks, nuclei : int
        How many time points of fields, and how many nuclei of the stain.
    """

    name: str
    rows: list[Row] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    counts: Counts | None = None
    fields: list[str] = field(default_factory=list)
    stacks: int = 0
    nuclei: int = 0


@dataclass(frozen=True)
class _PlateCheck:
    """A check of a plate, with what it needs for each stack."""

    check: Check
    segmenter: Segmenter
    model: ModelBundle | None
    should_stop: ShouldStop | None

    @property
    def stopped(self) -> bool:
        return self.should_stop is not None and self.should_stop()


def check_plate(
    check: Check, segmenter: Segmenter, *, should_stop: ShouldStop | None = None
) -> Job:
    """Find the nuclei of all fields and time points of a plate, and write a table for each well.

    With a truth they are compared one by one; with a label-free plate it is told which to trust;
    with neither they are counted and measured. A well that was done by the same call stays, so
    that a job that was stopped or killed goes on.

    Parameters
    ----------
    check : Check
        What is checked, and how: the stain is a plate, and what is given beside it too, with the
        same wells and fields. The image that is read is a well or a field; all if none.
    segmenter : Segmenter
        Finds the nuclei.
    should_stop : callable, optional
        Asked between the stacks and while they are segmented; the wells that are done are kept.

    Yields
    ------
    Event
        At the end `Finished`: its result has "wells", a row for each, "nuclei", "stopped", and
        "failed", the fields that could not be checked, with "reasons"; with a truth the "figures"
        of all together.

    Raises
    ------
    UserError
        If it is no plate, a choice is needed, or the folder cannot be written.
    """
    yield Started(job="nuclei", unit="wells")
    plate = open_plate(check.stain)
    for name, other in (("truth", check.truth), ("qpi", check.qpi)):
        if other is not None and not is_plate(other):
            raise UserError(
                f"{check.stain} is a plate: give a plate as --{name} too, in place of {other}."
            )
    check_apart(check.out, [check.stain, check.truth, check.qpi])
    image = check.reading.of("stain").image
    wells: dict[str, list[PlateField]] = {}
    for one in plate.all_fields(None if image is None else str(image)):
        wells.setdefault(one.well, []).append(one)
    model = None
    if check.qpi is not None and check.truth is None:
        from ..models import load_model

        model = load_model(check.model)
    job = _PlateCheck(check, segmenter, model, should_stop)
    failed: dict[str, str] = {}
    with sole_writer(check.out, folder=True) as notice:
        yield from [Notice(text=notice, warning=False)] if notice else []
        tables = WellTables(check, segmenter.name, list(wells))
        if there := len(tables.rows):
            yield Notice(
                text=f"{there} of {len(wells)} wells were checked already and stay as they are: to "
                f"check them anew, remove {check.out}.",
                warning=False,
            )
        meter, stopped = Meter(len(wells), there), False
        for well in [name for name in wells if name not in tables.rows]:
            found = yield from _of_well(well, wells[well], job, meter, len(tables.rows), failed)
            if found is None:
                stopped = True
                break
            tables.add(found, whole=not failed.keys() & {one.name for one in wells[well]})
            yield meter.at(len(tables.rows), well)
        result = tables.result()
    result |= {"stopped": stopped, "failed": list(failed), "reasons": list(failed.values())}
    yield Finished(result=result, value=check.out)


def _of_well(
    well: str,
    fields: Sequence[PlateField],
    job: _PlateCheck,
    meter: Meter,
    before: float,
    failed: dict[str, str],
) -> Generator[Event, None, WellNuclei | None]:
    """Check the fields of a well; return None where the user stopped it."""
    found = WellNuclei(well)
    for number, one in enumerate(fields):
        try:
            times = _times(one, job.check)
            for count, time in enumerate(times):
                if job.stopped:
                    return None
                text = one.name if time is None else f"{one.name} time point {time}"
                share = 1 / len(fields) / len(times)
                done = before + number / len(fields) + count * share
                for event in (stack := _Stack(one, time, job)).events():
                    if isinstance(event, Progress):
                        part = event.done / max(event.total, 1e-9)
                        yield meter.at(done + share * part, f"{text}: {event.text}")
                    else:
                        yield event
                if stack.nuclei is None:
                    return None
                _add(found, stack, time)
            found.fields.append(one.name)
        except UserError as error:
            if isinstance(error, ChoiceNeeded) and not (before or found.stacks or failed):
                raise  # fields are much alike: it is asked before any is checked
            failed[one.name] = str(error)
            yield Notice(text=f"{one.name} was left out. {error}")
    return found


class _Stack:
    """One time point of a field."""

    def __init__(self, one: PlateField, time: int | None, job: _PlateCheck) -> None:
        self.field, self.job = one, job
        chosen = {"image": None} | ({} if time is None else {"time": time})
        self.reading: CheckReadOptions = job.check.reading.model_copy(update=chosen)
        roles = {name: getattr(self.reading, name) for name in ("stain", "truth", "qpi")}
        self.reading = self.reading.model_copy(
            update={name: role.model_copy(update={"image": None}) for name, role in roles.items()}
        )
        self.table: list[Row] = []
        self.settings: dict[str, Any] = {}
        self.counts: Counts | None = None
        self.nuclei: int | None = None  # until they are known

    def events(self) -> Generator[Event, None, None]:
        """Check it; where the user stops it, the nuclei stay unknown."""
        from ..nuclei import compare_nuclei
        from ..nuclei.finding import find_nuclei
        from .assessment import assess_stain

        check, stop = self.job.check, self.job.should_stop
        virtual = self._read(check.stain, "stain")
        if check.truth is not None:
            comparison = yield from relay(
                compare_nuclei(
                    self._read(check.truth, "truth"),
                    virtual,
                    segmenter=self.job.segmenter,
                    iou=check.iou,
                    diameter=check.diameter,
                    projection=check.projection,
                    truth_is_labels=check.truth_is_labels,
                    stain_is_labels=check.stain_is_labels,
                    should_stop=stop,
                )
            )
            if comparison is not None:
                self.table, self.settings = comparison.table, comparison.settings
                self.counts, self.nuclei = comparison.counts, comparison.counts.stain
            return
        if check.qpi is not None and self.job.model is not None:
            value = yield from relay(
                assess_stain(
                    self._read(check.qpi, "qpi"),
                    virtual,
                    self.job.model,
                    segmenter=self.job.segmenter,
                    diameter=check.diameter,
                    device=check.device,
                    should_stop=stop,
                )
            )
            findings = None if value is None else value[0]
        else:
            findings = yield from relay(
                find_nuclei(
                    virtual,
                    segmenter=self.job.segmenter,
                    diameter=check.diameter,
                    is_labels=check.stain_is_labels,
                    should_stop=stop,
                )
            )
        if findings is not None:
            self.table, self.settings = findings.table, findings.settings
            self.nuclei = len(self.table)

    def _read(self, plate: Path, role: str) -> Volume:
        """Return the stack of the same field and time point of one of the plates."""
        path = plate / self.field.well / self.field.image
        volume = read_role(path, self.reading, role)
        own = volume.metadata.get("time_points")
        time = volume.chosen.get("time", 0)
        if isinstance(own, list) and isinstance(time, int) and time < len(own):
            volume = volume.replace(metadata={**volume.metadata, **own[time]})
        return volume.replace(name=f"{plate.name} {self.field.name}")


def _add(found: WellNuclei, stack: _Stack, time: int | None) -> None:
    """Add what was found in a stack to its well."""
    where = {"field": stack.field.image, "time": time}
    found.rows += [{**where, **row} for row in stack.table]
    found.settings = stack.settings
    found.stacks += 1
    found.nuclei += stack.nuclei or 0
    if stack.counts is not None:
        found.counts = stack.counts if found.counts is None else found.counts + stack.counts


def _times(one: PlateField, check: Check) -> list[int | None]:
    """Return the time points that are checked; None where there is no such axis."""
    chosen = check.reading.of("stain")
    if chosen.time is not None:
        return [chosen.time]
    whole = chosen.model_copy(update={"image": None, "channel": None})
    volume = read(one.path, whole)
    if "t" not in volume.axes:
        return [None]
    return list(range(volume.shape[volume.axes.index("t")]))
