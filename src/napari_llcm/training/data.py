"""Patches of paired volumes, by MONAI's transforms.

The batch of a step is a function of (seed, phase, step) alone, so a resumed run sees the very
batches that an uninterrupted one would have seen, and no sampler state need be saved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

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
from ..models.blocks import DepthToSpace, SpaceToDepth
from ..tasks import Task
from ..tasks.normalise import Scaling, no_data_of_sample, noise_level
from ..volumes import Pair, Spacing, Volume
from .augment import AUGMENTATIONS, augmented
from .flat import PadColumns, columns
from .held_out import Part
from .instances import InstanceTargets, target_stride
from .reading import PLANES, Normalised, OnlyPart, ReadPair, SeenBeside

if TYPE_CHECKING:
    from pathlib import Path

    from ..models.config import Factor
    from ..models.stainer import StainerNetworks
    from .config import TrainJob

_FOR_STATISTICS = 32  # volumes that the latents' mean and deviation are taken from
VARIANTS = 8  # flips of y and x, and the transposition of both; z is kept, light comes along it
# Encoding a view costs a quarter of a step or more, so each serves several steps, in turn with
# others, so that neighbouring steps see different volumes.
POOL, SERVES = 8, 4


def load_pairs(
    pairs: Sequence[Pair | Part], job: TrainJob, spacing: Spacing | None, voxels: int, cache: Path
) -> Any:
    """Return a dataset of whole standardised pairs, `voxels` in all.

    It is held in memory; where that would take more than 40 % of what is free, on disk in
    `cache` (MONAI's `PersistentDataset`).
    """
    import psutil

    nuclei = bool(job.instance_weight)
    task = job.task
    keys = ["inputs", "outputs", *(["labels"] if nuclei else [])]
    pad = {"method": "end", "mode": "edge", "allow_missing_keys": True}
    pads = [
        SpatialPadd(keys, job.patch, **pad), DivisiblePadd(keys, job.network.multiple, **pad)
    ]  # fmt: skip
    transform = Compose(
        [
            ReadPair(spacing, labels=nuclei, task=task),
            Normalised(task, job.root),
            OnlyPart(keys),
            PadColumns(job, Compose(pads)),
            SeenBeside(task),
            InstanceTargets(spacing, job.network.factor),
            EnsureTyped(["inputs", "outputs"], dtype=torch.float32, track_meta=False),
        ]
    )
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


def _key(spacing: Spacing | None, nuclei: bool, task: Task, pair: Pair | Part) -> bytes:
    """Return the name under which a pair lies in the cache on disk."""
    return hashlib.sha256(repr((pair, spacing, nuclei, task)).encode()).hexdigest().encode()


def variant(x: Tensor, index: int) -> Tensor:
    """Return view `index` (0 to 7) of x (..., y, x): flipped along y, along x, transposed."""
    if index & 4:
        x = x.transpose(-1, -2)
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if index & bit]
    return x.flip(axes) if axes else x


class Latents:
    """Standardised latents of the 8 views of each DAPI volume, encoded once, when first needed.

    A strided encoder does not commute with flips, so each view is encoded on its own.

    Parameters
    ----------
    dataset : sequence
        Whole pairs from `load_pairs`.
    networks : StainerNetworks
        Its autoencoder, which must not change any more; the statistics of its latents are set.
    device : torch.device
        Where the networks are.
    amp : callable
        Returns the autocast context.
    measured : bool
        Whether the statistics of the latents are measured; else those of the networks stay.
    """

    def __init__(
        self,
        dataset: Any,
        networks: StainerNetworks,
        device: Any,
        amp: Any,
        measured: bool = True,
    ) -> None:
        self.dataset, self.networks, self.device, self.amp = dataset, networks, device, amp
        self._known: dict[tuple[int, int], Tensor] = {}
        known = [i for i in range(len(dataset)) if PLANES not in dataset[i]]
        # planes have no latents: those of the start stay as they are scaled
        if not measured or not known:
            return
        chosen = np.linspace(0, len(known) - 1, min(len(known), _FOR_STATISTICS))
        with torch.no_grad():
            networks.latent_mean.zero_()
            networks.latent_std.fill_(1.0)
            views = [self._encode(known[int(i)], 0).flatten(1) for i in np.unique(chosen.round())]
            flat = torch.cat(views, 1)
            mean, std = flat.mean(1), flat.std(1).clamp_min(1e-6)
            networks.latent_mean.copy_(mean.view_as(networks.latent_mean))
            networks.latent_std.copy_(std.view_as(networks.latent_std))

    def at(self, index: int, view: int) -> Tensor:
        """Return the latent (C, z, y, x) of one view of one volume, float32, on the CPU."""
        key = (index, view)
        if key not in self._known:
            self._known[key] = self._encode(index, view)
        return self._known[key]

    @torch.no_grad()
    def _encode(self, index: int, view: int) -> Tensor:
        item = self.dataset[index]
        outputs, inputs = (
            variant(item[key], view)[None].to(self.device) for key in ("outputs", "inputs")
        )
        with self.amp():
            return self.networks.encode(outputs, inputs)[0].float().cpu()


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
        cells = cast("Factor", tuple(f // s for f, s in zip(factor, stride, strict=True)))
        self._fold = {"inputs": SpaceToDepth(factor), "outputs": SpaceToDepth(factor)}
        self._unfold = {"inputs": DepthToSpace(factor), "outputs": DepthToSpace(factor)}
        self._fold["instances"] = SpaceToDepth(cells)
        self._unfold["instances"] = DepthToSpace(cells)
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
            inputs, outputs = variant(pair["inputs"], view), variant(pair["outputs"], view)
            batch = columns(inputs, outputs, int(pair[PLANES]), self.job, rng)
            return self._augmented(batch, rng)
        item = {
            key: fold(variant(pair[key], view)[None])[0].contiguous()
            for key, fold in self._fold.items()
            if key in pair
        }
        if self.latents is not None:
            item["latent"] = self.latents.at(index, view)
        crops = [self._crop(item["inputs"].shape[1:], rng) for _ in range(self.job.crops)]
        batch = {}
        for key, whole in item.items():
            patches = torch.stack([whole[crop] for crop in crops])
            batch[key] = self._unfold[key](patches) if key in self._unfold else patches
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
