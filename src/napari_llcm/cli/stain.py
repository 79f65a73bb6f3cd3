"""`napari-llcm stain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..events import Job, ShouldStop, UserError, duration
from ..volumes.atomic import is_zarr
from ..volumes.reading import stem
from .console import run, stdout
from .from_models import options_from_models
from .options import (
    Events,
    Model,
    Plates,
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
            help="The label-free stack, or what else the model takes; a folder of stacks; or a "
            "plate (OME-Zarr HCS), field by field.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Argument(
            help="The virtual DAPI: .ome.zarr, .ome.tif or .nii.gz; of a CT also .dicom, a folder "
            "with a series. A folder, named without suffix, for those of all stacks, images and "
            "time points of IN. Of a plate, a plate (.zarr); one beside IN if none."
        ),
    ] = None,
    model: Model = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Stain part K, from 0, of N parts of the stacks, or of the fields of a plate: for "
            "N jobs side by side.",
        ),
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(help="A further stack, for a model of several inputs; may be repeated."),
    ] = None,
    events: Events = None,
    *,
    options: Staining,
    plates: Plates,
    reading: Reading,
) -> None:
    """Stain a label-free stack: write the DAPI volume that you would have seen.

    With a model of another task, such as finer slices: write its result.
    """
    from ..models import load_model
    from ..models.device import pick_device
    from ..staining import is_folder_of_stacks, stain_files
    from ..staining.one_file import stain_file
    from ..staining.plates import stain_plate
    from ..volumes.plates import is_plate

    share = (0, 1) if part is None else _share(part)
    if is_plate(source):

        def plate_job(stop: ShouldStop) -> Job:
            """Stain the plate."""
            bundle = load_model(model, str(pick_device(options.device_here)))
            yield from stain_plate(
                source,
                out,
                bundle,
                options,
                reading=reading,
                plates=plates,
                part=share,
                should_stop=stop,
            )

        _tell_of_plate(run(plate_job, as_json(events)).result)
        return
    if out is None:
        raise UserError(
            f"Name the result too: napari-llcm stain {source} {stem(source)}.stained.ome.zarr."
        )
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

    def job(stop: ShouldStop) -> Job:
        """Stain one stack, or all that there are."""
        if several:
            bundle = load_model(model, str(pick_device(options.device_here)))
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
    _tell_failed(result)


def _tell_of_plate(result: dict[str, Any]) -> None:
    """Say what came of a plate."""
    if result["stopped"]:
        stdout.print("Stopped. What is done is kept: the same command goes on from there.")
    else:
        there = f", {result['there']} were there already" if result["there"] else ""
        count = len(result["written"])
        fields = "1 field" if count == 1 else f"{count} fields"
        stdout.print(
            f"Stained {fields} into {result['out']}{there}; {len(result['failed'])} failed."
        )
    _tell_failed(result)


def _tell_failed(result: dict[str, Any]) -> None:
    """Say what was not stained, if anything, and end with an error."""
    for path, reason in zip(result.get("failed", []), result.get("reasons", []), strict=True):
        stdout.print(f"Not stained: {'' if path in reason else f'{path}: '}{reason}")
    if result.get("failed"):
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
