"""`napari-llcm prepare-latents`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..events import UserError
from ..training.config import TrainOptions
from .console import print_figures, run
from .from_models import FromModel, options_from_models
from .options import Events, PairReading, as_json

_OF_TRAINING = (
    "method",
    "control",
    "thaw_after",
    "thaw_rate",
    "preset",
    "max_minutes",
    "name",
    "seed",
)


@options_from_models
def prepare_latents(
    job: Annotated[
        Path | None,
        typer.Argument(
            help="The training's job as YAML, in place of the options; needed where its patch or "
            "its network is not the usual one."
        ),
    ] = None,
    pairs: Annotated[
        list[Path] | None,
        typer.Option(
            "--pairs",
            help="Folder with qpi/ and dapi/ (for superres: of thin volumes), or a list; may be "
            "repeated.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the latent dataset.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="stain (the default), superres, superres-ct, or a YAML file. That of the model "
            "where --init names one."
        ),
    ] = None,
    events: Events = None,
    *,
    options: Annotated[TrainOptions, FromModel(leave_out=_OF_TRAINING)],
    reading: PairReading,
) -> None:
    """Encode pairs once, for trainings with one autoencoder: train --pairs takes the result."""
    from ..training.jobs import load_job, make_job
    from ..training.prepare_latents import prepare_latents

    if out is None or (job is None and not pairs):
        raise UserError("Give --pairs and --out, or a job file and --out.")
    if job is not None:
        settings = load_job(job).model_copy(update={"out": out})
        if pairs:
            settings = settings.model_copy(update={"pairs": pairs})
    else:
        further: dict[str, Any] = {"task": task} if task else {}
        settings = make_job(
            **options.model_dump(), pairs=pairs, out=out, reading=reading, **further
        )
    lines = as_json(events)
    told = run(lambda stop: prepare_latents(settings, stop), lines).result
    if told and not lines:
        print_figures(
            f"Latents {told['latents']}",
            {"pairs": told["pairs"], "of them encoded now": told["encoded"]},
        )
