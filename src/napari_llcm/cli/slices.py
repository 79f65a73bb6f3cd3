"""`napari-llcm slices`: thick slices from thin ones, and planes between thick ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ..events import Finished, Job, Notice, ShouldStop, Started, UserError
from ..volumes.hounsfield import HounsfieldWindow
from ..volumes.options import ReadOptions
from ..volumes.thick_slices import ThickOptions
from ..volumes.volume import Volume
from .console import print_table, run, stdout
from .from_models import FromModel, options_from_models
from .options import Events, Overwrite, Reading, as_json

app = typer.Typer(no_args_is_help=True, help="Thick slices from thin ones, and back.")
Source = Annotated[Path, typer.Argument(help="The stack, in any format that is read.")]
Target = Annotated[Path, typer.Argument(help=".nii.gz, .ome.zarr, .ome.tif or .dicom.")]
Thick = Annotated[ThickOptions, FromModel()]


@app.command()
@options_from_models
def thicken(
    source: Source,
    out: Target,
    truth: Annotated[
        Path | None, typer.Option(help="Write the thin planes that the slices cover here.")
    ] = None,
    overwrite: Overwrite = False,
    events: Events = None,
    *,
    options: Thick,
    reading: Reading,
) -> None:
    """Make thick slices of thin ones, as a scanner would: to train and to measure."""
    from ..volumes.thick_slices import thicken

    def make(volume: Volume) -> dict[Path, Volume]:
        """Return what to write where."""
        thick, thin = thicken(volume, options)
        return {out: thick} | ({truth: thin} if truth else {})

    _write(source, reading, make, overwrite, events)


@app.command()
@options_from_models
def interpolate(
    source: Source,
    out: Target,
    ratio: Annotated[float, typer.Option(help="Planes for each slice.")] = 6.0,
    planes: Annotated[
        int | None, typer.Option(min=1, help="How many planes, in place of --ratio.")
    ] = None,
    cubic: Annotated[bool, typer.Option("--cubic", help="By a cubic spline, not linear.")] = False,
    overwrite: Overwrite = False,
    events: Events = None,
    *,
    reading: Reading,
) -> None:
    """Put planes between thick slices by interpolation: what a model must do better than."""
    from ..volumes.thick_slices import interpolated

    def make(volume: Volume) -> dict[Path, Volume]:
        """Return what to write where."""
        count = planes or round(volume.shape[0] * ratio)
        return {out: interpolated(volume, count, "cubic" if cubic else "linear")}

    _write(source, reading, make, overwrite, events)


@app.command()
@options_from_models
def compare(
    truth: Annotated[Path, typer.Argument(help="The thin stack.")],
    restored: Annotated[list[Path], typer.Argument(help="Stacks restored from thick slices.")],
    hu: Annotated[
        bool, typer.Option("--hu", help="Values are HU, though the truth does not say so.")
    ] = False,
    mask: Annotated[
        Path | None,
        typer.Option(help="What counts: not 0; the body of a CT, and all of others, if none."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write figures as JSON.")] = None,
    events: Events = None,
    *,
    window: Annotated[HounsfieldWindow, FromModel(heading="Window of a CT")],
    reading: Reading,
) -> None:
    """Compare restored stacks with the thin one: mean error, PSNR, SSIM."""
    from ..evaluation.restoration import compare_restored

    given = window if hu or window != HounsfieldWindow() else None
    found = run(
        lambda stop: compare_restored(
            truth, restored, mask=mask, window=given, reading=reading, should_stop=stop
        ),
        as_json(events),
    ).result
    if out is not None:
        from ..volumes.atomic import write_json

        write_json(out, found)
    unit = found["unit"] or "as stored"
    print_table(
        ["stack", f"mean error ({unit})", "PSNR (dB)", "SSIM"],
        [
            [name, f"{m['mae']:.4g}", f"{m['psnr']:.2f}", f"{m['ssim']:.4f}"]
            for name, m in found["stacks"].items()
        ],
    )


def _write(
    source: Path,
    reading: ReadOptions,
    make: Callable[[Volume], dict[Path, Volume]],
    overwrite: bool,
    events: str | None,
) -> None:
    """Read a stack, make others of it, and write them.

    Raises
    ------
    UserError
        If it cannot be read, or they cannot be written.
    """
    from ..volumes import losses, notices, write
    from ..volumes.apart import check_apart
    from ..volumes.reading import read_role

    def job(_: ShouldStop) -> Job:
        """Do so."""
        yield Started(job="slices", total=1)
        volume = read_role(source, reading, None)
        if volume.axes != "zyx":
            raise UserError(f"{source} is no stack: it has axes {volume.axes}.")
        yield from notices(volume)
        made = make(volume)
        for path, one in made.items():
            check_apart(path, [volume.source])
            yield from (Notice(text=text) for text in losses(path, one))
            write(path, one, overwrite=overwrite)
        yield Finished(
            result={"files": {str(p): {"shape": v.shape, "step": v.step} for p, v in made.items()}}
        )

    for path, made in run(job, as_json(events)).result["files"].items():
        z, (step, *_) = made["shape"][0], made["step"]
        stdout.print(f"{path}: {z} planes, {step:g} apart", soft_wrap=True)
