"""A stainer with random weights, and what runs it: one stain takes a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_llcm.events import Finished, Job, ShouldStop
from napari_llcm.models import ConsistencyConfig, ModelBundle, ModelInfo, NetworkConfig
from napari_llcm.models.stainer import StainerNetworks
from napari_llcm.staining import Canvas, Focus, StainOptions, stain
from napari_llcm.tasks import Task
from napari_llcm.tasks.normalise import Scaling
from napari_llcm.tasks.registry import STAIN
from napari_llcm.training.start import for_task
from napari_llcm.volumes import Volume

SMALL = NetworkConfig(
    latent_channels=2,
    encoder_widths=(4, 4),
    decoder_widths=(4, 4),
    condition_widths=(4, 4),
    unet_widths=(4, 4),
)


def make_model(
    config: NetworkConfig = SMALL, spacing: Any = (0.5, 0.25, 0.25), task: Task = STAIN
) -> ModelBundle:
    torch.manual_seed(0)
    config = for_task(config, task)
    networks = StainerNetworks(config, ConsistencyConfig())
    with torch.no_grad():
        for weights in networks.parameters():  # residual blocks start as identities: wake them
            if weights.ndim == 5:
                weights.normal_(std=0.7 / weights[0].numel() ** 0.5)
    info = ModelInfo(
        name="test",
        network=config,
        spacing=spacing,
        task=task,
        scalings={
            **{channel.name: Scaling(low=0, high=1) for channel in task.inputs},
            **{channel.name: Scaling(low=100, high=900) for channel in task.outputs},
        },
    )
    return ModelBundle(info, networks.eval(), "test")


def make_volume(shape: tuple[int, int, int], spacing: Any = (0.5, 0.25, 0.25)) -> Volume:
    rng = np.random.default_rng(1)
    return Volume(rng.normal(size=shape).astype(np.float32), spacing=spacing, name="cells")


def run(job: Job) -> tuple[Finished, list[Any]]:
    events = list(job)
    assert isinstance(events[-1], Finished)
    return events[-1], events


EVERYTHING = Focus()


def staining(
    volume: Volume,
    model: ModelBundle,
    *,
    out: Path | Canvas | None = None,
    focus: Focus = EVERYTHING,
    scaling: Scaling | None = None,
    should_stop: ShouldStop | None = None,
    **options: Any,
) -> Job:
    """Return the job of `stain` on the processor, with these options."""
    chosen = StainOptions(device="cpu", **options)
    return stain(
        volume, model, chosen, out=out, focus=focus, scaling=scaling, should_stop=should_stop
    )


def stained(volume: Volume, model: ModelBundle, **options: Any) -> np.ndarray:
    return run(staining(volume, model, **options))[0].value.numpy()


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max() / np.abs(other).max())
