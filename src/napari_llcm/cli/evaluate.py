"""`napari-llcm evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..events import UserError
from .console import print_report, run
from .from_models import options_from_models
from .options import (
    Events,
    Finding,
    Model,
    Out,
    PairReading,
    Seed,
    Width,
    as_json,
)


@options_from_models
def evaluate(
    pairs: Annotated[Path, typer.Option("--pairs", help="Folder with qpi/ and dapi/, or a list.")],
    out: Out,
    model: Model = None,
    seed: Seed = 0,
    events: Events = None,
    *,
    options: Finding,
    width: Width,
    reading: PairReading,
) -> None:
    """Stain every pair, and compare images and nuclei with the real DAPI."""
    from ..evaluation import evaluate

    report = run(
        lambda stop: evaluate(
            pairs,
            out,
            reading=reading,
            model=model,
            segmenter=options.make(),
            device=options.device,
            seed=seed,
            diameter=options.diameter,
            nucleus_um=width.nucleus_um,
            projection=options.projection,
            should_stop=stop,
        ),
        as_json(events),
    ).result
    print_report("Evaluation", report, out)
    if report["failed"]:
        raise UserError(
            f"{len(report['failed'])} of {report['volumes'] + len(report['failed'])} pairs are not "
            "in these figures: " + " ".join(f"{f['name']}: {f['error']}" for f in report["failed"])
        )
