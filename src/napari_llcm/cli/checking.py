"""The verbs after staining: compare nuclei, evaluate a model, run the demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..events import UserError
from .console import print_figures, run, stdout
from .options import (
    Device,
    Model,
    Out,
    Seed,
    Segmenter,
    SpacingText,
    Weights,
    three,
)

if TYPE_CHECKING:
    from ..volumes import Volume

_HEADLINE = (
    "recall",
    "precision",
    "f1",
    "detection_recall",
    "ap",
    "found",
    "missed",
    "hallucinated",
)


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
    spacing: SpacingText = None,
    diameter: Annotated[
        float | None, typer.Option(help="Typical nucleus in µm; estimated if none.")
    ] = None,
    truth_labels: Annotated[
        bool | None, typer.Option("--truth-labels/--truth-image", help="What --truth holds.")
    ] = None,
    stain_labels: Annotated[
        bool | None, typer.Option("--stain-labels/--stain-image", help="What --stain holds.")
    ] = None,
) -> None:
    """Compare the nuclei of both stacks one by one; without a truth, tell which to trust."""
    from ..nuclei import compare_nuclei, make_segmenter, write_report
    from ..volumes import read

    voxel = three(spacing, "--spacing")
    virtual = read(stain, spacing=voxel).select()
    phase = None if qpi is None else read(qpi, spacing=voxel).select()
    if truth is None:
        _trusted(virtual, phase, out, model, segmenter, weights, device, diameter)
        return
    real = read(truth, spacing=voxel).select()
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
    print_figures("Nuclei", {k: figures[k] for k in _HEADLINE if k in figures})
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
    from ..evaluation.confidence import assess_stain
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


def evaluate(
    pairs: Annotated[Path, typer.Option("--pairs", help="Folder with qpi/ and dapi/, or a list.")],
    out: Out,
    model: Model = None,
    segmenter: Segmenter = "cellpose",
    weights: Weights = None,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Stain every pair, and compare images and nuclei with the real DAPI."""
    from ..evaluation import evaluate
    from ..nuclei import make_segmenter

    finished = run(
        lambda stop: evaluate(
            pairs,
            out,
            model=model,
            segmenter=make_segmenter(segmenter, weights, device),
            device=device,
            seed=seed,
            should_stop=stop,
        )
    )
    _print_report("Evaluation", finished.result, out)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "demo-output"
    ),
    view: Annotated[
        bool,
        typer.Option("--view/--no-view", help="Open napari at the end, where there is a screen."),
    ] = True,
    model: Model = None,
    segmenter: Segmenter = "cellpose",
    device: Device = "auto",
) -> None:
    """Stain a specimen that no model has seen, and compare its nuclei: two minutes."""
    from ..evaluation import demo
    from ..nuclei import make_segmenter

    finished = run(
        lambda stop: demo(
            out,
            model=model,
            segmenter=make_segmenter(segmenter, None, device),
            device=device,
            should_stop=stop,
        )
    )
    _print_report("Demo: virtual against real DAPI", finished.result, out)
    if view:
        from ..gui.viewer import has_screen, show_demo

        if has_screen():
            show_demo(finished.value)


def _print_report(title: str, report: dict[str, object], out: Path) -> None:
    keys = (
        *_HEADLINE,
        "psnr",
        "ssim",
        "pearson",
        "lpips",
        "seconds",
        "voxels_per_second",
        "model",
        "device",
        "segmenter",
    )
    print_figures(title, {k: report[k] for k in keys if k in report})
    stdout.print(f"Report and figure in {out}")
