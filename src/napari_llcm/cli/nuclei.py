"""`napari-llcm nuclei`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..volumes.flat import IN_WORDS
from .console import HEADLINE, print_figures, run, stdout
from .from_models import options_from_models
from .options import Checking, CheckReading, Events, Model, Out, as_json


@options_from_models
def nuclei(
    stain: Annotated[
        Path,
        typer.Option(
            "--stain",
            help="Virtual DAPI, or labels; or a plate (OME-Zarr HCS), which gets a table for each "
            "well.",
        ),
    ],
    out: Out,
    truth: Annotated[
        Path | None,
        typer.Option(
            "--truth",
            help="Real DAPI, or labels of its nuclei: a stack, or one plane of the field, which is "
            "compared with a projection; without it, give --qpi.",
        ),
    ] = None,
    qpi: Annotated[
        Path | None, typer.Option(help="The label-free stack: for figure and confidence.")
    ] = None,
    model: Model = None,
    truth_labels: Annotated[
        bool | None, typer.Option("--truth-labels/--truth-dapi", help="What --truth holds.")
    ] = None,
    stain_labels: Annotated[
        bool | None, typer.Option("--stain-labels/--stain-dapi", help="What --stain holds.")
    ] = None,
    events: Events = None,
    *,
    options: Checking,
    reading: CheckReading,
) -> None:
    """Compare the nuclei of both images one by one; without a truth, tell which to trust."""
    from ..evaluation.checking import Check, check_nuclei
    from ..evaluation.checking_plates import check_plate
    from ..volumes.plates import is_plate

    check = Check(
        stain,
        out,
        truth,
        qpi,
        reading,
        model=model,
        device=options.device,
        iou=options.iou,
        diameter=options.diameter,
        projection=options.projection,
        truth_is_labels=truth_labels,
        stain_is_labels=stain_labels,
    )
    if is_plate(stain):
        _tell_of_plate(
            run(
                lambda stop: check_plate(check, options.make(), should_stop=stop),
                as_json(events),
            ).result
        )
        return
    figures = run(
        lambda stop: check_nuclei(check, options.make(), should_stop=stop),
        as_json(events),
    ).result
    if truth is None:
        print_figures("Nuclei", figures)
        stdout.print(f"Nuclei by confidence in {out / 'nuclei.csv'}, faint places beside it")
    else:
        title = (
            f"Nuclei, of the {IN_WORDS[how]} in 2D" if (how := figures["projection"]) else "Nuclei"
        )
        print_figures(title, {k: figures[k] for k in HEADLINE if k in figures})
        stdout.print(f"Table, figures and picture in {out}")


def _tell_of_plate(result: dict[str, Any]) -> None:
    """Say what came of a plate; end with an error where fields could not be checked."""
    if "figures" in result:
        print_figures("Nuclei", {k: v for k, v in result["figures"].items() if k in HEADLINE})
    if result["stopped"]:
        stdout.print("Stopped. The wells that are done are kept: the same command goes on.")
    count = len(result["wells"])
    wells = "1 well" if count == 1 else f"{count} wells"
    stdout.print(
        f"{result['nuclei']} nuclei in {wells}: a table for each, and wells.csv, in {result['out']}"
    )
    for name, reason in zip(result["failed"], result["reasons"], strict=True):
        stdout.print(f"Not checked: {name}: {reason}")
    if result["failed"]:
        raise typer.Exit(1)
