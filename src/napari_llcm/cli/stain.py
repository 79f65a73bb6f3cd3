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
    from ..models import load_model
    from ..models.device import pick_device
    from ..staining import StainOptions, stain
    from ..volumes import read

    volume = read(source, reading).select()
    bundle = load_model(model, str(pick_device(device)))
    lines = as_json(events)
    finished = run(
        lambda stop: stain(
            volume,
            bundle,
            StainOptions(
                device=device,
                seed=seed,
                samples=samples,
                steps=steps,
                scheduler=scheduler,
                overwrite=overwrite,
            ),
            out=out,
            should_stop=stop,
        ),
        lines,
    )
    result = finished.result
    if lines:
        return
    if result["stopped"]:
        stdout.print("Stopped. What is done is kept: the same command goes on from there.")
    else:
        stdout.print(
            f"Stained {volume.name} in {duration(result['seconds'])} "
            f"({result['voxels_per_second'] / 1e6:.2f} megavoxels/s on {result['device']}): {out}"
        )
