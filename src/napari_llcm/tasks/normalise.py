"""Intensities in and out of the networks.

QPI: a robust affine map of the whole volume (never of a tile, which would make seams).
Voxels without data take no part in either.
DAPI: background to 0, the brightest nuclei to 1, then a square root. Counts are Poisson, so the
root stabilises their variance (Anscombe 1948), and a dim nucleus is not lost beside a bright one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from ..volumes import NoData, NoDataSearch

LINEAR = 0.02  # below it the root turns linear, so that background noise is not blown up
_SAMPLES = 2_000_000  # voxels that percentiles are estimated from
_PLANES = 8  # read at least, of however large a volume: one alone may be dead or out of focus
HOT = 25.0
"""Scaled phase beyond which a voxel is clipped: simulated stacks of all difficulties end at 8."""
_WIDE = 5.0  # the 1-99 % range over the 5-95 % range that asks for hot columns; usual is 1.2 to 1.5
_ABSURD = 50.0  # the same where hot voxels must be many, wherever they are
_USUAL = 1.4
_DEEP = 16  # planes that no cell fills


class Scaling(BaseModel):
    """An affine map of intensities: low to 0, high to 1.

    `root` tells, of DAPI, whether the variance-stabilising square root follows; without it dim
    nuclei weigh nothing, which is kept to be measured.
    """

    model_config = ConfigDict(frozen=True)

    low: float
    high: float
    root: bool = True

    @property
    def usable(self) -> bool:
        """True where both ends are numbers, and apart."""
        return bool(np.isfinite((self.low, self.high)).all() and self.high > self.low)

    def apply(self, x: Any) -> Any:
        """Return (x - low) / (high - low)."""
        return (x - self.low) / (self.high - self.low)

    def undo(self, x: Any) -> Any:
        """Return the inverse of `apply`."""
        return x * (self.high - self.low) + self.low


def qpi_scaling(data: Any, no_data: NoData | None = None) -> Scaling:
    """Return the scaling of a phase volume: its median to 0, its 1-99 % range to width 4.

    Columns and planes that are hot throughout, such as a bright corner, take no part.

    Parameters
    ----------
    data : array-like
        (z, y, x), numpy, zarr or dask; sampled evenly if it is large.
    no_data : NoData, optional
        Which voxels hold no data; looked for in the sample if not given.
    """
    sample = _sample(data, no_data)
    percentiles = (1, 5, 50, 95, 99)
    low, least, middle, most, high = np.nanpercentile(sample, percentiles)
    if high - low > _WIDE * (most - least) > 0:
        hot = np.abs(sample - middle) > 3 * (most - least)
        sample[hot.mean((1, 2)) > 0.9] = np.nan
        if data.shape[0] >= _DEEP:
            sample[:, hot.mean(0) > 0.9] = np.nan
        low, least, middle, most, high = np.nanpercentile(sample, percentiles)
    width = high - low
    if width > _ABSURD * (most - least) > 0:
        width = _USUAL * (most - least)
    return Scaling(low=float(middle), high=float(middle + max(width, 1e-12) / 4))


def share_beyond(data: Any, limits: tuple[float, float], no_data: NoData | None = None) -> float:
    """Return the share of a volume's voxels that are below or above limits."""
    sample = subsample(data, no_data)
    return float(np.mean((sample < limits[0]) | (sample > limits[1])))


def noise_level(data: Any, scaling: Scaling, no_data: NoData | None = None) -> float:
    """Return the noise of a phase volume as a share of its contrast.

    Noise is what a plane has beside a smooth surface through each voxel's neighbours, in its
    median, so that edges do not count (after Immerkaer 1996).

    Parameters
    ----------
    data : array-like
        (z, y, x); three planes are read.
    scaling : Scaling
        As `qpi_scaling` returns it.
    no_data : NoData, optional
        Which voxels hold no data.
    """
    no_data = NoData() if no_data is None else no_data
    living = [z for z in range(int(data.shape[0])) if z not in no_data.planes]
    found = []
    for z in sorted({living[len(living) * k // 4] for k in (1, 2, 3)} if living else ()):
        p = _plane(data, z, no_data).astype(np.float64)
        if min(p.shape) < 3:
            return 0.0
        across = p[:, :-2] - 2 * p[:, 1:-1] + p[:, 2:]
        both = across[:-2] - 2 * across[1:-1] + across[2:]
        both = both[np.isfinite(both)]
        if both.size:
            # of white noise of deviation 1, `both` has deviation 6 and median magnitude 6 × 0.6745
            found.append(float(np.median(np.abs(both))) / (6 * 0.6745))
    return float(np.median(found)) / (scaling.high - scaling.low) if found else 0.0


def dapi_scaling(data: Any, no_data: NoData | None = None) -> Scaling:
    """Return the scaling of a DAPI volume: background (20 %) to 0, 99.8 % to 1.

    Parameters
    ----------
    data : array-like
        (z, y, x), numpy, zarr or dask; sampled evenly if it is large.
    no_data : NoData, optional
        Which voxels hold no data; looked for in the sample if not given.
    """
    low, high = np.nanpercentile(_sample(data, no_data), (20, 99.8))
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
    x = y.copy()
    if scaling.root:  # sign(y) ((|y| + √b)² - b); in place, as fresh memory takes longer than sums
        np.abs(y, out=x)
        x += LINEAR**0.5
        x *= x
        x -= LINEAR
        x *= np.sign(y)
    x *= scaling.high - scaling.low
    x += scaling.low
    return np.maximum(x, 0, out=x)


def subsample(data: Any, no_data: NoData | None = None) -> np.ndarray:
    """Return about two million voxels of a z-y-x volume, evenly spread over it, float32.

    Whole planes are read one at a time, so that memory stays bounded; voxels without data are
    left out.
    """
    values = _sample(data, no_data).ravel()
    return values[np.isfinite(values)]


def no_data_of_sample(data: Any) -> NoData:
    """Return what holds no data, as far as the planes tell that a sample is taken from."""
    search = NoDataSearch()
    for z in _chosen(data):
        search.add(z, np.asarray(data[z]))
    return search.found()


def _chosen(data: Any) -> list[int]:
    """Return the planes of a volume that a sample is taken from."""
    depth = int(data.shape[0])
    plane = int(np.prod(data.shape[1:]))
    planes = max(1, min(depth, max(_SAMPLES * 4 // max(plane, 1), _PLANES)))
    return [int(z) for z in np.unique(np.linspace(0, depth - 1, planes).round())]


def _sample(data: Any, no_data: NoData | None) -> np.ndarray:
    """Return about two million voxels (z, y, x) on an even grid, NaN where there is no data."""
    chosen = _chosen(data)
    if np.prod(data.shape, dtype=float) <= 4 * _SAMPLES:
        data = np.asarray(data[:])  # plane by plane, each chunk would be unpacked many times
    step = max(1, int(np.sqrt(len(chosen) * np.prod(data.shape[1:]) / _SAMPLES)))
    no_data = no_data_of_sample(data) if no_data is None else no_data
    sample = np.stack([_plane(data, z, no_data)[::step, ::step] for z in chosen])
    # a volume without any data is refused elsewhere
    return sample if np.isfinite(sample).any() else np.zeros_like(sample)


def _plane(data: Any, z: int, no_data: NoData) -> np.ndarray:
    """Return plane z, float32, NaN where there is no data."""
    plane = np.asarray(data[z])
    values = np.array(plane, np.float32)
    values[no_data.of_plane(plane, z)] = np.nan
    return values
