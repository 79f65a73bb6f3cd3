"""Stain one file into another: reading it and loading the model are part of the job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..events import Job, Meter, ShouldStop
from ..models.device import pick_device
from ..models.library import load_model
from ..volumes import ReadOptions, read
from ..volumes.reading import read_role
from .inputs import joined, taken
from .options import StainOptions
from .stainer import stain
from .stored import check_output


def stain_file(
    source: Path,
    out: Path,
    model: str | Path | None = None,
    options: StainOptions = StainOptions(),
    *,
    also: Sequence[Path] = (),
    reading: ReadOptions | None = None,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Stain a file, as `stain` does with a volume.

    Parameters
    ----------
    source : Path
        The label-free stack.
    out : Path
        The result: .ome.zarr, .ome.tif, .nii.gz, or .dicom for a folder with a CT series.
    model : str or Path, optional
        A name, a folder or a .zip; the shipped model by default.
    options : StainOptions
        Device, seed, samples, steps, memory.
    also : sequence of Path
        Stacks of the other inputs, where a model has several and `source` does not hold them all.
    reading : ReadOptions, optional
        How the files are read.
    should_stop : callable, optional
        As for `stain`.

    Yields
    ------
    Event
        As `stain`; at the end `Finished`.

    Raises
    ------
    UserError
        As `stain`, or if the file or the model cannot be read.
    """
    yield Meter(1).at(0, f"reading {source.name}")
    check_output(out, source, options.overwrite)
    bundle = load_model(model, str(pick_device(options.device_here)))
    task, chosen = bundle.info.task, reading or ReadOptions()
    if also:
        names = [*(channel.name for channel in task.inputs), *also]  # `joined` counts them
        given = zip([source, *also], names, strict=False)
        volume = joined([read_role(path, chosen, None, str(name)) for path, name in given], task)
    elif len(task.inputs) == 1:
        volume = read_role(source, chosen, None, task.inputs[0].name)
    else:
        whole = read(source, chosen.model_copy(update={"channel": None, "time": None}))
        volume = taken(whole, task, time=chosen.time)
    yield from stain(volume, bundle, options, out=out, should_stop=should_stop)
