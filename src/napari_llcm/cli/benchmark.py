"""`napari-llcm benchmark`: methods side by side, and how fast staining is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from .console import print_table, run, stdout
from .from_models import numbers, options_from_models
from .options import Device, Events, Model, Out, PairReading, Segmenting, as_json, finite

if TYPE_CHECKING:
    from ..models.config import MethodName

app = typer.Typer(help="Measure methods side by side, or speed.", no_args_is_help=True)
_QUICK = 1.5  # minutes


@app.command()
@options_from_models
def quality(
    out: Out,
    budget: Annotated[
        float,
        typer.Option(
            "--budget-minutes", min=0.01, callback=finite, help="Training time of each method."
        ),
    ] = 30.0,
    methods: Annotated[
        str, typer.Option(help="Some of llcm,regression,pix2pix,diffusion,resshift.")
    ] = "llcm,regression,pix2pix,diffusion,resshift",
    ways: Annotated[
        str,
        typer.Option(
            help="Other ways to steer the llcm, of control,attention: a branch beside one that is "
            "half trained and then frozen, or tokens that it attends to."
        ),
    ] = "",
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            help="Folder with pairs in train/ and test/, or in folders within these; may be "
            "repeated. Simulated specimens, medium and hard, if none.",
        ),
    ] = None,
    specimens: Annotated[
        str, typer.Option(help="Specimens of each difficulty to TRAIN,TEST on.")
    ] = "40,4",
    size: Annotated[str, typer.Option(help="Voxels Z,Y,X of these specimens.")] = "48,192,192",
    events: Events = None,
    *,
    options: Segmenting,
    reading: PairReading,
) -> None:
    """Train every method with the same budget and judge it on the same held-out pairs.

    The same command goes on after an interruption.
    """
    from ..evaluation.quality import QualityBenchmark, benchmark_quality
    from ..events import UserError

    z, y, x = (int(n) for n in numbers(size, "--size"))
    counts = specimens.split(",")
    if len(counts) != 2 or not all(n.strip().isdigit() and int(n) > 0 for n in counts):
        raise UserError("--specimens takes two numbers, such as 40,4: to train and to test on.")
    benchmark = QualityBenchmark(
        out,
        cast("list[MethodName]", [m.strip() for m in methods.split(",")]),
        budget,
        *_pairs(data or []),
        (int(counts[0]), int(counts[1])),
        (z, y, x),
        options.device,
        reading=reading,
        ways=[way.strip() for way in ways.split(",") if way.strip()],
    )
    finished = run(
        lambda stop: benchmark_quality(benchmark, segmenter=options.make(), should_stop=stop),
        as_json(events),
    )
    if finished.result.get("stopped"):
        stdout.print("Stopped. What is done is kept: the same command goes on from there.")
        return
    for group, content in finished.result["groups"].items():
        rows = [
            [name, *(f"{row[k]:.3f}" for k in ("recall", "precision", "f1"))]
            for name, row in content["variants"].items()
        ]
        print_table([group, "recall", "precision", "F1"], rows)
    stdout.print(f"Report in {finished.value}")


def _pairs(data: list[Path]) -> tuple[list[Path], list[Path]]:
    """Return the folders of pairs to train on and to judge on."""
    from ..events import UserError

    found: list[list[Path]] = []
    for role in ("train", "test"):
        folders: list[Path] = []
        for folder in (d / role for d in data):
            if not folder.is_dir():
                raise UserError(
                    f"{folder} is missing: --data takes a folder with train/ and test/."
                )
            inner = [p.parent for p in sorted(folder.glob("*/qpi"))]
            folders += inner or [folder]
        found.append(folders)
    return found[0], found[1]


@app.command()
def speed(
    out: Out,
    device: Device = "auto",
    model: Model = None,
    minutes: Annotated[
        float,
        typer.Option(
            min=0.01,
            callback=finite,
            help="How long it may take, about: what would take longer is measured on smaller "
            "volumes.",
        ),
    ] = 10.0,
    quick: Annotated[bool, typer.Option("--quick", help="A minute and a half.")] = False,
    size: Annotated[
        list[str] | None,
        typer.Option(
            help="Voxels Z,Y,X of a volume; repeat for more. 64,64,64 to 128,1024,1024 if none."
        ),
    ] = None,
    events: Events = None,
) -> None:
    """Measure how fast staining is here, beside other networks and ways to run them."""
    from ..evaluation.speed import SIZES, SpeedBenchmark, benchmark_speed
    from ..evaluation.speed.report import KEYS, words

    given = (map(int, numbers(text, "--size")) for text in size or ())
    sizes = tuple((z, y, x) for z, y, x in given)
    benchmark = SpeedBenchmark(out, device, model, _QUICK if quick else minutes, sizes or SIZES)
    finished = run(lambda stop: benchmark_speed(benchmark, stop), as_json(events))
    told = finished.result
    print_table(
        [f"{told['device_name']}, {told['precision']}, {told['threads']} threads", "", "goal"],
        [[name, words(told[name]), key.wanted] for name, key in KEYS.items()],
    )
    stdout.print(f"Report in {finished.value}")
