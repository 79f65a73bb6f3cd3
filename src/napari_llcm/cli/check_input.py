"""`napari-llcm check-input`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import run, stdout
from .from_models import options_from_models
from .options import Device, Events, Model, Reading, Width, as_json


@options_from_models
def check_input(
    source: Annotated[Path, typer.Argument(metavar="STACK", help="The label-free stack.")],
    model: Model = None,
    device: Device = "auto",
    events: Events = None,
    *,
    width: Width,
    reading: Reading,
) -> None:
    """Tell, before staining, whether a model can read a stack, and what speaks against it."""
    from ..staining import stain_options
    from ..staining.check_input import check_input_file

    options = stain_options(device=device, nucleus_um=width.nucleus_um)
    result = run(
        lambda stop: check_input_file(source, model, options, reading=reading, should_stop=stop),
        as_json(events),
    ).result
    stdout.print("Stopped." if result.get("stopped") else f"{source.name}: {result['sentence']}")
    if told := result.get("width"):
        stdout.print(told)
