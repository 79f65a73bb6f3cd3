"""How long and how much memory a training will take on this computer, by timing a few steps."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch

from ..events import Finished, Job, Meter, ShouldStop, Started
from ..models.device import autocast, memory_in_use, pick_device
from ..models.stainer import StainerNetworks
from ..volumes import find_pairs
from .config import Preset, TrainJob, make_job
from .data import VARIANTS, Batches, encode_latents
from .losses import consistency_loss, vae_loss
from .state import PhaseState
from .training import initial_networks

_WARM, _TIMED = 1, 3  # steps of each phase
_USUAL = (48, 192, 192)  # voxels of a pair, where none is named yet
_LOOKED_AT = 48 * 192 * 192  # voxels of a volume that are looked at in one validation
_PRESETS: tuple[Preset, ...] = ("quick", "standard", "full")


def estimate(job: TrainJob, should_stop: ShouldStop | None = None) -> Job:
    """Time a few steps of each phase on made-up patches of the job's size.

    Parameters
    ----------
    job : TrainJob
        Pairs (one of a usual size is assumed if there are none), patch, networks, device; its
        steps do not matter.
    should_stop : callable, optional
        Asked between the steps; the job ends without `Finished` when it returns True.

    Yields
    ------
    Event
        `Started`, `Progress`, and `Finished` with "device", "memory_bytes", "seconds" (for each
        preset, alone and by phase) and "step_seconds" (for each phase).

    Raises
    ------
    UserError
        If the pairs or the device are not there.
    """
    yield Started(job="estimate", total=2 * (_WARM + _TIMED))
    shapes = [pair.read()[0].shape for source in job.pairs for pair in find_pairs(source)]
    shapes = shapes or [_USUAL]
    voxels = sum(int(np.prod(shape)) for shape in shapes)
    device = pick_device(job.device)
    networks = initial_networks(job)[0].to(device)
    amp = partial(autocast, device) if job.mixed_precision else nullcontext
    data = [_made_up(job)]
    size = data[0]["qpi"].numel()
    meter, done = Meter(2 * (_WARM + _TIMED)), 0
    seconds: dict[str, float] = {}
    memory = 0
    for phase in ("vae", "consistency"):
        latents: list[list[torch.Tensor]] | None = None
        if phase == "consistency":
            began = time.monotonic()
            latents = encode_latents(data, networks, device, amp)
            seconds["encode"] = (time.monotonic() - began) / VARIANTS / size  # for one voxel
        timed = []
        for elapsed in _steps(job, phase, networks, Batches(data, job, latents), device, amp):
            if should_stop is not None and should_stop():
                return
            timed.append(elapsed)
            memory = max(memory, _peak(device))
            done += 1
            yield meter.at(done, "timing a few steps")
        seconds[phase] = float(np.median(timed[_WARM:]))
    # the pairs as float32 and the latents of their 8 views, where they are held
    memory += 3 * 4 * voxels * (device.type == "cpu")
    result = {
        "device": str(device),
        "memory_bytes": memory,
        "step_seconds": {phase: seconds[phase] for phase in ("vae", "consistency")},
        "seconds": {name: _duration(name, seconds, shapes, job) for name in _PRESETS},
    }
    yield Finished(result=result, value=result)


def _duration(
    preset: Preset, seconds: dict[str, float], shapes: list[tuple[int, ...]], job: TrainJob
) -> dict[str, float]:
    planned = make_job(preset, pairs=job.pairs, out=job.out)
    held = max(round(len(shapes) * job.validation_share), 1)
    looked_at = min(int(np.prod(shapes[0])), _LOOKED_AT)
    # staining a voxel costs about what encoding it costs, twice: condition and decoder
    validation = job.validations * held * looked_at * 2 * seconds["encode"]
    voxels = sum(int(np.prod(shape)) for shape in shapes)
    vae = planned.vae_phase.steps * seconds["vae"] + validation
    consistency = planned.consistency_phase.steps * seconds["consistency"] + validation
    consistency += VARIANTS * voxels * seconds["encode"]
    return {"vae": vae, "consistency": consistency, "all": vae + consistency}


def _steps(
    job: TrainJob,
    phase: str,
    networks: StainerNetworks,
    batches: Batches,
    device: torch.device,
    amp: Any,
) -> Any:
    """Train a few steps as the trainer does and yield how long each took."""
    vae = phase == "vae"
    networks.autoencoder.requires_grad_(vae)
    modules: dict[str, torch.nn.Module] = (
        {"autoencoder": networks.autoencoder}
        if vae
        else {"condition": networks.condition, "denoiser": networks.denoiser}
    )
    state = PhaseState(modules, job, job.settings("vae" if vae else "consistency"))
    state.ema.to(device)
    loss_of = vae_loss if vae else consistency_loss
    for step in range(_WARM + _TIMED):
        began = time.monotonic()
        generator = torch.Generator().manual_seed(step)
        batch = {k: v.to(device) for k, v in batches.at(step).items()}
        with amp():
            loss, _ = loss_of(networks, batch, job, 0.5, generator)
        state.update(loss, 0.5)  # fetches the gradient's norm, so the device is waited for
        yield time.monotonic() - began


def _made_up(job: TrainJob) -> dict[str, Any]:
    """Return a volume of noise, just large enough to be cropped."""
    multiple = job.network.multiple
    size = [-(-p // m) * m for p, m in zip(job.patch, multiple, strict=True)]
    generator = torch.Generator().manual_seed(0)
    both = {k: torch.rand((1, *size), generator=generator) for k in ("qpi", "dapi")}
    return {**both, "scalings": torch.tensor([[0.0, 1.0], [0.0, 1.0]])}


def _peak(device: torch.device) -> int:
    """Return the most bytes that were held so far."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    if device.type == "cpu" and sys.platform != "win32":
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024  # KiB on Linux
    return memory_in_use(device)
