"""The verbs before staining: make specimens, check pairs, train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..events import UserError
from .console import print_figures, print_table, run, stdout
from .options import Device, Events, Overwrite, Seed, as_json, three

if TYPE_CHECKING:
    from ..specimen.difficulty import DifficultyName
    from ..training.config import Preset, TrainJob


def specimen(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    n: Annotated[int, typer.Option("--n", min=1, help="How many specimens.")] = 1,
    size: Annotated[str, typer.Option(help="Voxels Z,Y,X.")] = "48,192,192",
    seed: Seed = 0,
    difficulty: Annotated[str, typer.Option(help="easy, medium, hard or varied.")] = "medium",
    from_dapi: Annotated[
        Path | None,
        typer.Option("--from-dapi", help="Build around the nuclei of a real DAPI stack."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels of these nuclei; found by a threshold if none.")
    ] = None,
    spacing: Annotated[str | None, typer.Option(help="Voxel size Z,Y,X in µm.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make paired QPI, DAPI and label stacks with known truth."""
    from ..specimen import write_specimens
    from ..volumes import read

    if labels is not None and from_dapi is None:
        raise UserError("--labels goes with --from-dapi.")
    voxel = three(spacing, "--spacing")
    z, y, x = (int(n) for n in three(size, "--size") or ())
    finished = run(
        lambda stop: write_specimens(
            out,
            n,
            (z, y, x),
            seed,
            cast("DifficultyName", difficulty),
            spacing=voxel or (0.8, 0.5, 0.5),
            dapi=read(from_dapi, spacing=voxel).select() if from_dapi else None,
            labels=read(labels, spacing=voxel).select() if labels else None,
            overwrite=overwrite,
            should_stop=stop,
        )
    )
    stdout.print(f"Made {finished.result['specimens']} specimens in {out}")


def pairs(
    source: Annotated[Path, typer.Argument(help="Folder with qpi/ and dapi/, or a CSV/YAML list.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for a figure of each pair.")
    ] = None,
    apply: Annotated[
        Path | None,
        typer.Option(
            "--apply", help="Write the pairs here, DAPI (and labels) moved where they are shifted."
        ),
    ] = None,
) -> None:
    """Check pairs: shape, spacing, and whether phase and DAPI lie on each other."""
    from ..volumes import apply_shift, check_registration, find_pairs, write

    rows = []
    for pair in find_pairs(source):
        qpi, dapi, labels = pair.read()
        registration = check_registration(qpi, dapi)
        shift = ", ".join(f"{s:+.2f}" for s in registration.shift)
        rows.append([pair.name, registration.verdict, shift, registration.sentence])
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            registration.figure().savefig(out / f"{pair.name}.png", dpi=110)
        if apply is not None:
            shifted = registration.verdict == "shifted"
            for kind, volume in (("qpi", qpi), ("dapi", dapi), ("labels", labels)):
                if volume is None:
                    continue
                if shifted and kind != "qpi":
                    order = 0 if kind == "labels" else 1
                    volume = apply_shift(volume, registration.shift, order=order)
                target = apply / kind / f"{pair.name}.ome.tif"
                write(target, volume, labels=kind == "labels")
    print_table(["pair", "verdict", "shift (z, y, x) in voxels", ""], rows)


def train(
    job: Annotated[
        Path | None, typer.Argument(help="A job as YAML, in place of the options.")
    ] = None,
    pairs: Annotated[
        list[Path] | None,
        typer.Option("--pairs", help="Folder with qpi/ and dapi/, or a list; may be repeated."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The run folder.")] = None,
    preset: Annotated[str, typer.Option(help="quick, standard or full.")] = "standard",
    network: Annotated[
        str, typer.Option(help="default, or plan: the 512 times smaller latent.")
    ] = "default",
    method: Annotated[
        str,
        typer.Option(help="llcm, or a rival: regression, diffusion, resshift, pix2pix."),
    ] = "llcm",
    phase: Annotated[
        str, typer.Option(help="all, vae, consistency (or, of a rival, its name).")
    ] = "all",
    init: Annotated[str | None, typer.Option(help="Start from this model (fine-tune).")] = None,
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", help="Be done after this time.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model; the run folder's if none.")] = "",
    device: Device = "auto",
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Tell how long it would take, and do not train.")
    ] = False,
    events: Events = None,
) -> None:
    """Train a stainer on pairs of label-free and DAPI stacks, or fine-tune one."""
    from ..evaluation.while_training import nuclei_judge
    from ..models import PRESETS
    from ..training import load_job, make_job, train

    if job is not None:
        settings = load_job(job)
    elif resume and out is not None and not pairs:
        settings = load_job(out / "job.yaml")
    else:
        if not pairs or out is None:
            raise UserError("Give --pairs and --out, or a job file; see napari-llcm train --help.")
        if preset not in ("quick", "standard", "full"):
            raise UserError(f"Unknown preset {preset!r}: choose quick, standard or full.")
        if network not in PRESETS:
            raise UserError(f"Unknown network {network!r}: choose one of {', '.join(PRESETS)}.")
        settings = make_job(
            cast("Preset", preset),
            pairs=pairs,
            out=out,
            network=PRESETS[network],
            method=method,
            phase=phase,
            init=init,
            max_minutes=max_minutes,
            name=name,
            device=device,
            seed=seed,
        )
    lines = as_json(events)
    if estimate:
        _estimate(settings, lines)
        return
    judge = nuclei_judge(settings.device)
    finished = run(
        lambda stop: train(settings, resume=resume, judge=judge, should_stop=stop), lines
    )
    if not lines:
        print_figures(f"Model {finished.result['model']}", finished.result["metrics"])


def _estimate(settings: TrainJob, lines: bool) -> None:
    from ..events import duration
    from ..training.estimate import estimate

    told = run(lambda stop: estimate(settings, stop), lines).result
    if not lines and told:
        times = {f"about, {k}": duration(s["all"]) for k, s in told["seconds"].items()}
        memory = {"about, memory": f"{told['memory_bytes'] / 1e9:.1f} GB"}
        print_figures(f"Training on {told['device']}", times | memory)
