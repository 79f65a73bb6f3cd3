"""`napari-llcm specimen`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..events import UserError
from .console import run, stdout
from .options import (
    Overwrite,
    Seed,
    three,
)

if TYPE_CHECKING:
    from ..specimen.difficulty import DifficultyName


def specimen(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    n: Annotated[int, typer.Option("--n", min=1, help="How many specimens.")] = 1,
    size: Annotated[str, typer.Option(help="Voxels Z,Y,X.")] = "48,192,192",
    seed: Seed = 0,
    difficulty: Annotated[str, typer.Option(help="easy, medium, hard or varied.")] = "medium",
    from_dapi: Annotated[
        Path | None,
        typer.Option("--from-dapi", help="Build around the nuclei of a real DAPI stack."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels of these nuclei; found by a threshold if none.")
    ] = None,
    spacing: Annotated[str | None, typer.Option(help="Voxel size Z,Y,X in µm.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make paired QPI, DAPI and label stacks with known truth."""
    from ..specimen import write_specimens
    from ..volumes import read

    if labels is not None and from_dapi is None:
        raise UserError("--labels goes with --from-dapi.")
    voxel = three(spacing, "--spacing")
    z, y, x = (int(n) for n in three(size, "--size") or ())
    finished = run(
        lambda stop: write_specimens(
            out,
            n,
            (z, y, x),
            seed,
            cast("DifficultyName", difficulty),
            spacing=voxel or (0.8, 0.5, 0.5),
            dapi=read(from_dapi, spacing=voxel).select() if from_dapi else None,
            labels=read(labels, spacing=voxel).select() if labels else None,
            overwrite=overwrite,
            should_stop=stop,
        )
    )
    stdout.print(f"Made {finished.result['specimens']} specimens in {out}")
