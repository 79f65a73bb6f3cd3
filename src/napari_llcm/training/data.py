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
from ..models.normalise import Scaling, no_data_of_sample, noise_level, qpi_scaling
from ..volumes import Pair, Spacing, Volume
from .augment import AUGMENTATIONS, augmented
from .flat import PadColumns, columns
from .held_out import Part
from .instances import InstanceTargets, target_stride
from .reading import PLANES, OnlyPart, ReadPair, Standardised

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
    keys = ["qpi", "dapi", *(["labels"] if nuclei else [])]
    pad = {"method": "end", "mode": "edge", "allow_missing_keys": True}
    pads = [
        SpatialPadd(keys, job.patch, **pad), DivisiblePadd(keys, job.network.multiple, **pad)
    ]  # fmt: skip
    transform = Compose(
        [
            ReadPair(spacing, labels=nuclei),
            Standardised(["qpi", "dapi"], job.root),
            OnlyPart(keys),
            PadColumns(job, Compose(pads)),
            InstanceTargets(spacing, job.network.factor),
            EnsureTyped(["qpi", "dapi"], dtype=torch.float32, track_meta=False),
        ]
    )
    needed = 2 * 4 * voxels  # both as float32; their cached latents take as much again
    try:
        if 2 * needed > 0.4 * psutil.virtual_memory().available:
            return PersistentDataset(
                pairs, transform, cache_dir=cache, hash_func=partial(_key, spacing, nuclei)
            )
        return CacheDataset(pairs, transform, num_workers=1, progress=False)
    except RuntimeError as error:  # MONAI wraps what a transform raises
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        raise cause or error from error


def _key(spacing: Spacing | None, nuclei: bool, pair: Pair | Part) -> bytes:
    """Return the name under which a pair lies in the cache on disk."""
    return hashlib.sha256(repr((pair, spacing, nuclei)).encode()).hexdigest().encode()


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
        dapi = variant(self.dataset[index]["dapi"], view)[None].to(self.device)
        with self.amp():
            return self.networks.encode(dapi)[0].float().cpu()


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
        self._fold = {"qpi": SpaceToDepth(factor), "dapi": SpaceToDepth(factor)}
        self._unfold = {"qpi": DepthToSpace(factor), "dapi": DepthToSpace(factor)}
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
            qpi, dapi = variant(pair["qpi"], view), variant(pair["dapi"], view)
            batch = columns(qpi, dapi, int(pair[PLANES]), self.job, rng)
            return self._augmented(batch, rng)
        item = {
            key: fold(variant(pair[key], view)[None])[0].contiguous()
            for key, fold in self._fold.items()
            if key in pair
        }
        if self.latents is not None:
            item["latent"] = self.latents.at(index, view)
        crops = [self._crop(item["qpi"].shape[1:], rng) for _ in range(self.job.crops)]
        batch = {}
        for key, whole in item.items():
            patches = torch.stack([whole[crop] for crop in crops])
            batch[key] = self._unfold[key](patches) if key in self._unfold else patches
        return self._augmented(batch, rng)

    def _augmented(self, batch: dict[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        how = AUGMENTATIONS[self.job.augmentation]
        batch["qpi"] = augmented(batch["qpi"], how, generator)
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


def median_scalings(dataset: Any) -> tuple[Scaling, Scaling]:
    """Return the median QPI and DAPI scalings of a dataset."""
    both = torch.stack([item["scalings"] for item in dataset]).median(0).values
    q, d = ((float(low), float(high)) for low, high in both)
    return Scaling(low=q[0], high=q[1]), Scaling(low=d[0], high=d[1])


def median_noise(volumes: Sequence[Volume]) -> float:
    """Return the median noise of label-free stacks, from about six of them."""
    chosen = volumes[:: max(len(volumes) // 6, 1)]
    levels = []
    for data in (v.data for v in chosen):
        no_data = no_data_of_sample(data)
        levels.append(noise_level(data, qpi_scaling(data, no_data), no_data))
    return float(np.median(levels))
