"""Another voxel size: the whole volume at once, for training; staining resamples tile by tile."""

from __future__ import annotations

import numpy as np

from .volume import Spacing, Volume


def resample(volume: Volume, spacing: Spacing) -> Volume:
    """Return a volume on a grid of another spacing that covers the same field.

    Parameters
    ----------
    volume : Volume
        Axes "zyx", with spacing.
    spacing : tuple of float
        Voxel size (z, y, x) wanted, in µm. The result's own is the nearest at which whole voxels
        cover the field.

    Returns
    -------
    Volume
        float32, linearly interpolated; smoothed first along axes that become coarser.

    Raises
    ------
    ValueError
        If the volume's spacing is unknown.
    """
    from skimage.transform import resize

    if volume.spacing is None:
        raise ValueError("resample needs a volume whose spacing is known")
    extent = [n * s for n, s in zip(volume.shape, volume.spacing, strict=True)]
    shape = tuple(max(1, round(e / s)) for e, s in zip(extent, spacing, strict=True))
    data = resize(
        volume.numpy().astype(np.float32), shape, order=1, mode="edge", anti_aliasing=True
    )
    z, y, x = (e / n for e, n in zip(extent, shape, strict=True))
    return volume.replace(data=data.astype(np.float32), spacing=(z, y, x))
