"""`napari-llcm phantom`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..events import UserError
from ..volumes.thick_slices import ThickOptions
from .console import run, stdout
from .from_models import FromModel, numbers, options_from_models
from .options import Events, Overwrite, Seed, as_json

if TYPE_CHECKING:
    from ..phantom.scanner import KernelName

_THICK = FromModel(heading="Thick slices, with --thick", leave_out=("noise", "seed"))


@options_from_models
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    n: Annotated[int, typer.Option("--n", min=1, help="How many phantoms.")] = 1,
    size: Annotated[str, typer.Option(help="Voxels Z,Y,X.")] = "144,256,256",
    spacing: Annotated[str, typer.Option(help="Voxel size Z,Y,X in µm.")] = "1000,1400,1400",
    seed: Seed = 0,
    kernel: Annotated[str, typer.Option(help="soft, medium or sharp.")] = "soft",
    noise: Annotated[float, typer.Option(min=0, help="Noise in the middle of the body, HU.")] = 15,
    thick: Annotated[bool, typer.Option("--thick", help="Write thick slices too.")] = False,
    overwrite: Overwrite = False,
    events: Events = None,
    *,
    options: Annotated[ThickOptions, _THICK],
) -> None:
    """Make simulated CT of a chest with known truth: thin planes, tissues, thick slices."""
    from ..phantom import write_phantoms

    if options != ThickOptions() and not thick:
        raise UserError("--ratio, --profile and --thickness go with --thick.")
    z, y, x = (int(v) for v in numbers(size, "--size"))
    sz, sy, sx = numbers(spacing, "--spacing")
    finished = run(
        lambda stop: write_phantoms(
            out,
            n,
            (z, y, x),
            seed,
            spacing=(sz, sy, sx),
            kernel=cast("KernelName", kernel),
            noise=noise,
            thick=options if thick else None,
            overwrite=overwrite,
            should_stop=stop,
        ),
        as_json(events),
    )
    made = finished.result["phantoms"]
    stdout.print(f"Made {made} phantom{'s' if made != 1 else ''} in {out}", soft_wrap=True)
