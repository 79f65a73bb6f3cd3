"""Training samples a second, with views encoded in the step against prepared latents."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from ...events import result_of
from ...models.device import autocast, channels_last
from ...specimen import write_specimens
from .clock import in_turns

if TYPE_CHECKING:
    from ...training import TrainJob
    from ...training.trainer import Trainer
    from .bench import Bench

_SIZE = (32, 96, 96)  # voxels of the specimens
_PROGRESS = 0.9  # where in its phase a step is: all terms of the loss are there


def training_pace(bench: Bench) -> dict[str, Any]:
    """Return samples a second of training, and what prepared latents make of a step."""
    from ...training import make_job
    from ...training.data import SERVES
    from ...training.prepare_latents import prepare_latents

    size = tuple(max(n, m) for n, m in zip(_SIZE, bench.model.info.network.multiple, strict=True))
    with TemporaryDirectory(prefix="napari-llcm-speed-") as name:
        folder = Path(name)
        result_of(write_specimens(folder / "pairs", 2, size, 0, "easy"))  # type: ignore[arg-type]
        common: dict[str, Any] = {
            "device": str(bench.device),
            "init": bench.model.source,
            "validation_share": 0.0,
            "instance_weight": 0.0,
        }
        latents = folder / "latents"
        result_of(prepare_latents(make_job(pairs=[folder / "pairs"], out=latents, **common)))
        uncached = trainer_of(make_job(pairs=[folder / "pairs"], out=folder / "a", **common))
        cached = trainer_of(make_job(pairs=[latents], out=folder / "b", **common))
        works = [encoding_step(uncached), known_step(uncached), known_step(cached)]
        encoded, known, prepared = in_turns(works, bench.repeats + 1, bench.device)
        crops = cached.job.crops
        parameters = sum(p.numel() for p in cached.state.parameters)
    first = (encoded + (SERVES - 1) * known) / SERVES
    return {
        "latent_cache_ratio": encoded / prepared,
        "training": {
            "samples_per_second": crops / prepared,
            "samples_per_second_uncached": crops / encoded,
            "samples_per_second_in_first_visits": crops / first,
            "samples_per_step": crops,
            "patch": cached.job.patch,
            "parameters": parameters,
        },
    }


def trainer_of(job: TrainJob) -> Trainer:
    """Return the trainer of a job's pairs, all of which are trained on."""
    from ...models.device import pick_device
    from ...training.latent_dataset import find_source
    from ...training.start import initial_networks, settled
    from ...training.trainer import Trainer

    torch.manual_seed(0)
    networks, info = initial_networks(job)
    job = settled(job, networks, info)
    device = pick_device(job.device)
    networks.to(device)
    channels_last(networks)
    source = find_source(job)
    fields = source.fields(job, info)
    data = source.load(fields.pairs, job, fields, job.out / "cache")
    return Trainer(job, job.phases()[-1], networks, data, device, partial(autocast, device))


def encoding_step(trainer: Trainer) -> Callable[[], Any]:
    """Return the work of a step whose view has to be encoded."""

    def run() -> Any:
        """Do a step on a view that was forgotten."""
        assert trainer.batches.latents is not None
        trainer.batches.latents.forget()
        return trainer.step(_PROGRESS)

    return run


def known_step(trainer: Trainer) -> Callable[[], Any]:
    """Return the work of a step whose view is known: it is the same one each time."""

    def run() -> Any:
        """Do a step on the first view."""
        trainer.state.step = 0
        return trainer.step(_PROGRESS)

    return run
