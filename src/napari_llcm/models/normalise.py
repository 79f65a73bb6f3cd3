"""Intensities in and out of the networks.

QPI: a robust affine map of the whole volume (never of a tile, which would make seams).
DAPI: background to 0, the brightest nuclei to 1, then a square root. Counts are Poisson, so the
root stabilises their variance (Anscombe 1948), and a dim nucleus is not lost beside a bright one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

LINEAR = 0.02  # below it the root turns linear, so that background noise is not blown up
_SAMPLES = 2_000_000  # voxels that percentiles are estimated from


class Scaling(BaseModel):
    """An affine map of intensities: low to 0, high to 1.

    `root` tells, of DAPI, whether the variance-stabilising square root follows; without it dim
    nuclei weigh nothing, which is kept to be measured.
    """

    model_config = ConfigDict(frozen=True)

    low: float
    high: float
    root: bool = True

    def apply(self, x: Any) -> Any:
        """Return (x - low) / (high - low)."""
        return (x - self.low) / (self.high - self.low)

    def undo(self, x: Any) -> Any:
        """Return the inverse of `apply`."""
        return x * (self.high - self.low) + self.low


def qpi_scaling(data: Any) -> Scaling:
    """Return the scaling of a phase volume: its median to 0, its 1-99 % range to width 4.

    Parameters
    ----------
    data : array-like
        (z, y, x), numpy, zarr or dask; sampled evenly if it is large.
    """
    low, middle, high = np.percentile(subsample(data), (1, 50, 99))
    return Scaling(low=float(middle), high=float(middle + max(high - low, 1e-12) / 4))


def noise_level(data: Any, scaling: Scaling) -> float:
    """Return the noise of a phase volume as a share of its contrast.

    Noise is what a plane has beside a smooth surface through each voxel's neighbours, in its
    median, so that edges do not count (after Immerkaer 1996).

    Parameters
    ----------
    data : array-like
        (z, y, x); three planes are read.
    scaling : Scaling
        As `qpi_scaling` returns it.
    """
    depth = int(data.shape[0])
    found = []
    for z in sorted({depth // 4, depth // 2, 3 * depth // 4}):
        p = np.asarray(data[z], np.float64)
        if min(p.shape) < 3:
            return 0.0
        across = p[:, :-2] - 2 * p[:, 1:-1] + p[:, 2:]
        both = across[:-2] - 2 * across[1:-1] + across[2:]
        # of white noise of deviation 1, `both` has deviation 6 and median magnitude 6 × 0.6745
        found.append(float(np.median(np.abs(both))) / (6 * 0.6745))
    return float(np.median(found)) / (scaling.high - scaling.low)


def dapi_scaling(data: Any) -> Scaling:
    """Return the scaling of a DAPI volume: background (20 %) to 0, 99.8 % to 1."""
    low, high = np.percentile(subsample(data), (20, 99.8))
    return Scaling(low=float(low), high=float(max(high, low + 1e-12)))


def stabilise(x: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return variance-stabilised DAPI, float32: sqrt(x + b) - sqrt(b) of scaled x, odd in x."""
    y = scaling.apply(np.asarray(x, np.float32))
    if not scaling.root:
        return np.asarray(y, np.float32)
    return np.asarray(np.sign(y) * (np.sqrt(np.abs(y) + LINEAR) - LINEAR**0.5), np.float32)


def unstabilise(y: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return DAPI intensities, float32, of variance-stabilised ones; never below 0."""
    y = np.asarray(y, np.float32)
    x = np.sign(y) * ((np.abs(y) + LINEAR**0.5) ** 2 - LINEAR) if scaling.root else y
    return np.maximum(scaling.undo(x), 0).astype(np.float32)


def subsample(data: Any) -> np.ndarray:
    """Return about two million voxels of a z-y-x volume, evenly spread over it, float32.

    Whole planes are read one at a time, so that memory stays bounded.
    """
    depth = int(data.shape[0])
    plane = int(np.prod(data.shape[1:]))
    planes = max(1, min(depth, _SAMPLES * 4 // max(plane, 1)))
    chosen = np.unique(np.linspace(0, depth - 1, planes).round().astype(int))
    step = max(1, int(np.sqrt(len(chosen) * plane / _SAMPLES)))
    values = [np.asarray(data[int(z)], np.float32)[::step, ::step].ravel() for z in chosen]
    return np.concatenate(values)
