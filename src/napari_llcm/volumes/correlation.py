"""The correlation of two stacks that share no grey values, at each lag.

Nuclei may be brighter or darker than their surroundings in phase,
and phase shows much that DAPI does not. They share where bodies of a nucleus's size lie and where
fine texture is. So two contrasts of each are compared, brightness against the surroundings (of
either sign) and texture energy, each standardised over the neighbourhood so that no bright spot
rules. Their cross-correlation, normalised by the overlap of each lag, peaks at the shift.
Whitening the spectrum (phase correlation proper) was measured to be worse between modalities:
the high frequencies that it lifts are unrelated. Along z, where phase imaging has a missing cone
and bodies are drawn out, it is the texture, sharp in its own plane alone, that tells the shift.
"""

from __future__ import annotations

import numpy as np

from .volume import Spacing, Volume, planes

Array = np.ndarray
Vector = tuple[float, float, float]

_GRID = 1.0  # µm; in-plane size of the voxels on which contrasts are compared
_NUCLEUS = 8.0  # µm


def contrasts(volume: Volume, spacing: Spacing) -> Array:
    """Return brightness and texture (2, z, y, x), float32, on a grid of about 1 µm in plane.

    Parameters
    ----------
    volume : Volume
        Axes "zyx"; read plane by plane.
    spacing : tuple of float
        Voxel size (z, y, x) in µm.
    """
    from scipy import ndimage

    dz, dy, dx = spacing
    step = steps(spacing)
    brightness, texture = [], []
    for plane in planes(volume):
        image = plane.astype(np.float32)
        brightness.append(_binned(ndimage.gaussian_filter(image, (1 / dy, 1 / dx)), step))
        fine = ndimage.gaussian_filter(image, (1.5 / dy, 1.5 / dx))
        fine -= ndimage.gaussian_filter(image, (3 / dy, 3 / dx))
        texture.append(_binned(fine * fine, step))
    scale = np.array([dz, dy * step[0], dx * step[1]])
    # The root compresses: a lipid droplet must not outweigh all nuclei.
    energy = ndimage.gaussian_filter(np.stack(texture), 1.0 / scale) ** 0.25
    return np.stack([_standardised(c, _NUCLEUS / scale) for c in (np.stack(brightness), energy)])


def steps(spacing: Spacing) -> tuple[int, int]:
    """Return how many voxels (y, x) make one of the grid on which contrasts are compared."""
    return max(1, round(_GRID / spacing[1])), max(1, round(_GRID / spacing[2]))


def _binned(image: Array, step: tuple[int, int]) -> Array:
    y, x = (n // s for n, s in zip(image.shape, step, strict=True))
    return image[: y * step[0], : x * step[1]].reshape(y, step[0], x, step[1]).mean((1, 3))


def _standardised(contrast: Array, sigma: Array) -> Array:
    from scipy import ndimage

    centred = contrast - ndimage.gaussian_filter(contrast, sigma)
    spread = np.sqrt(ndimage.gaussian_filter(centred * centred, sigma))
    return (centred / (spread + 1e-3 * spread.mean() + 1e-30)).astype(np.float32)


def correlation(fixed: Array, moving: Array, lags: Array) -> Array:
    """Return the mean correlation of (2, z, y, x) contrasts at each lag (z, y, x) up to `lags`."""
    from scipy import fft

    shape = fixed.shape[1:]
    size = [fft.next_fast_len(n + int(m), real=True) for n, m in zip(shape, lags, strict=True)]
    total = np.zeros(2 * lags + 1)
    for kind, (a, b) in enumerate(zip(fixed, moving, strict=True)):
        a, b = a - a.mean(), b - b.mean()
        surface = fft.irfftn(fft.rfftn(a, size) * np.conj(fft.rfftn(b, size)), size)
        for axis, (n, m) in enumerate(zip(shape, lags, strict=True)):
            window = np.arange(-m, m + 1)
            overlap = (n - np.abs(window)).reshape([-1 if i == axis else 1 for i in range(3)])
            surface = np.take(surface, window, axis) / overlap
        surface = surface / max(float(a.std() * b.std()), 1e-30)
        total += np.abs(surface) if kind == 0 else surface  # nuclei may be dark in phase
    return total / 2


def peak(surface: Array, chance: Array, voxels: Array) -> tuple[Vector, float, float]:
    """Return the lag of the peak in voxels, its height over the highest of `chance`, its height."""
    top = np.array(np.unravel_index(surface.argmax(), surface.shape))
    lag = (top - np.array(surface.shape) // 2).astype(float)
    for axis, i in enumerate(top):  # a parabola through the peak and its neighbours
        if 0 < i < surface.shape[axis] - 1:
            at = [tuple(top + d * np.eye(3, dtype=int)[axis]) for d in (-1, 0, 1)]
            below, here, above = (float(surface[p]) for p in at)
            lag[axis] += 0.5 * (below - above) / min(below - 2 * here + above, -1e-30)
    z, y, x = (lag * voxels).tolist()
    height = float(surface.max())
    # where a part is blank, neither has a peak
    return (z, y, x), height / max(float(chance.max()), 1e-30), height
