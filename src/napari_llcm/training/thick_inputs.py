"""Inputs made of thick slices: the planes between them, and where each lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from monai.transforms import Transform

from ..tasks import Task
from ..tasks.slice_kernel import SliceKernel
from ..volumes import Pair, Spacing
from .held_out import Part
from .reading import Normalised, OnlyPart, ReadPair

if TYPE_CHECKING:
    from .config import TrainJob

_FITTED = 8  # volumes that a slice kernel is fitted to: it has few weights


class PlanesBetween(Transform):
    """Make planes of the thick slices that inputs are, as a task says.

    Parameters
    ----------
    task : Task
        Which task.
    """

    def __init__(self, task: Task) -> None:
        self.task = task

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the pair with inputs as the networks see them."""
        if self.task.planes == 1:
            return data
        given = data["inputs"]
        planes, slices = np.arange(given.shape[1]), given[:, :: self.task.planes]
        kernel, count = self.task.between, slices.shape[1]
        made = []
        for one, channel in zip(slices, self.task.inputs, strict=True):
            mixable = channel.intensity.mixable(one)
            made.append(channel.intensity.mixed(kernel.between(mixable, planes, 0, count)))
        return {**data, "inputs": np.stack(made)}


def with_kernel(job: TrainJob, pairs: Sequence[Pair | Part], spacing: Spacing | None) -> TrainJob:
    """Return a job whose task has its `SliceKernel` fitted to some of the pairs, if it needs one.

    Parameters
    ----------
    job : TrainJob
        Which task.
    pairs : sequence of Pair or Part
        What is trained on.
    spacing : tuple of float, optional
        Voxel size (z, y, x) in µm that is trained at.
    """
    task = job.task
    if task.planes == 1 or task.kernel is not None:
        return job
    read, normalised = ReadPair(spacing, task=task), Normalised(task, job.root)
    cut = OnlyPart(["inputs", "outputs"])

    def volumes() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the slices and planes of each channel of each volume."""
        for pair in pairs[:: max(len(pairs) // _FITTED, 1)][:_FITTED]:
            found = cut(normalised(read(pair)))
            given = zip(task.inputs, found["inputs"], found["outputs"], strict=True)
            for channel, slices, planes in given:
                mixable = channel.intensity.mixable
                yield mixable(slices[:: task.planes]), mixable(planes)

    kernel = SliceKernel.fitted(task.planes, volumes())
    return job.model_copy(update={"task": task.model_copy(update={"kernel": kernel})})


class SeenBeside(Transform):
    """Join to the inputs what the networks see beside them, on the grid of the whole volume.

    Parameters
    ----------
    task : Task
        Which task.
    """

    def __init__(self, task: Task) -> None:
        self.task = task

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the pair with as many input channels as the networks see."""
        beside = self.task.seen_beside(0, np.shape(data["inputs"])[1:])
        return {**data, "inputs": np.concatenate([data["inputs"], beside])}
