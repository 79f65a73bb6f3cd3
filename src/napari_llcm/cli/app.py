"""The application: its verbs, and how it ends."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from . import (
    benchmark,
    check_input,
    demo,
    evaluate,
    model,
    nuclei,
    pairs,
    phantom,
    prepare_latents,
    slices,
    specimen,
    stain,
    train,
    worker,
)
from .console import explain, outcome, stderr, stdout

_INTERRUPTED = 130  # exit code that shells know for Ctrl-C


class _Verbs(TyperGroup):
    """Ends every verb alike, whatever it was doing: its options, its reading, its job."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb; its failure is its last event, and signals have exit codes of their own."""
        words = [*ctx._protected_args, *ctx.args]
        outcome.begin(as_json=any(w == "--events" or w.startswith("--events=") for w in words))
        try:
            result = super().invoke(ctx)
        except typer.Exit:
            if outcome.interrupted:
                raise typer.Exit(outcome.interrupted) from None
            raise
        except KeyboardInterrupt:
            outcome.fail("It was broken off by Ctrl-C.")
            raise typer.Exit(_INTERRUPTED) from None
        except Exception as error:
            sentence, _ = explain(error)
            outcome.fail(sentence)
            if outcome.interrupted:
                stderr.print(f"napari-llcm: {sentence}", soft_wrap=True)
                raise typer.Exit(outcome.interrupted) from error
            raise
        if outcome.interrupted:
            raise typer.Exit(outcome.interrupted)
        return result


app = typer.Typer(
    cls=_Verbs,
    name="napari-llcm",
    help="Virtual DAPI from label-free 3D stacks in one network step.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(demo.demo)
app.command()(stain.stain)
app.command()(check_input.check_input)
app.command()(nuclei.nuclei)
app.command()(train.train)
app.command()(prepare_latents.prepare_latents)
app.command()(evaluate.evaluate)
app.command()(specimen.specimen)
app.command()(phantom.phantom)
app.command()(pairs.pairs)
app.command()(worker.worker)
app.add_typer(slices.app, name="slices")
app.add_typer(model.app, name="model")
app.add_typer(benchmark.app, name="benchmark")


def _print_version(asked: bool) -> None:
    if asked:
        stdout.print(__version__)
        raise typer.Exit


@app.callback()
def _callback(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and end.",
            callback=_print_version,
            is_eager=True,  # before a verb is missed
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; every failure ends in one sentence, mistakes with exit code 2."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except Exception as error:
        sentence, code = explain(error)
        stderr.print(f"napari-llcm: {sentence}", soft_wrap=True)
        sys.exit(code)
