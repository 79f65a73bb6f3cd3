"""The application: its verbs, and how it ends."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .. import __version__
from . import benchmark, demo, evaluate, model, nuclei, pairs, specimen, stain, train
from .console import explain, stderr, stdout

app = typer.Typer(
    name="napari-llcm",
    help="Virtual DAPI from label-free 3D stacks in one network step.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(demo.demo)
app.command()(stain.stain)
app.command()(nuclei.nuclei)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(specimen.specimen)
app.command()(pairs.pairs)
app.add_typer(model.app, name="model")
app.add_typer(benchmark.app, name="benchmark")


@app.callback()
def _callback(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if version:
        stdout.print(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; every failure ends in one sentence, mistakes with exit code 2."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        sentence, code = explain(error)
        stderr.print(f"napari-llcm: {sentence}", markup=False, soft_wrap=True)
        sys.exit(code)
