"""Stain a plate: field by field into a plate beside it, which a killed job leaves to be resumed."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from ..events import Event, Finished, Job, Notice, ShouldStop, Started, UserError
from ..models.bundle import ModelBundle
from ..tasks import Task
from ..volumes import ChoiceNeeded, ReadOptions, Volume, read
from ..volumes.apart import check_apart
from ..volumes.plates import Plate, PlateField, open_plate
from ..volumes.reading import stem
from ..volumes.sole_writer import sole_writer
from .inputs import taken
from .options import PlateOptions, StainOptions
from .plate_output import StainedField, names_of
from .plate_target import InputPlate, NewPlate
from .series import Total
from .stainer import stain
from .stored import digest_of


def stain_plate(
    source: Path,
    out: Path | None,
    model: ModelBundle,
    options: StainOptions = StainOptions(),
    *,
    reading: ReadOptions | None = None,
    plates: PlateOptions = PlateOptions(),
    part: tuple[int, int] = (0, 1),
    should_stop: ShouldStop | None = None,
) -> Job:
    """Stain the fields of a plate into another plate, which has the same wells and fields.

    Each field gets a channel `NAME_prediction` for each output of the model. A field that is
    there already stays as it is, so that a job that was stopped or killed is gone on with by the
    same call; one that cannot be stained is named in a notice, and the others are stained.

    Parameters
    ----------
    source : Path
        The plate. It is not written to, unless `plates` says so.
    out : Path, optional
        The plate of the results (.zarr), or a folder for it; see `beside` for the default.
    model : ModelBundle
        The stainer.
    options : StainOptions
        How each field is stained. To overwrite is to remove the whole of an earlier result first.
    reading : ReadOptions, optional
        How each field is read; its image is a well ("B/03") or a field ("B/03/0"), all if none.
    plates : PlateOptions
        What the plate of the results holds.
    part : tuple of int
        Which part, from 0, of how many: jobs that run side by side each take one.
    should_stop : callable, optional
        Asked before every layer of the networks.

    Yields
    ------
    Event
        As `stain` does; progress is that of all fields together. In the result of `Finished`,
        "written" and "failed" list fields, "there" those that were there already, and "reasons"
        why each of these failed.

    Raises
    ------
    UserError
        If it is no plate, a choice is needed, or the output holds something else.
    """
    number, parts = part
    if not 0 <= number < parts:
        raise UserError(f"There is no part {number} of {parts}: they are counted from 0.")
    if parts > 1 and options.overwrite:
        raise UserError(
            "A part of a plate cannot overwrite: it would remove what the other parts have written."
        )
    plate, task = open_plate(source), model.info.task
    path = beside(source, task)
    if plates.plate_channels == "input":
        _check_fits_input(source, out, task, reading, plates)
    if out is not None:
        path = out if out.suffix.lower() == ".zarr" else out / path.name
        if out != path and out.suffix and not out.is_dir():  # a folder of a file's name is a trap
            one = next(iter(plate.all_fields(None))).name
            raise UserError(
                f"{source} is a plate: name a plate (.zarr) or a folder for its results in place "
                f"of {out.name}, or stain one of its fields, such as {source / one}."
            )
    check_apart(path, [source])
    yield Started(job="stain", unit="fields")
    reading = reading or ReadOptions()
    every = list(plate.all_fields(None if reading.image is None else str(reading.image)))
    reading = yield from _chosen(every, reading, task)
    outputs = [channel.name for channel in task.outputs]
    if plates.prediction is not None:
        if len(outputs) > 1:
            raise UserError(
                f"Model {model.info.name} has {len(outputs)} outputs ({', '.join(outputs)}): leave "
                "the name of the prediction out."
            )
        outputs = [plates.prediction]
    made = _record(plate, model, options, reading, plates)
    target: NewPlate
    if plates.plate_channels == "input":
        target = InputPlate(plate, every, made, names_of(outputs, options.samples))
    else:
        target = NewPlate(path, plate, every, plates.ome_zarr or plate.version, made)
    target.begin(options.overwrite)
    fields = every[number::parts]
    left = [field for field in fields if not target.is_done(field)]
    if len(left) < len(fields):
        yield Notice(
            text=f"{len(fields) - len(left)} of {len(fields)} fields of {target.shown.name} are "
            "there already and stay as they are.",
            warning=False,
        )
    total, written, failed = Total(len(left)), list[str](), dict[str, str]()
    for count, field in enumerate(left, start=1):
        place, text = target.place(field), f"{field.name} ({count} of {len(left)})"
        try:
            with sole_writer(place) as notice:
                yield from [Notice(text=notice, warning=False)] if notice else []
                if not place.exists():
                    opened = _read(field, reading)
                    kept = opened if plates.plate_channels == "all" else None
                    times = len(_times(opened, reading))
                    result = StainedField(place, field.name, times, outputs, target.version, kept)
                    yield from _stain_field(
                        opened, result, model, options, reading, total, text, should_stop
                    )
                if not total.stopped:
                    target.put(field)
        except UserError as error:
            failed[field.name] = str(error)
            yield Notice(text=f"{field.name} was left out. {error}")
        if total.stopped:
            break
        if field.name not in failed:
            written.append(field.name)
        total.done = count
    if parts == 1 and not total.stopped:
        target.end()
    done = total.finished(
        out=str(target.shown),
        written=written,
        there=len(fields) - len(left),
        failed=list(failed),
        reasons=list(failed.values()),
    )
    yield Finished(result=done.result, value=target.shown)


def _check_fits_input(
    source: Path, out: Path | None, task: Task, reading: ReadOptions | None, plates: PlateOptions
) -> None:
    """Refuse predictions that cannot be channels of the plate itself.

    Raises
    ------
    UserError
        If an output is given too, or the predictions have other planes or time points.
    """
    if out is not None or plates.ome_zarr is not None:
        raise UserError(
            f"The predictions shall be channels of {source} itself: give no output, and no version."
        )
    if task.planes > 1:
        raise UserError(
            f"A result of {task.planes} planes for each of the input cannot be a channel of it."
        )
    if reading is not None and reading.time is not None:
        raise UserError(
            f"The predictions shall be channels of {source} itself, which has all time points: "
            "choose no time point."
        )


def beside(source: Path, task: Task) -> Path:
    """Return where the results of a plate are written if nothing is said.

    Parameters
    ----------
    source : Path
        The plate.
    task : Task
        What the model does.
    """
    return source.with_name(f"{stem(source)} {task.result}.zarr")


def _stain_field(
    opened: Volume,
    result: StainedField,
    model: ModelBundle,
    options: StainOptions,
    reading: ReadOptions,
    total: Total,
    text: str,
    should_stop: ShouldStop | None,
) -> Iterator[Event]:
    """Stain the time points of a field, and put it in its place."""
    times = _times(opened, reading)
    for i, time in enumerate(times):
        stack = taken(opened, model.info.task, reading.channel, time)
        name = f"{result.name} t{time}" if len(times) > 1 else result.name
        job = stain(
            stack.replace(name=name),
            model,
            options.changed(overwrite=False),
            out=result.at(i),
            should_stop=should_stop,
        )
        told = f"{text} time point {time}" if len(times) > 1 else text
        yield from total.part(job, told, 1 / len(times))
        if total.stopped:
            return
    result.finish()


def _read(field: PlateField, reading: ReadOptions) -> Volume:
    whole = reading.model_copy(update={"image": None, "channel": None, "time": None})
    return read(field.path, whole).replace(name=field.name)


def _times(volume: Volume, reading: ReadOptions) -> list[int | None]:
    """Return the time points that are stained; one that is None where there is no such axis."""
    if reading.time is not None or "t" not in volume.axes:
        return [reading.time]
    return list(range(volume.shape[volume.axes.index("t")]))


def _chosen(
    fields: list[PlateField], reading: ReadOptions, task: Task
) -> Generator[Event, None, ReadOptions]:
    """Choose the channel for all fields, before any is stained: they are much alike.

    Raises
    ------
    ChoiceNeeded
        If a choice is needed.
    UserError
        If no field can be read.
    """
    fault: UserError | None = None
    for field in fields:
        try:
            opened = _read(field, reading)
            stack = taken(opened, task, reading.channel, _times(opened, reading)[0])
        except ChoiceNeeded:
            raise
        except UserError as error:
            fault = fault or error
            continue
        channel = stack.chosen.get("channel") if len(task.inputs) == 1 else None
        if channel is None:
            return reading
        for note in stack.notes:
            if note not in opened.notes:  # of the choice
                yield Notice(text=note)
        return reading.model_copy(update={"channel": channel})
    raise fault or UserError("There are no fields to stain.")


def _record(
    plate: Plate,
    model: ModelBundle,
    options: StainOptions,
    reading: ReadOptions,
    plates: PlateOptions,
) -> dict[str, Any]:
    """Return what a plate of results says of its making: one that says else is not gone on with."""
    chosen = reading.model_dump(exclude={"image"}, exclude_none=True, mode="json")
    return {
        "plate": plate.name,
        "model": model.info.name,
        "weights": digest_of(model),
        "seed": options.seed,
        "samples": options.samples,
        "steps": model.info.steps(options.steps),
        "nucleus_um": options.nucleus_um,
        "channels": plates.plate_channels,
        "prediction": plates.prediction,
        "read": chosen,
    }
