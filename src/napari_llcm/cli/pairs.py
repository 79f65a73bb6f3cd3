"""`napari-llcm pairs`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..events import Job, ShouldStop, UserError
from .console import print_table, run
from .from_models import options_from_models
from .options import Device, Events, PairReading, as_json


@options_from_models
def pairs(
    source: Annotated[
        Path, typer.Argument(help="Folder with qpi/ and dapi/, a CSV/YAML list, or a plate.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for a figure of each pair.")
    ] = None,
    apply: Annotated[
        Path | None,
        typer.Option(
            "--apply",
            help="Write the pairs here, DAPI (and labels) moved where they are surely shifted; "
            "unrelated pairs are left out.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Stain phase with this model first and compare its nuclei: slower, but surer. "
            "Name, folder, run folder or .zip; universal-v1 and specimen-v6 are shipped.",
        ),
    ] = None,
    device: Device = "auto",
    events: Events = None,
    *,
    reading: PairReading,
) -> None:
    """Check pairs: shape, spacing, and whether phase and DAPI lie on each other."""
    from ..training.latents_info import refuse_latents
    from ..volumes.pair_check import check_pairs

    def job(stop: ShouldStop) -> Job:
        """Check the pairs."""
        refuse_latents(source)
        stain = None
        if model is not None:
            from ..staining.options import StainOptions
            from ..staining.virtual import stainer_of

            stain = stainer_of(model, StainOptions(device=device, check=False), stop)
        yield from check_pairs(
            source, out=out, apply=apply, reading=reading, stain=stain, should_stop=stop
        )

    told = run(job, as_json(events)).result
    rows = [
        [row["name"], row["verdict"], _in_words(row["shift"]), row["sentence"]]
        for row in told["pairs"]
    ]
    print_table(["pair", "verdict", "shift (z, y, x) in voxels", ""], rows)
    if told["failed"]:
        raise UserError(
            f"{len(told['failed'])} of {len(rows)} pairs could not be checked: "
            f"{', '.join(told['failed'])}."
        )
    if apply is not None and told["unrelated"]:
        raise UserError(
            f"Not written to {apply}, since they seem to show different places: "
            f"{', '.join(told['unrelated'])}."
        )


def _in_words(shift: Sequence[float] | None) -> str:
    return "" if shift is None else ", ".join(f"{s:+.2f}" for s in shift)
