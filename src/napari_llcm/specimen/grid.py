"""A regular grid in µm, and random textures on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

Array = np.ndarray
Triple = tuple[float, float, float]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Grid:
    """Voxel centres of a volume; the field of view begins at 0 µm.

    Parameters
    ----------
    shape : tuple of int
        Number of voxels (z, y, x), margins included.
    spacing : tuple of float
        Voxel size (z, y, x) in µm.
    margin : tuple of int
        Voxels (z, y, x) outside the field of view on the near side of each axis.
    """

    shape: tuple[int, int, int]
    spacing: Triple
    margin: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def around(cls, size: tuple[int, int, int], spacing: Triple, reach: Triple) -> Grid:
        """Return the grid of a field of `size` voxels with `reach` µm of tissue around it."""
        mz, my, mx = (int(np.ceil(r / s)) for r, s in zip(reach, spacing, strict=True))
        z, y, x = (
            fft.next_fast_len(n + 2 * m, real=True) for n, m in zip(size, (mz, my, mx), strict=True)
        )
        return cls((z, y, x), spacing, (mz, my, mx))

    def field(self, size: tuple[int, int, int]) -> Box:
        """Return the slices of the field of view."""
        z, y, x = (slice(m, m + n) for m, n in zip(self.margin, size, strict=True))
        return z, y, x

    def positions(self, axis: int) -> Array:
        """Return the coordinates in µm of the voxel centres along one axis."""
        steps = np.arange(self.shape[axis], dtype=np.float32) - self.margin[axis] + 0.5
        return np.asarray(steps * np.float32(self.spacing[axis]))

    def box(self, centre: Array, reach: float) -> tuple[Box, tuple[Array, Array, Array]]:
        """Return the slices within `reach` µm of a point, and the open grid of offsets from it."""
        slices, offsets = [], []
        for axis in range(3):
            step, margin = self.spacing[axis], self.margin[axis]
            first = int(np.floor((centre[axis] - reach) / step)) + margin
            last = int(np.ceil((centre[axis] + reach) / step)) + margin
            part = slice(max(first, 0), max(min(last, self.shape[axis]), 0))
            slices.append(part)
            along = self.positions(axis)[part] - np.float32(centre[axis])
            offsets.append(along.reshape([-1 if a == axis else 1 for a in range(3)]))
        return (slices[0], slices[1], slices[2]), (offsets[0], offsets[1], offsets[2])

    def squared_frequencies(self) -> tuple[Array, Array, Array]:
        """Return the squared frequencies (1/µm²) of a real FFT as an open grid."""
        z, y, x = self.shape
        kz = fft.fftfreq(z, self.spacing[0]).astype(np.float32)[:, None, None]
        ky = fft.fftfreq(y, self.spacing[1]).astype(np.float32)[None, :, None]
        kx = fft.rfftfreq(x, self.spacing[2]).astype(np.float32)[None, None, :]
        return kz**2, ky**2, kx**2

    def gaussian(self, sigma: Triple) -> Array:
        """Return the real-FFT transfer function of a Gaussian of `sigma` µm (z, y, x)."""
        squares = self.squared_frequencies()
        parts = [
            np.exp(np.float32(-2 * np.pi**2 * s**2) * k)
            for s, k in zip(sigma, squares, strict=True)
        ]
        return np.asarray(parts[0] * parts[1] * parts[2])

    def texture(self, rng: np.random.Generator, grain: float) -> Array:
        """Return Gaussian noise smoothed over `grain` µm, with mean 0 and standard deviation 1."""
        noise = fft.rfftn(rng.standard_normal(self.shape, dtype=np.float32))
        noise *= self.gaussian((grain, grain, grain))
        noise[0, 0, 0] = 0
        smooth = fft.irfftn(noise, self.shape)
        return np.asarray(smooth / smooth.std())
