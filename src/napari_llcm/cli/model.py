"""`napari-llcm model`: what models there are, and how they come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..events import UserError
from .autoencoders import fetch, import_vae
from .console import print_figures, print_table, run, stdout
from .from_models import options_from_models
from .options import Events, PairReading, Segmenting, as_json

app = typer.Typer(help="List, describe, import and export models.", no_args_is_help=True)
app.command()(fetch)
app.command("import-vae")(import_vae)


@app.command("list")
def list_() -> None:
    """List the models at hand."""
    from ..models import list_models, read_info

    rows = []
    for name, path in list_models().items():
        try:
            info = read_info(path)
        except UserError:  # the others are there all the same
            rows.append([name, "damaged", "", "", str(path)])
            continue
        spacing = " × ".join(f"{s:g}" for s in info.spacing) if info.spacing else "unknown"
        f1 = info.metrics.get("f1")
        rows.append([name, info.method, spacing, "" if f1 is None else f"{f1:.3f}", str(path)])
    print_table(["name", "method", "spacing (z, y, x) in µm", "validation F1", "where"], rows)


@app.command()
def info(model: Annotated[str | None, typer.Argument(help="Name, folder or .zip.")] = None) -> None:
    """Describe a model: spacing, networks, figures, how it was made."""
    import json

    from ..models import find_model, read_info

    description = read_info(find_model(model))
    print_figures(
        description.name,
        {
            "method": description.method,
            "spacing (z, y, x) in µm": description.spacing,
            "width of nuclei in µm": description.nucleus_um,
            **({"it was": description.taught.words} if description.taught else {}),
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


@app.command()
@options_from_models
def calibrate(
    model: Annotated[Path, typer.Argument(help="A model folder or a run folder of yours.")],
    pairs: Annotated[Path, typer.Option("--pairs", help="Pairs that it was not trained on.")],
    diagram: Annotated[
        Path | None,
        typer.Option(
            "--diagram", help="Draw said confidence against the share that is real: .png."
        ),
    ] = None,
    events: Events = None,
    *,
    options: Segmenting,
    reading: PairReading,
) -> None:
    """Learn how far to trust the model's nuclei, and keep that in the model."""
    from ..evaluation.calibration import calibrate_model
    from ..volumes import find_pairs

    finished = run(
        lambda stop: calibrate_model(
            model,
            find_pairs(pairs, reading),
            segmenter=options.make(),
            diagram=diagram,
            device=options.device,
            should_stop=stop,
        ),
        as_json(events),
    )
    names = ["estimator", "ECE", "log loss", "Brier score", "bits gained", "trusted half real"]
    shown = ("ece", "log_loss", "brier", "information_gain", "trusted_half")
    rows = [
        [f"{name} (chosen)" if name == finished.result["estimator"] else name]
        + [f"{figures[k]:.3f}" for k in shown]
        for name, figures in finished.result["compared"].items()
    ]
    print_table(names, rows)
    if diagram is not None:
        stdout.print(f"Drawn to {diagram}")


@app.command("calibrate-input")
@options_from_models
def calibrate_input(
    model: Annotated[Path, typer.Argument(help="A model folder or a run folder of yours.")],
    pairs: Annotated[
        list[Path],
        typer.Option("--pairs", help="Pairs of one kind; again for each other kind."),
    ],
    events: Events = None,
    *,
    options: Segmenting,
    reading: PairReading,
) -> None:
    """Learn which stacks the model can read, and keep that in the model."""
    from ..evaluation.input_calibration import calibrate_input_of
    from ..volumes import find_pairs

    finished = run(
        lambda stop: calibrate_input_of(
            model,
            {folder.name: find_pairs(folder, reading) for folder in pairs},
            segmenter=options.make(),
            device=options.device,
            should_stop=stop,
        ),
        as_json(events),
    )
    result = finished.result
    print_table(["kind", "nuclei F1"], [[k, f"{v:.3f}"] for k, v in result["families"].items()])
    stdout.print(
        f"On kinds left out: area under ROC {result['auc']:.3f}, mean error of the expected F1 "
        f"{result['error']:.3f}."
    )
