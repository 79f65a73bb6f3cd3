"""Steps per second on prepared latents, against encoding on the fly.

    python benchmarks/latents.py local maisi mri

For each kind of autoencoder, at its published size and with random weights (`local` is that of the
shipped model), specimens are prepared, and the same steps are timed four ways: with a view that
is encoded in the step, with a view that is held in memory, and with prepared latents on disk, held
or read patch by patch. A training serves each encoded view in four steps: its first visits are the
mean of one step of the first way and three of the second.

Times are the processor's where there is no graphics card (what other programs take does not count),
else the clock's.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from napari_llcm.evaluation.speed.samples import trainer_of as all_trained
from napari_llcm.events import result_of
from napari_llcm.models.autoencoders.config import KIND
from napari_llcm.models.autoencoders.networks import make_published
from napari_llcm.models.autoencoders.saved import AutoencoderInfo, save_autoencoder
from napari_llcm.models.library import DEFAULT_MODEL
from napari_llcm.specimen import write_specimens
from napari_llcm.training import TrainJob, make_job
from napari_llcm.training.data import SERVES
from napari_llcm.training.prepare_latents import prepare_latents
from napari_llcm.training.trainer import Trainer


def start_of(kind: str, folder: Path) -> dict[str, Any]:
    """Return what a job starts from: the shipped model, or an autoencoder of random weights."""
    if kind == "local":
        return {"init": DEFAULT_MODEL, "max_minutes": 60.0}
    torch.manual_seed(0)
    made = KIND.validate_python({"kind": kind})
    info = AutoencoderInfo(name=kind, autoencoder=made)
    return {"autoencoder": str(save_autoencoder(folder / kind, info, make_published(made)))}


def seconds_of_step(trainer: Trainer, steps: int, device: torch.device, before: Any) -> float:
    """Return the median time of a step."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    timed = []
    for step in range(steps + 1):  # the first one warms up
        trainer.state.step = step * SERVES * 8  # another view in each
        before(step)
        began = clock()
        trainer.step(0.5)  # fetches the gradient's norm, so the device is waited for
        timed.append(clock() - began)
    return median(timed[1:])


def trainer_of(job: TrainJob, held: bool = True) -> Trainer:
    """Return the trainer of a job's pairs; prepared ones are kept in memory if `held`."""
    trainer = all_trained(job)
    for item in trainer.batches.dataset:
        if "latents" in item:
            for stored in (item["inputs"], item["outputs"], *item["latents"].views):
                stored._held = held
    return trainer


def measure(kind: str, folder: Path, steps: int, **further: Any) -> None:
    """Print one row of the table."""
    common = {**start_of(kind, folder), **further, "validation_share": 0.0, "crops": 2}
    common |= {"instance_weight": 0.0}
    out = folder / f"{kind}-latents"
    began = time.monotonic()
    result_of(prepare_latents(make_job(pairs=[folder / "pairs"], out=out, **common)))
    took = time.monotonic() - began
    encoding = trainer_of(make_job(pairs=[folder / "pairs"], out=folder / "a", **common))
    held = trainer_of(make_job(pairs=[out], out=folder / "b", **common))
    read = trainer_of(make_job(pairs=[out], out=folder / "b", **common), held=False)
    where = encoding.device

    def forget(_: int) -> None:
        assert encoding.batches.latents is not None
        encoding.batches.latents.forget()

    def visit(trainer: Trainer) -> Any:
        return lambda step: trainer.batches.at(step * SERVES * 8)

    encoded = seconds_of_step(encoding, steps, where, forget)
    known = seconds_of_step(encoding, steps, where, visit(encoding))
    first = (encoded + (SERVES - 1) * known) / SERVES
    prepared = [seconds_of_step(t, steps, where, visit(t)) for t in (held, read)]
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file()) / 1e6
    times = [encoded, first, known, *prepared]
    gains = [time / prepared[1] for time in times[:3]]
    cells = [f"`{kind}`", *(f"{t:.2f} s" for t in times), *(f"{gain:.2f}" for gain in gains)]
    print("|", " | ".join(cells), f"| prepared in {took:.0f} s, {size:.0f} MB |", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="+")
    parser.add_argument("--size", default="32,96,96")
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument(
        "--method", default="llcm", help="llcm decodes in each step, diffusion does not"
    )
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    z, y, x = (int(n) for n in given.size.split(","))
    print(
        "kind, step that encodes, in first visits, with a known view, prepared (held; read), gains"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result_of(write_specimens(folder / "pairs", given.pairs, (z, y, x), 0, "easy"))
        for kind in given.kinds:
            measure(kind, folder, given.steps, device=given.device, method=given.method)


if __name__ == "__main__":
    main()
