"""Stain one file into another: reading it and loading the model are part of the job."""

from __future__ import annotations

from pathlib import Path

from ..events import Job, Meter, ShouldStop
from ..models.device import pick_device
from ..models.library import load_model
from ..volumes import ReadOptions
from ..volumes.reading import read_role
from .options import StainOptions
from .stainer import stain
from .stored import check_output


def stain_file(
    source: Path,
    out: Path,
    model: str | Path | None = None,
    options: StainOptions = StainOptions(),
    *,
    reading: ReadOptions | None = None,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Stain a file, as `stain` does with a volume.

    Parameters
    ----------
    source : Path
        The label-free stack.
    out : Path
        The result: .ome.zarr, .ome.tif or .nii.gz.
    model : str or Path, optional
        A name, a folder or a .zip; the shipped model by default.
    options : StainOptions
        Device, seed, samples, steps, memory.
    reading : ReadOptions, optional
        How the file is read.
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
    volume = read_role(source, reading or ReadOptions(), None, "qpi")
    bundle = load_model(model, str(pick_device(options.device)))
    yield from stain(volume, bundle, options, out=out, should_stop=should_stop)
