"""`napari-llcm model`: what models there are, and how they come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..events import UserError
from .console import print_figures, print_table, stdout

app = typer.Typer(help="List, describe, import and export models.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """List the models at hand."""
    from ..models import list_models, read_info

    rows = []
    for name, path in list_models().items():
        info = read_info(path)
        spacing = " × ".join(f"{s:g}" for s in info.spacing) if info.spacing else "unknown"
        f1 = info.metrics.get("f1")
        rows.append([name, info.kind, spacing, "" if f1 is None else f"{f1:.3f}", str(path)])
    print_table(["name", "kind", "spacing (z, y, x) in µm", "validation F1", "where"], rows)


@app.command()
def info(model: Annotated[str | None, typer.Argument(help="Name, folder or .zip.")] = None) -> None:
    """Describe a model: spacing, networks, figures, how it was made."""
    import json

    from ..models import find_model, read_info

    description = read_info(find_model(model))
    print_figures(
        description.name,
        {
            "kind": description.kind,
            "spacing (z, y, x) in µm": description.spacing,
            "voxels for each latent site": description.network.factor,
            "latent channels": description.network.latent_channels,
            **description.metrics,
        },
    )
    stdout.print_json(json.dumps(description.provenance))


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="A model folder, run folder or .zip.")],
    name: Annotated[str | None, typer.Option("--name", help="Its name from now on.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace one of that name.")
    ] = False,
) -> None:
    """Add a model to your own, so that its name alone is enough."""
    from ..models import import_model

    stdout.print(f"Imported to {import_model(source, name, overwrite)}")


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="Name, folder or run folder.")],
    target: Annotated[Path, typer.Argument(help="File to make: NAME.zip, or a folder with --pth.")],
    pth: Annotated[bool, typer.Option("--pth", help="As vae.pth and llcm_ema.pth.")] = False,
) -> None:
    """Write a model as one .zip to pass on."""
    from ..models import export_model

    if not pth and target.suffix != ".zip":
        raise UserError(
            f"{target} should end in .zip (or add --pth to write a folder of .pth files)."
        )
    stdout.print(f"Exported to {export_model(model, target, pth)}")
