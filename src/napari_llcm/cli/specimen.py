"""`napari-llcm specimen`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..events import UserError
from .console import run, stdout
from .from_models import numbers, options_from_models
from .options import Events, Overwrite, Seed, SpecimenReading, as_json

if TYPE_CHECKING:
    from ..specimen.difficulty import DifficultyName
    from ..specimen.optics import Modality


@options_from_models
def specimen(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    n: Annotated[int, typer.Option("--n", min=1, help="How many specimens.")] = 1,
    size: Annotated[str, typer.Option(help="Voxels Z,Y,X.")] = "48,192,192",
    seed: Seed = 0,
    difficulty: Annotated[
        str | None, typer.Option(help="easy, medium (if none is given), hard or varied.")
    ] = None,
    modality: Annotated[
        str | None,
        typer.Option(help="qobm (if none), transmission, brightfield, zernike, dic or odt."),
    ] = None,
    from_dapi: Annotated[
        Path | None,
        typer.Option("--from-dapi", help="Build around the nuclei of a real DAPI stack."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels of these nuclei; found by a threshold if none.")
    ] = None,
    families: Annotated[
        bool,
        typer.Option("--families", help="Draw cells, microscope and voxel size of each anew."),
    ] = False,
    leave_out: Annotated[
        list[str] | None,
        typer.Option("--leave-out", help="Tag never drawn, as modality:dic; may be repeated."),
    ] = None,
    overwrite: Overwrite = False,
    events: Events = None,
    *,
    reading: SpecimenReading,
) -> None:
    """Make paired label-free, DAPI and label stacks with known truth."""
    from ..specimen import write_specimens
    from ..volumes.reading import read_role

    if labels is not None and from_dapi is None:
        raise UserError("--labels goes with --from-dapi.")
    drawn = {"--spacing": reading.spacing, "--difficulty": difficulty, "--modality": modality}
    if families and (given := [option for option, value in drawn.items() if value]):
        raise UserError(
            f"{given[0]} does not go with --families: each specimen is drawn with its own; "
            "keep others out with --leave-out."
        )
    if leave_out and not families:
        raise UserError("--leave-out goes with --families.")
    z, y, x = (int(n) for n in numbers(size, "--size"))
    finished = run(
        lambda stop: write_specimens(
            out,
            n,
            (z, y, x),
            seed,
            cast("DifficultyName", difficulty or "medium"),
            spacing=reading.spacing or (0.8, 0.5, 0.5),
            modality=cast("Modality | None", modality),
            dapi=read_role(from_dapi, reading, None, "dapi") if from_dapi else None,
            labels=read_role(labels, reading, "labels") if labels else None,
            families=families,
            leave_out=leave_out or (),
            overwrite=overwrite,
            should_stop=stop,
        ),
        as_json(events),
    )
    made = finished.result["specimens"]
    stdout.print(f"Made {made} specimen{'s' if made != 1 else ''} in {out}")
