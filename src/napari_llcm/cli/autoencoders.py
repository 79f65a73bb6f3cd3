"""`napari-llcm model fetch` and `import-vae`: autoencoders that others have published."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..events import UserError
from .console import print_figures, run, stdout
from .from_models import options_from_models
from .options import Events, Overwrite, Reading, Segmenting, as_json, finite

if TYPE_CHECKING:
    from ..evaluation.survival import Hounsfield

Kind = Literal["maisi", "mri", "medvae", "cogvideox"]


@options_from_models
def import_vae(
    file: Annotated[
        Path, typer.Argument(help="The weights: .safetensors, .pt or .ckpt with tensors alone.")
    ],
    kind: Annotated[Kind, typer.Option("--kind", help="Which published autoencoder it is.")],
    name: Annotated[str, typer.Option("--name", help="Its name from now on; the kind's.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write it to this folder instead.")
    ] = None,
    volumes: Annotated[
        list[Path] | None,
        typer.Option(
            "--volumes",
            help="A volume of yours (DAPI, or CT with --judge hu) that is sent through it and "
            "back; again for more.",
        ),
    ] = None,
    judge: Annotated[
        Literal["nuclei", "hu"],
        typer.Option("--judge", help="What must survive: nuclei, or Hounsfield units."),
    ] = "nuclei",
    window: Annotated[
        str, typer.Option("--window", help="Centre and width of the window of CT, in HU.")
    ] = "40,400",
    scale: Annotated[
        float | None,
        typer.Option(
            "--scale-factor",
            help="What latents are multiplied by; measured on --volumes if not given, or else as "
            "the file says.",
            callback=finite,
        ),
    ] = None,
    sizes: Annotated[
        Path | None,
        typer.Option(
            "--sizes",
            help="YAML or JSON with sizes other than the published ones, or the config.json of "
            "diffusers.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    events: Events = None,
    *,
    options: Segmenting,
    reading: Reading,
) -> None:
    """Take in a published autoencoder, and say whether nuclei (or HU) survive it."""
    from ..evaluation.autoencoder_import import AutoencoderImport, import_autoencoder

    job = AutoencoderImport(
        file,
        kind,
        name,
        out,
        sizes,
        volumes or (),
        reading,
        judge,
        _window(window),
        scale,
        options.device,
        overwrite,
    )
    finished = run(
        lambda stop: import_autoencoder(job, options.make, should_stop=stop), as_json(events)
    )
    result = finished.result
    if not result:  # stopped
        return
    figures = result["round_trip"] or {}
    shown = {k: figures[k] for k in ("f1", "nuclei", "hu_mae", "psnr") if k in figures}
    print_figures(
        finished.value.name,
        {"kind": result["kind"], "scale factor of latents": result["scale_factor"], **shown},
    )
    stdout.print(result["verdict"])
    stdout.print(f"Imported to {result['folder']}")


def fetch(
    kind: Annotated[
        Literal["maisi", "mri", "cogvideox"], typer.Argument(help="Which published autoencoder.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Download to this folder instead.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask: size and licence are agreed to.")
    ] = False,
    events: Events = None,
) -> None:
    """Download the published weights of an autoencoder, after telling size and licence."""
    from ..models.autoencoders.fetch import fetch_published, offers, published_folder

    found = offers(kind)
    stdout.print(found[0].words, soft_wrap=True)
    folder = out or published_folder(kind)
    if not yes and not typer.confirm(f"Download it to {folder}?"):
        raise typer.Exit
    finished = run(lambda stop: fetch_published(found, folder, stop), as_json(events))
    if not finished.result:  # stopped
        return
    weights, *beside = finished.value
    sizes = f" --sizes {shlex.quote(str(beside[0]))}" if beside else ""
    stdout.print(
        f"Now take it in, and measure it on a volume of yours:\n  napari-llcm model import-vae "
        f"{shlex.quote(str(weights))} --kind {kind}{sizes} --volumes VOLUME",
        soft_wrap=True,
    )


def _window(text: str) -> Hounsfield:
    from ..evaluation.survival import Hounsfield

    try:
        centre, width = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError("--window takes centre and width in HU, such as 40,400.") from error
    if finite(width) is None or width <= 0:
        raise UserError("The width of --window must be more than 0 HU.")
    return Hounsfield(centre, width)
