"""Bring a volume to another spacing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..events import UserError
from .units import checked_spacing
from .volume import Volume

_CLOSE = 0.05  # relative difference of voxel sizes that resampling would not pay for


def needs_resampling(volume: Volume, spacing: Sequence[float]) -> bool:
    """Tell whether the voxels of a volume are of another size; not where theirs is unknown."""
    return volume.spacing is not None and not np.allclose(volume.spacing, spacing, rtol=_CLOSE)


def resampled_shape(volume: Volume, spacing: Sequence[float] | None) -> tuple[int, ...]:
    """Return the shape of a z-y-x volume on another grid; its own where a spacing is unknown."""
    if volume.spacing is None or spacing is None:
        return volume.shape
    sizes = zip(volume.shape, volume.spacing, spacing, strict=True)
    return tuple(max(1, round(n * old / new)) for n, old, new in sizes)


def resample(volume: Volume, spacing: Sequence[float], *, order: int = 1) -> Volume:
    """Return the volume on a grid of another spacing over the same extent.

    Parameters
    ----------
    volume : Volume
        Axes "zyx", with a spacing; read into memory.
    spacing : sequence of float
        Voxel size (z, y, x) in µm of the result.
    order : int
        Of the spline: 1 is linear; 0, nearest neighbour, is for labels.

    Returns
    -------
    Volume
        Same dtype, exactly the spacing asked for, and the origin of its first voxel.

    Raises
    ------
    UserError
        If the volume is not z-y-x or has no spacing, or the new one is absurd.
    """
    from scipy import ndimage

    if volume.axes != "zyx":
        raise UserError(f"{volume.name} has axes {volume.axes}: choose one channel and time point.")
    if volume.spacing is None:
        raise UserError(f"The voxel size of {volume.name} is not known: give its spacing.")
    old, new = volume.spacing, checked_spacing(spacing, volume.name)
    if old == new:
        return volume
    shape = resampled_shape(volume, new)
    # The outer faces of the volumes coincide, so the middle of the first voxel moves.
    ratio = np.array(new) / old
    z, y, x = volume.place((ratio - 1) / 2).tolist()
    data = volume.numpy()
    values = data if order == 0 else data.astype(np.float32)
    if order > 0 and (ratio > 1).any():
        # What the coarser grid cannot hold would come back as false structure (aliasing).
        values = ndimage.gaussian_filter(values, np.maximum(ratio - 1, 0) / 2, mode="nearest")
    values = ndimage.affine_transform(
        values, ratio, (ratio - 1) / 2, output_shape=shape, order=order, mode="nearest"
    )
    if order > 0 and data.dtype.kind in "iu":
        limits = np.iinfo(data.dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return volume.replace(data=values.astype(data.dtype, copy=False), spacing=new, origin=(z, y, x))
