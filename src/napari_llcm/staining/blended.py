"""Networks with statistics over space: the whole volume at once, or overlapping windows blended.

Their result depends on the window, whatever its halo, so seams are hidden rather than absent:
Gaussian weights over half-overlapping windows. The noise is still one field for the volume.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..events import Job, Meter, Notice
from ..models.device import autocast, precision
from ..models.samplers import predict
from .job import StainJob
from .memory import blended_window, working_memory
from .pipeline import on_result_grid


def run_blended(job: StainJob) -> Job:
    """Stain with networks that are not local; the volume is held in memory."""
    import torch

    config = job.model.info.network
    grid = job.grid
    whole = tuple((0, n) for n in grid.padded)
    seen = torch.from_numpy(job.inputs.read(whole))[None]
    itemsize = precision(job.device).itemsize
    roi = blended_window(
        config, grid.padded, itemsize, working_memory(job.device, job.options.memory_share)
    )
    if roi != grid.padded:
        yield Notice(
            text="This model's networks are not local and the volume is too large for one piece: "
            "overlapping windows are blended, which is slower and less exact."
        )
    inside = tuple((0, n) for n in grid.shape)
    meter, outputs = Meter(job.options.samples), []
    for k, seed in enumerate(job.options.seeds):
        normalised = _sample(job, seen, roi, seed)
        cut = normalised[(slice(None), *(slice(n) for n in grid.shape))]
        outputs.append(on_result_grid(job.model.info, job.inputs, cut, inside, inside))
        yield meter.at(k + 1)
    yield job.put(grid.outputs(inside), np.stack(outputs))


def _sample(job: StainJob, seen: Any, roi: Sequence[int], seed: int) -> np.ndarray:
    """Return normalised outputs (O, z, y, x) of the padded inputs (1, I, z, y, x) for one seed."""
    import torch
    from monai.inferers import sliding_window_inference

    networks, info = job.model.networks, job.model.info

    def stain_window(window: torch.Tensor, coordinates: list[list[slice]]) -> torch.Tensor:
        spans = zip(coordinates[0][2:], info.network.factor, strict=True)
        start = tuple(s.start // f for s, f in spans)
        with autocast(job.device):
            return predict(info, networks, window, seed=seed, steps=job.steps, start=start)

    with torch.inference_mode():
        result = sliding_window_inference(
            seen,
            roi,
            1,
            stain_window,
            overlap=0.5,
            mode="gaussian",
            sw_device=job.device,
            device="cpu",
            with_coord=True,
        )
    return np.asarray(result[0].numpy())  # type: ignore[index]
