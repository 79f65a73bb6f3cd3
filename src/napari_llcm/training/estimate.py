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
from ..models.methods import AUTOENCODER, METHODS, PhaseName
from ..models.stainer import StainerNetworks
from .config import Preset, TrainJob
from .data import SERVES, Batches
from .jobs import make_job
from .latent_dataset import find_source
from .latents import VARIANTS, Latents
from .losses import LossInputs
from .objectives import make_objective
from .start import initial_networks, settled, with_task
from .state import PhaseState

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
    job, phases = with_task(job), job.phases()
    yield Started(job="estimate", total=len(phases) * (_WARM + _TIMED))
    source = find_source(job)
    device = pick_device(job.device)
    networks, info = initial_networks(job)
    job = settled(job, networks, info)
    networks.to(device)
    fields = source.fields(job, info)
    shapes = fields.shapes or [_USUAL]
    amp = partial(autocast, device) if job.mixed_precision else nullcontext
    data = [_made_up(job)]
    meter, done = Meter(len(phases) * (_WARM + _TIMED)), 0
    seconds: dict[str, float] = {"encode": 0.0}
    memory = 0
    for phase in phases:
        timed = []
        for elapsed in _steps(job, phase, networks, data, device, amp, seconds):
            if should_stop is not None and should_stop():
                return
            timed.append(elapsed)
            memory = max(memory, _peak(device))
            done += 1
            yield meter.at(done, "timing a few steps")
        seconds[phase] = float(np.median(timed[_WARM:]))
    # the pairs as float32 and the latents of their 8 views, where they are held
    voxels = sum(int(np.prod(shape)) for shape in shapes)
    memory += 3 * 4 * voxels * (device.type == "cpu")
    if source.prepared:
        seconds["prepared"] = 0.0
    result = {
        "device": str(device),
        "memory_bytes": memory,
        "step_seconds": {phase: seconds[phase] for phase in phases},
        "seconds": {name: _duration(name, phases, seconds, shapes, job) for name in _PRESETS},
    }
    yield Finished(result=result, value=result)


def _duration(
    preset: Preset,
    phases: tuple[PhaseName, ...],
    seconds: dict[str, float],
    shapes: list[tuple[int, ...]],
    job: TrainJob,
) -> dict[str, float]:
    planned = make_job(preset, pairs=job.pairs, out=job.out)
    held = max(round(len(shapes) * job.validation_share), 1)
    looked_at = min(int(np.prod(shapes[0])), _LOOKED_AT)
    # staining a voxel costs about what encoding it costs, twice: condition and decoder
    validation = job.validations * held * looked_at * 2 * seconds["encode"]
    voxels = sum(int(np.prod(shape)) for shape in shapes)
    parts: dict[str, float] = {}
    for phase in phases:
        steps = planned.settings(phase).steps
        parts[phase] = steps * seconds[phase] + validation
        if phase != AUTOENCODER.name and METHODS[job.method].latent:  # each view is encoded once
            views = min(VARIANTS * len(shapes), steps / SERVES)
            per_voxel = seconds.get("prepared", seconds["encode"])
            parts[phase] += views * voxels / len(shapes) * per_voxel
    return {**parts, "all": sum(parts.values())}


def _steps(
    job: TrainJob,
    phase: PhaseName,
    networks: StainerNetworks,
    data: list[dict[str, Any]],
    device: torch.device,
    amp: Any,
    seconds: dict[str, float],
) -> Any:
    """Train a few steps as the trainer does and yield how long each took.

    The seconds for encoding one voxel go into `seconds`.
    """
    objective = make_objective(phase, networks, job)
    for module in objective.modules.values():
        module.to(device)
    latents = None
    if objective.latents:
        began = time.monotonic()
        latents = Latents(data, networks, device, amp)
        seconds["encode"] = (time.monotonic() - began) / data[0]["inputs"][0].numel()
        for view in range(VARIANTS):
            latents.at(0, view)
    batches = Batches(data, job, latents)
    state = PhaseState(objective.modules, job, job.settings(phase), objective.rates)
    state.ema.to(device)
    for step in range(_WARM + _TIMED):
        began = time.monotonic()
        generator = torch.Generator().manual_seed(step)
        batch = {k: v.to(device) for k, v in batches.at(step).items()}
        with amp():
            given = LossInputs(objective.modules, networks, batch, job, 0.5, generator)
            loss, _ = objective.loss(given)
        state.update([loss], 0.5)  # fetches the gradient's norm, so the device is waited for
        yield time.monotonic() - began


def _made_up(job: TrainJob) -> dict[str, Any]:
    """Return a volume of noise, just large enough to be cropped."""
    multiple = job.network.multiple
    size = [-(-p // m) * m for p, m in zip(job.patch, multiple, strict=True)]
    generator = torch.Generator().manual_seed(0)
    counts = {"inputs": job.task.seen, "outputs": len(job.task.outputs)}
    return {k: torch.rand((n, *size), generator=generator) for k, n in counts.items()}


def _peak(device: torch.device) -> int:
    """Return the most bytes that were held so far."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    if device.type == "cpu" and sys.platform != "win32":
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024  # KiB on Linux
    return memory_in_use(device)
