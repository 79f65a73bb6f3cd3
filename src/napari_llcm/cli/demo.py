"""`napari-llcm demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import print_report, run
from .from_models import options_from_models
from .options import (
    Events,
    Model,
    Segmenting,
    as_json,
)


@options_from_models
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "demo-output"
    ),
    view: Annotated[
        bool,
        typer.Option("--view/--no-view", help="Open napari at the end, where there is a screen."),
    ] = True,
    model: Model = None,
    events: Events = None,
    *,
    options: Segmenting,
) -> None:
    """Stain a specimen that no model has seen, and compare its nuclei: two minutes."""
    from ..evaluation import demo

    finished = run(
        lambda stop: demo(
            out,
            model=model,
            segmenter=options.make(),
            device=options.device,
            should_stop=stop,
        ),
        as_json(events),
    )
    print_report("Demo: virtual against real DAPI", finished.result, out)
    if view and not as_json(events):
        from ..gui.viewer import has_screen, show_demo

        if has_screen():
            show_demo(finished.value)
