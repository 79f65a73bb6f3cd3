"""`napari-llcm stain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..events import Job, ShouldStop, UserError, duration
from ..volumes.atomic import is_zarr
from .console import run, stdout
from .from_models import options_from_models
from .options import (
    Events,
    Model,
    Reading,
    Staining,
    as_json,
)


@options_from_models
def stain(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="The label-free stack, or what else the model takes; or a folder of stacks.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            help="The virtual DAPI: .ome.zarr, .ome.tif or .nii.gz; of a CT also .dicom, a folder "
            "with a series. A folder, named without suffix, for those of all stacks, images and "
            "time points of IN."
        ),
    ],
    model: Model = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Stain part K, from 0, of N parts of the stacks: for N jobs side by side.",
        ),
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(help="A further stack, for a model of several inputs; may be repeated."),
    ] = None,
    events: Events = None,
    *,
    options: Staining,
    reading: Reading,
) -> None:
    """Stain a label-free stack: write the DAPI volume that you would have seen.

    With a model of another task, such as finer slices: write its result.
    """
    from ..models import load_model
    from ..models.device import pick_device
    from ..staining import is_folder_of_stacks, stain_files
    from ..staining.one_file import stain_file

    several = not out.suffix or (out.is_dir() and not is_zarr(out))
    if is_folder_of_stacks(source) and not several:
        raise UserError(
            f"{source} is a folder of stacks: name a folder for their results in place of "
            f"{out.name}, such as {out.with_name('stained')}."
        )
    if part is not None and not several:
        raise UserError(
            f"--part is for many stacks: name a folder for the results, not {out.name}."
        )
    share = (0, 1) if part is None else _share(part)

    def job(stop: ShouldStop) -> Job:
        """Stain one stack, or all that there are."""
        if several:
            bundle = load_model(model, str(pick_device(options.device)))
            yield from stain_files(
                [source], out, bundle, options, reading=reading, part=share, should_stop=stop
            )
        else:
            yield from stain_file(
                source, out, model, options, also=also or (), reading=reading, should_stop=stop
            )

    result = run(job, as_json(events)).result
    failed = result.get("failed", [])
    if result["stopped"]:
        stdout.print("Stopped. What is done is kept: the same command goes on from there.")
    elif several:
        count = len(result["written"])
        stacks = "1 stack" if count == 1 else f"{count} stacks"
        stdout.print(f"Stained {stacks} into {out}; {len(failed)} failed.")
    else:
        stdout.print(
            f"Stained {source.name} in {duration(result['seconds'])} "
            f"({result['voxels_per_second'] / 1e6:.2f} megavoxels/s on {result['device']}): {out}"
        )
    if failed:
        for path, reason in zip(failed, result["reasons"], strict=True):
            stdout.print(f"Not stained: {'' if path in reason else f'{path}: '}{reason}")
        raise typer.Exit(1)


def _share(text: str) -> tuple[int, int]:
    """Return K and N of "K/N".

    Raises
    ------
    UserError
        If it is something else.
    """
    number, slash, parts = text.partition("/")
    if not (slash and number.isdecimal() and parts.isdecimal()):
        raise UserError(f"--part takes a number, from 0, and how many: 0/8 to 7/8, not {text!r}.")
    return int(number), int(parts)
