"""Patches of paired volumes, by MONAI's transforms.

The batch of a step is a function of (seed, phase, step) alone, so a resumed run sees the very
batches that an uninterrupted one would have seen, and no sampler state need be saved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data import CacheDataset, PersistentDataset
from monai.transforms import (
    Compose,
    DivisiblePadd,
    EnsureTyped,
    SpatialPadd,
)
from torch import Tensor

from ..events import UserError
from ..tasks import Task
from ..tasks.normalise import Scaling, no_data_of_sample, noise_level
from ..volumes import Pair, Spacing, Volume
from .augment import AUGMENTATIONS, augmented
from .flat import PadColumns, columns
from .held_out import Part
from .instances import InstanceTargets, target_stride
from .latents import VARIANTS, Latents, seen_in, variant
from .reading import PLANES, Normalised, OnlyPart, ReadPair
from .thick_inputs import PlanesBetween, SeenBeside

if TYPE_CHECKING:
    from pathlib import Path

    from .config import TrainJob

# Encoding a view costs a quarter of a step or more, so each serves several steps, in turn with
# others, so that neighbouring steps see different volumes.
POOL, SERVES = 8, 4
_KEYS = ("inputs", "outputs", "labels")


def load_pairs(
    pairs: Sequence[Pair | Part], job: TrainJob, spacing: Spacing | None, voxels: int, cache: Path
) -> Any:
    """Return a dataset of whole standardised pairs, `voxels` in all.

    It is held in memory; where that would take more than 40 % of what is free, on disk in
    `cache` (MONAI's `PersistentDataset`).
    """
    import psutil

    nuclei, task = bool(job.instance_weight), job.task
    transform = Compose([reading(job, spacing, nuclei), shaping(job, spacing)])
    channels = task.seen + len(task.outputs)
    needed = channels * 4 * voxels  # as float32; their cached latents take as much again
    try:
        if 2 * needed > 0.4 * psutil.virtual_memory().available:
            return PersistentDataset(
                pairs, transform, cache_dir=cache, hash_func=partial(_key, spacing, nuclei, task)
            )
        return CacheDataset(pairs, transform, num_workers=1, progress=False)
    except RuntimeError as error:  # MONAI wraps what a transform raises
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        raise cause or error from error


def reading(job: TrainJob, spacing: Spacing | None, nuclei: bool) -> Compose:
    """Return what reads a pair, or a part of one, and normalises it; with labels if `nuclei`."""
    return Compose(
        [
            ReadPair(spacing, labels=nuclei, task=job.task),
            Normalised(job.task, job.root),
            PlanesBetween(job.task),
            OnlyPart(_KEYS),
        ]
    )


def shaping(job: TrainJob, spacing: Spacing | None) -> Compose:
    """Return what makes a whole standardised pair of a normalised one: all that needs its size."""
    pad = {"method": "end", "mode": "edge", "allow_missing_keys": True}
    pads = [
        SpatialPadd(_KEYS, job.patch, **pad), DivisiblePadd(_KEYS, job.network.multiple, **pad)
    ]  # fmt: skip
    return Compose(
        [
            PadColumns(job, Compose(pads)),
            SeenBeside(job.task),
            InstanceTargets(spacing, job.network.factor),
            EnsureTyped(["inputs", "outputs"], dtype=torch.float32, track_meta=False),
        ]
    )


def _key(spacing: Spacing | None, nuclei: bool, task: Task, pair: Pair | Part) -> bytes:
    """Return the name under which a pair lies in the cache on disk."""
    return hashlib.sha256(repr((pair, spacing, nuclei, task)).encode()).hexdigest().encode()


class Batches:
    """Random patches for one phase.

    Parameters
    ----------
    dataset : sequence
        Whole pairs from `load_pairs`.
    job : TrainJob
        Patch size, crops and seed.
    latents : Latents, optional
        Joined to the patches where given.
    """

    def __init__(self, dataset: Any, job: TrainJob, latents: Latents | None = None) -> None:
        self.dataset, self.job, self.latents = dataset, job, latents
        factor = job.network.factor
        stride = target_stride(factor)
        cells = tuple(f // s for f, s in zip(factor, stride, strict=True))
        # what a latent site is of each array, along z, y and x
        self._site = {"inputs": factor, "outputs": factor, "instances": cells}
        # cropped on the latent grid, so that voxels and latents stay aligned
        self._sites = [p // f for p, f in zip(job.patch, factor, strict=True)]

    def at(self, step: int) -> dict[str, Tensor]:
        """Return the batch of a step: (crops, channels, z, y, x) for each key."""
        place, pool = step % POOL, step // (POOL * SERVES)
        kind = self.latents is None
        rng = np.random.default_rng([self.job.seed, pool, place, kind])
        index, view = int(rng.integers(len(self.dataset))), int(rng.integers(VARIANTS))
        rng = np.random.default_rng([self.job.seed, step, kind])
        pair = self.dataset[index]
        if PLANES in pair:
            inputs, outputs = (variant(pair[key][:], view) for key in ("inputs", "outputs"))
            batch = columns(inputs, outputs, int(pair[PLANES]), self.job, rng)
            return self._augmented(batch, rng)
        z, y, x = pair["inputs"].shape[1:]
        seen = (z, x, y) if view & 4 else (z, y, x)
        sites = [n // f for n, f in zip(seen, self._site["inputs"], strict=True)]
        crops = [self._crop(sites, rng) for _ in range(self.job.crops)]
        batch = {}
        for key in (key for key in self._site if key in pair):
            whole, site = pair[key], self._site[key]
            boxes = (seen_in(_voxels(crop, site), view, whole.shape) for crop in crops)
            # the box is read, then turned: of an array on disk no more is looked at
            batch[key] = torch.stack([variant(whole[box], view) for box in boxes])
        if self.latents is not None:
            batch["latent"] = torch.stack([self.latents.at(index, view, crop) for crop in crops])
        return self._augmented(batch, rng)

    def _augmented(self, batch: dict[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        how = AUGMENTATIONS[self.job.augmentation or self.job.task.augmentation]
        inputs, beside = batch["inputs"].tensor_split([len(self.job.task.inputs)], 1)
        changed = [augmented(one, how, generator) for one in inputs.split(1, 1)]
        batch["inputs"] = torch.cat([*changed, beside], 1)
        return batch

    def _crop(self, shape: Sequence[int], rng: np.random.Generator) -> tuple[slice, ...]:
        """Return a random patch of a volume of `shape` latent sites (z, y, x).

        Its centre may lie anywhere, and is then moved so that the patch fits: so the border of a
        field, where a network sees less and errs more, is met as often as the rest. Were every
        position of the patch as likely, few patches would have a side in common with their field.
        """
        chosen = [slice(None)]
        for n, size in zip(shape, self._sites, strict=True):
            start = int(np.clip(int(rng.integers(n)) - size // 2, 0, n - size))
            chosen.append(slice(start, start + size))
        return tuple(chosen)


def _voxels(crop: Sequence[slice], site: Sequence[int]) -> tuple[slice, ...]:
    """Return the voxels of a box (c, z, y, x) of latent sites, each of `site` voxels."""
    channels, *sides = crop
    inside = (slice(s.start * n, s.stop * n) for s, n in zip(sides, site, strict=True))
    return (channels, *inside)


def median_scalings(dataset: Any, root: bool) -> dict[str, Scaling]:
    """Return the median scaling of each channel of a dataset; `root` as in `TrainJob`."""
    found: dict[str, list[Tensor]] = {}
    for item in dataset:
        for name, scaling in item["scalings"].items():
            found.setdefault(name, []).append(scaling)
    medians = {name: torch.stack(some).median(0).values.tolist() for name, some in found.items()}
    return {n: Scaling(low=low, high=high, root=root) for n, (low, high) in medians.items()}


def median_noise(volumes: Sequence[Volume], task: Task) -> float | None:
    """Return the median noise of a task's first inputs, from about six of them.

    None where inputs are made of outputs: their noise is a matter of how.
    """
    if task.thick is not None:
        return None
    chosen = volumes[:: max(len(volumes) // 6, 1)]
    levels = []
    for data in (v.data for v in chosen):
        no_data = no_data_of_sample(data)
        scaling = task.inputs[0].intensity.measure(data, no_data)
        levels.append(noise_level(data, scaling, no_data))
    return float(np.median(levels))
