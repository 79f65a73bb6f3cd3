"""`napari-llcm stain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..events import duration
from .console import run, stdout
from .from_models import options_from_models
from .options import (
    Device,
    Events,
    Model,
    Overwrite,
    Reading,
    Seed,
    as_json,
)


@options_from_models
def stain(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The label-free stack.")],
    out: Annotated[Path, typer.Argument(help="The virtual DAPI: .ome.zarr or .ome.tif.")],
    model: Model = None,
    device: Device = "auto",
    seed: Seed = 0,
    samples: Annotated[
        int, typer.Option(min=1, help="Seeds to average; more than one adds a spread.")
    ] = 1,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Network steps; by default the method's own, one.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a dask scheduler: stain on its workers.")
    ] = None,
    overwrite: Overwrite = False,
    events: Events = None,
    *,
    reading: Reading,
) -> None:
    """Stain a label-free stack: write the DAPI volume that you would have seen."""
    from ..staining import StainOptions
    from ..staining.one_file import stain_file

    options = StainOptions(
        device=device,
        seed=seed,
        samples=samples,
        steps=steps,
        scheduler=scheduler,
        overwrite=overwrite,
    )
    result = run(
        lambda stop: stain_file(source, out, model, options, reading=reading, should_stop=stop),
        as_json(events),
    ).result
    if result["stopped"]:
        stdout.print("Stopped. What is done is kept: the same command goes on from there.")
    else:
        stdout.print(
            f"Stained {source.name} in {duration(result['seconds'])} "
            f"({result['voxels_per_second'] / 1e6:.2f} megavoxels/s on {result['device']}): {out}"
        )
