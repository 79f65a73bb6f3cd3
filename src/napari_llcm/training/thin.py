"""Thin volumes before a training that makes its inputs of them; open ones as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..events import Finished, Job, Meter, ShouldStop, Started, UserError
from ..tasks import Task
from ..volumes import Volume, check_stack, notices, write
from ..volumes.thick_slices import thick_count
from .pairs import few, file_name

NamedVolume = tuple[str, Volume]


def check_thin(
    source: Path | Sequence[NamedVolume], task: Task, should_stop: ShouldStop | None = None
) -> Job:
    """Look at thin volumes before a minute is trained: can slices be made of each?

    Parameters
    ----------
    source : Path or sequence of (str, Volume)
        A folder of them, or name and volume of each.
    task : Task
        How thick slices are made of them.
    should_stop : callable, optional
        Asked between the volumes; the job ends without `Finished` when it returns True.

    Yields
    ------
    Event
        `Started`, `Progress`, and `Finished` with "pairs" (how many volumes there are), "voxels"
        and "sentence".

    Raises
    ------
    UserError
        If there are none, or one has too few planes or nothing in it.
    """
    if isinstance(source, Path):
        found = task.find_pairs(source)
        volumes = [(pair.name, pair.stacks()[1][0]) for pair in found]
    else:
        found, volumes = None, list(source)
    yield Started(job="pairs", total=len(volumes))
    yield from few(notices(found, *(volume for _, volume in volumes)))
    meter = Meter(max(len(volumes), 1))
    for done, (name, volume) in enumerate(volumes):
        if should_stop is not None and should_stop():
            return
        yield meter.at(done, f"looking at {name}")
        _check(name, volume, task)
    yield meter.at(len(volumes))
    count = "1 thin volume" if len(volumes) == 1 else f"{len(volumes)} thin volumes"
    sentence = (
        f"{count}. Of every {task.planes} planes one thick slice is made, and the model learns to "
        f"bring the {task.planes} back."
    )
    voxels = sum(int(np.prod(volume.shape)) for _, volume in volumes)
    result: dict[str, Any] = {"pairs": len(volumes), "voxels": voxels, "sentence": sentence}
    yield Finished(result=result, value=result)


def write_thin(
    volumes: Sequence[NamedVolume],
    folder: Path,
    task: Task,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Write volumes as OME-TIFF files, as a training of this task reads them.

    Parameters
    ----------
    volumes : sequence of (str, Volume)
        Name and volume of each.
    folder : Path
        Gets a folder named as the task's output; files of the same names are replaced.
    task : Task
        How thick slices are made of them.
    should_stop : callable, optional
        Asked between the volumes; the job ends without `Finished` when it returns True.

    Yields
    ------
    Event
        `Started`, `Progress`, and `Finished` with the folder as its value.

    Raises
    ------
    UserError
        If one cannot be learned from, or the disk is full.
    """
    yield Started(job="pairs", total=len(volumes))
    meter, kind = Meter(max(len(volumes), 1)), task.channels.outputs[0][0]
    for done, (name, volume) in enumerate(volumes):
        if should_stop is not None and should_stop():
            return
        _check(name, volume, task)
        yield from notices(volume)
        yield meter.at(done, f"saving {name}")
        file = file_name(name, done if len(volumes) > 1 else None)
        write(folder / kind / f"{file}.ome.tif", volume, overwrite=True)
    yield meter.at(len(volumes))
    yield Finished(result={"pairs": len(volumes), "folder": str(folder)}, value=folder)


def _check(name: str, volume: Volume, task: Task) -> None:
    """Refuse a volume of which no two thick slices can be made.

    Raises
    ------
    UserError
        If it is none to learn from.
    """
    if volume.axes != "zyx":
        raise UserError(
            f"{name} is not one stack of planes (its axes are {volume.axes}): choose one channel "
            "and time point."
        )
    check_stack(
        volume, part=tuple((0, min(n, 2)) if i == 0 else (0, n) for i, n in enumerate(volume.shape))
    )
    if thick_count(volume.shape[0], task.planes)[0] < 2:
        raise UserError(
            f"{name} has {volume.shape[0]} planes, too few for two slices of {task.planes}: give "
            "thin volumes of more planes."
        )
