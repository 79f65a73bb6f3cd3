"""`napari-llcm nuclei`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..events import UserError
from .console import HEADLINE, print_figures, run, stdout
from .from_models import options_from_models
from .options import CheckReading, Device, Model, Out, Segmenter, Weights

if TYPE_CHECKING:
    from ..volumes import Volume


@options_from_models
def nuclei(
    stain: Annotated[Path, typer.Option("--stain", help="Virtual DAPI, or labels.")],
    out: Out,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", help="Real DAPI, or labels of its nuclei; without it, give --qpi."),
    ] = None,
    qpi: Annotated[
        Path | None, typer.Option(help="The label-free stack: for figure and confidence.")
    ] = None,
    model: Model = None,
    segmenter: Segmenter = "cellpose",
    weights: Weights = None,
    device: Device = "auto",
    iou: Annotated[
        float, typer.Option(min=0.05, max=0.95, help="Overlap that counts as found.")
    ] = 0.5,
    diameter: Annotated[
        float | None, typer.Option(help="Typical nucleus in µm; estimated if none.")
    ] = None,
    truth_labels: Annotated[
        bool | None, typer.Option("--truth-labels/--truth-dapi", help="What --truth holds.")
    ] = None,
    stain_labels: Annotated[
        bool | None, typer.Option("--stain-labels/--stain-dapi", help="What --stain holds.")
    ] = None,
    *,
    reading: CheckReading,
) -> None:
    """Compare the nuclei of both stacks one by one; without a truth, tell which to trust."""
    from ..nuclei import compare_nuclei, make_segmenter, write_report
    from ..volumes import on_one_grid
    from ..volumes.reading import read_role

    virtual = read_role(stain, reading, "stain")
    phase = None if qpi is None else read_role(qpi, reading, "qpi")
    if truth is None:
        _trusted(virtual, phase, out, model, segmenter, weights, device, diameter)
        return
    real = read_role(truth, reading, "truth")
    if phase is not None:
        real, virtual, phase = on_one_grid(real, virtual, phase)
    finished = run(
        lambda stop: compare_nuclei(
            real,
            virtual,
            segmenter=make_segmenter(segmenter, weights, device),
            iou=iou,
            diameter=diameter,
            truth_is_labels=truth_labels,
            stain_is_labels=stain_labels,
            should_stop=stop,
        )
    )
    if finished.value is None:
        raise UserError("Stopped before the nuclei were compared: there is nothing to report.")
    write_report(out, finished.value, qpi=phase, truth=real, stain=virtual)
    figures = finished.result
    print_figures("Nuclei", {k: figures[k] for k in HEADLINE if k in figures})
    stdout.print(f"Table, figures and picture in {out}")


def _trusted(
    virtual: Volume,
    phase: Volume | None,
    out: Path,
    model: str | None,
    segmenter: str,
    weights: str | None,
    device: str,
    diameter: float | None,
) -> None:
    """Find the nuclei of a stain, and write how far to trust each."""
    from ..evaluation.assessment import assess_stain
    from ..models import load_model
    from ..nuclei import make_segmenter
    from ..nuclei.report import write_nuclei

    if phase is None:
        raise UserError("Give --truth to compare with, or --qpi to learn which nuclei to trust.")
    finished = run(
        lambda stop: assess_stain(
            phase,
            virtual,
            load_model(model),
            segmenter=make_segmenter(segmenter, weights, device),
            diameter=diameter,
            device=device,
            should_stop=stop,
        )
    )
    if finished.value is None:
        raise UserError("Stopped before the nuclei were found: there is nothing to report.")
    findings, assessed = finished.value
    path = write_nuclei(out, findings, assessed.faint)
    print_figures("Nuclei", finished.result)
    stdout.print(f"Nuclei by confidence in {path}, faint places beside it")
