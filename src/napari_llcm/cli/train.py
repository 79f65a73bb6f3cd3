"""`napari-llcm train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..events import UserError
from ..training.config import TrainOptions
from .console import print_figures, run
from .from_models import FromModel, options_from_models
from .options import (
    Events,
    PairReading,
    as_json,
)

if TYPE_CHECKING:
    from ..training.config import TrainJob


@options_from_models
def train(
    job: Annotated[
        Path | None, typer.Argument(help="A job as YAML, in place of the options.")
    ] = None,
    pairs: Annotated[
        list[Path] | None,
        typer.Option(
            "--pairs",
            help="Folder with qpi/ and dapi/ (for superres: of thin volumes), a list, or a plate "
            "(OME-Zarr HCS) with both channels; may be repeated.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The run folder.")] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="default, or plan: the 512 times smaller latent. That of the model if it starts "
            "from one, or a wider one, into which that is widened."
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="stain (the default), superres (finer slices of microscopy), superres-ct, or a "
            "YAML file. That of the model if it starts from one."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Tell how long it would take, and do not train.")
    ] = False,
    events: Events = None,
    *,
    options: Annotated[TrainOptions, FromModel(short={"seed": "-s"})],
    reading: PairReading,
) -> None:
    """Train a model on pairs of label-free and DAPI stacks, or for another task."""
    from ..evaluation.while_training import NucleiJudge
    from ..training import load_job, make_job, train

    if job is not None:
        settings = load_job(job)
    elif resume and out is not None and not pairs:
        settings = load_job(out / "job.yaml")
    else:
        if not pairs or out is None:
            raise UserError("Give --pairs and --out, or a job file; see napari-llcm train --help.")
        given = {"network": network, "task": task}
        further: dict[str, Any] = {name: value for name, value in given.items() if value}
        settings = make_job(
            **options.model_dump(), pairs=pairs, out=out, reading=reading, **further
        )
    lines = as_json(events)
    if estimate:
        _estimate(settings, lines)
        return
    judge = NucleiJudge(settings.device, settings.init)
    finished = run(
        lambda stop: train(settings, resume=resume, judge=judge, should_stop=stop), lines
    )
    if not lines and finished.result:  # of several processes, one tells
        print_figures(f"Model {finished.result['model']}", finished.result["metrics"])


def _estimate(settings: TrainJob, lines: bool) -> None:
    from ..events import duration
    from ..training.estimate import estimate

    told = run(lambda stop: estimate(settings, stop), lines).result
    if not lines and told:
        times = {f"about, {k}": duration(s["all"]) for k, s in told["seconds"].items()}
        memory = {"about, memory": f"{told['memory_bytes'] / 1e9:.1f} GB"}
        print_figures(f"Training on {told['device']}", times | memory)
