"""What a nucleus is, as a task beside the stain: foreground, distance to the border, centre.

A head on the U-Net's features learns it while the stainer is trained and is dropped afterwards: no
bundle holds it. A loss of voxels pays a large nucleus more than a small one, and hardly anything
for the gap between two that touch; these targets name both. (Distances as in StarDist, Schmidt et
al. 2018; centres as in CenterNet, Zhou et al. 2019.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.transforms import Transform
from torch import Tensor, nn
from torch.nn import functional as F

from ..events import Notice
from ..models.blocks import DepthToSpace
from ..models.config import Factor, NetworkConfig
from ..volumes import Pair, Spacing

if TYPE_CHECKING:
    from .config import TrainJob
    from .held_out import Part

CHANNELS = 3  # foreground, distance to the border, centre
_STRIDE = 2  # voxels for each cell of a target, along each axis
# Voxels in the plane, the deviation of a centre's bump: alike for all nuclei, so that a small one
# counts as much as a large one.
_CENTRE = 2.5
_INSIDE = 3.0  # how much more a cell counts within nuclei, which are few


def target_stride(factor: Factor) -> Factor:
    """Return the voxels (z, y, x) for each cell of a target: 2, or a site's where that is less."""
    z, y, x = (min(_STRIDE, f) for f in factor)
    return (z, y, x)


def instance_targets(
    labels: np.ndarray,
    spacing: Sequence[float] | None = None,
    stride: Factor = (_STRIDE, _STRIDE, _STRIDE),
) -> Tensor:
    """Return what the head is to tell of a volume, from its exact labels.

    No channel has a direction, so flips, transpositions and zooms of a volume are those of its
    targets.

    Parameters
    ----------
    labels : ndarray of int
        (Z, Y, X), 0 for background, one number for each nucleus.
    spacing : sequence of float, optional
        Of its voxels (z, y, x); only their proportions count. Cubes if not given.
    stride : tuple of int
        Voxels (z, y, x) for each cell of a target; they divide the size.

    Returns
    -------
    Tensor
        (3, Z/2, Y/2, X/2), uint8, 255 for 1: the share of a cell that is nucleus; the distance to
        the border of its nucleus over the largest in that nucleus; a bump at its centre.
    """
    from scipy.ndimage import distance_transform_edt, find_objects

    size = np.ones(3) if spacing is None else np.array(spacing) / spacing[-1]
    targets = np.zeros((CHANNELS, *labels.shape), np.float32)
    targets[0] = labels > 0
    for number, tight in enumerate(find_objects(labels.astype(np.int32, copy=False)), start=1):
        if tight is None:
            continue
        # a border to all sides but that of the field, where a nucleus goes on unseen
        box = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in tight)
        inside = labels[box] == number
        depth = np.ones(inside.shape) if inside.all() else distance_transform_edt(inside, size)
        at = np.argwhere(inside)
        away = (np.indices(inside.shape).T - at.mean(0)) * size
        bump = np.exp(-np.square(away / _CENTRE).sum(-1) / 2).T
        targets[1][box][inside] = (depth / depth.max())[inside]
        targets[2][box][inside] = bump[inside]
    (z, y, x), (p, q, r) = labels.shape, stride
    pooled = targets.reshape(CHANNELS, z // p, p, y // q, q, x // r, r).mean((2, 4, 6))
    return torch.from_numpy((255 * pooled).round().astype(np.uint8))


class InstanceTargets(Transform):
    """Replace the "labels" (1, Z, Y, X) of a pair, where it has them, by its "instances".

    Parameters
    ----------
    spacing : tuple of float, optional
        Voxel size (z, y, x) of the pair.
    factor : tuple of int
        Voxels (z, y, x) for each latent site.
    """

    def __init__(self, spacing: Spacing | None, factor: Factor) -> None:
        self.spacing, self.stride = spacing, target_stride(factor)

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the pair with "instances" (3, Z/2, Y/2, X/2), uint8."""
        if "labels" not in data:
            return data
        labels = np.asarray(data["labels"])[0]
        rest = {k: v for k, v in data.items() if k != "labels"}
        return rest | {"instances": instance_targets(labels, self.spacing, self.stride)}


class InstanceHead(nn.Module):
    """From the U-Net's last features (B, W, z, y, x) to logits (B, 3, Z/2, Y/2, X/2).

    One convolution: what it reads has to stand in the features, of which the latent is made too.

    Parameters
    ----------
    network : NetworkConfig
        Of the networks whose features it reads.
    """

    def __init__(self, network: NetworkConfig) -> None:
        super().__init__()
        stride = target_stride(network.factor)
        z, y, x = (f // s for f, s in zip(network.factor, stride, strict=True))
        cells = math.prod((z, y, x))
        self.conv = nn.Conv3d(network.unet_widths[0], CHANNELS * cells, 3, padding=1)
        self.grow = DepthToSpace((z, y, x))

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits of the targets."""
        return self.grow(self.conv(features))


def instance_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of foreground, distance and centre, heavier within nuclei.

    Parameters
    ----------
    logits : Tensor
        (B, 3, Z/2, Y/2, X/2), from an `InstanceHead`.
    targets : Tensor
        Of that shape, from `instance_targets`: uint8 to 255, or floats from 0 to 1.
    """
    wanted = targets.float() / 255 if targets.dtype == torch.uint8 else targets.float()
    weight = 1 + _INSIDE * wanted[:, :1]
    error = F.binary_cross_entropy_with_logits(logits.float(), wanted, reduction="none")
    return (weight * error).sum() / (CHANNELS * weight.sum())


def with_labels(job: TrainJob, pairs: Sequence[Pair | Part]) -> tuple[TrainJob, list[Notice]]:
    """Return a job as the labels of its pairs allow it, and what is to be told of that."""
    if not job.instance_weight:
        return job, []
    if "consistency" not in job.phases() or job.task.judge != "nuclei":
        return job.model_copy(update={"instance_weight": 0.0}), []
    known = sum(pair.labels is not None for pair in pairs)
    if known == len(pairs):
        return job, []
    how = "No pair has" if not known else f"Only {known} of {len(pairs)} pairs have"
    text = (
        f"{how} labels of its nuclei (a folder labels beside the others): they are not needed, but "
        "help to tell nuclei apart."
    )
    weight = job.instance_weight if known else 0.0
    return job.model_copy(update={"instance_weight": weight}), [Notice(text=text, warning=False)]
