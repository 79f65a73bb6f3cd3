"""The correlation of two stacks that share no grey values, at each lag.

Nuclei may be brighter or darker than their surroundings in phase,
and phase shows much that DAPI does not. They share where bodies of a nucleus's size lie and where
fine texture is. So two contrasts of each are compared, brightness against the surroundings (of
either sign) and texture energy, each standardised over the neighbourhood so that no bright spot
rules. Their cross-correlation, normalised by the overlap of each lag, peaks at the shift.
Voxels without data weigh nothing.
Whitening the spectrum (phase correlation proper) was measured to be worse between modalities:
the high frequencies that it lifts are unrelated. Along z, where phase imaging has a missing cone
and bodies are drawn out, it is the texture, sharp in its own plane alone, that tells the shift.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .filling import filled_planes
from .no_data import NoData
from .volume import Spacing, Volume, planes

Array = np.ndarray
Vector = tuple[float, float, float]

_GRID = 1.0  # µm; in-plane size of the voxels on which contrasts are compared
_NUCLEUS = 8.0  # µm
_LEAST = 0.1  # of the largest overlap: lags with less tell nothing


def contrasts(volume: Volume, spacing: Spacing, no_data: NoData) -> Array:
    """Return brightness, texture and weight (3, z, y, x), float32, on a grid of about 1 µm.

    Parameters
    ----------
    volume : Volume
        Axes "zyx"; read plane by plane.
    spacing : tuple of float
        Voxel size (z, y, x) in µm.
    no_data : NoData
        Which voxels weigh nothing.
    """
    from scipy import ndimage

    dz, dy, dx = spacing
    step = steps(spacing)
    brightness, texture, weight = [], [], []
    for z, plane in enumerate(planes(volume)):
        image = plane.astype(np.float32)
        empty = no_data.of_plane(plane, z)
        if empty.any():
            background = np.median(image[~empty]) if not empty.all() else 0.0
            filled_planes(image[None], empty[None], float(background))
        weight.append(_binned(~empty, step) == 1)
        brightness.append(_binned(ndimage.gaussian_filter(image, (1 / dy, 1 / dx)), step))
        fine = ndimage.gaussian_filter(image, (1.5 / dy, 1.5 / dx))
        fine -= ndimage.gaussian_filter(image, (3 / dy, 3 / dx))
        texture.append(_binned(fine * fine, step))
    scale = np.array([dz, dy * step[0], dx * step[1]])
    weights = np.stack(weight).astype(np.float32)
    # The root compresses: a lipid droplet must not outweigh all nuclei.
    energy = _smoothed(np.stack(texture), 1.0 / scale, weights) ** 0.25
    both = [_standardised(c, _NUCLEUS / scale, weights) for c in (np.stack(brightness), energy)]
    return np.stack([*both, weights])


def of_columns(found: Array) -> Array:
    """Return the contrasts of a stack (3, z, y, x) as those of one plane: the mean of each column.

    What a projection shows lies in some plane of its column. Of maximum, magnitude and deviation
    along z none was as sure on simulated stacks and a real one.
    """
    weight = found[2].sum(0)
    inside = (weight > 0).astype(np.float32)
    total = max(float(inside.sum()), 1.0)
    both = []
    for contrast in (found[:2] * found[2]).sum(1) / np.maximum(weight, 1):
        centred = (contrast - contrast.sum() / total) * inside
        both.append(centred / max(float(np.sqrt((centred**2).sum() / total)), 1e-30))
    return np.stack([*both, inside])[:, None].astype(np.float32)


def steps(spacing: Spacing) -> tuple[int, int]:
    """Return how many voxels (y, x) make one of the grid on which contrasts are compared."""
    return max(1, round(_GRID / spacing[1])), max(1, round(_GRID / spacing[2]))


def _binned(image: Array, step: tuple[int, int]) -> Array:
    y, x = (n // s for n, s in zip(image.shape, step, strict=True))
    binned = image[: y * step[0], : x * step[1]].reshape(y, step[0], x, step[1])
    return np.asarray(binned.mean((1, 3), dtype=np.float32))


def _smoothed(contrast: Array, sigma: Array, weights: Array) -> Array:
    """Return a contrast smoothed over the voxels that have a weight."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(contrast * weights, sigma)
    if weights.all():
        return np.asarray(smooth)
    return np.asarray(smooth / np.maximum(ndimage.gaussian_filter(weights, sigma), 1e-3))


def _standardised(contrast: Array, sigma: Array, weights: Array) -> Array:
    centred = contrast - _smoothed(contrast, sigma, weights)
    spread = np.sqrt(_smoothed(centred * centred, sigma, weights))
    local = centred / (spread + 1e-3 * spread.mean() + 1e-30) * weights
    total = max(float(weights.sum()), 1.0)
    local = (local - local.sum() / total) * weights
    return np.asarray(local / max(float(np.sqrt((local**2).sum() / total)), 1e-30), np.float32)


def correlations(
    fixed: Array, moving: Array, parts: Sequence[tuple[slice, slice, slice]], lags: Array
) -> tuple[Array, Array]:
    """Return the sums of products at each lag (z, y, x) up to `lags`, and how many they are of.

    Parameters
    ----------
    fixed, moving : ndarray
        From `contrasts`, on one grid.
    parts : sequence of tuple
        Slices (z, y, x) of `fixed`; each is compared with all of `moving` that lags bring to it.
    lags : ndarray of int
        Largest lags.

    Returns
    -------
    products : ndarray
        (parts, 2, z, y, x): of brightness and of texture.
    overlaps : ndarray
        (parts, z, y, x).
    """
    from scipy import fft

    products, overlaps = [], []
    for part in parts:
        spans = [
            (max(s.start - int(m), 0), min(s.stop + int(m), n))
            for s, m, n in zip(part, lags, fixed.shape[1:], strict=True)
        ]
        around = moving[(slice(None), *(slice(a, b) for a, b in spans))]
        own = np.zeros_like(around)
        inside = (slice(s.start - a, s.stop - a) for s, (a, _) in zip(part, spans, strict=True))
        own[(slice(None), *inside)] = fixed[(slice(None), *part)]
        size = [
            fft.next_fast_len(n + int(m), real=True)
            for n, m in zip(own.shape[1:], lags, strict=True)
        ]
        axes = (1, 2, 3)
        surface = fft.irfftn(
            fft.rfftn(own, size, axes) * np.conj(fft.rfftn(around, size, axes)), size, axes
        )
        for axis, m in enumerate(lags, start=1):
            surface = np.take(surface, np.arange(-m, m + 1), axis)
        products.append(surface[:2])
        overlaps.append(surface[2])
    return np.stack(products), np.maximum(np.stack(overlaps), 0)


def surface(products: Array, overlaps: Array, sign: int) -> Array:
    """Return the mean correlation at each lag of the parts together.

    Parameters
    ----------
    products, overlaps : ndarray
        From `correlations`, for some parts.
    sign : {1, -1}
        Whether nuclei are bright or dark in phase.
    """
    count = overlaps.sum(0)
    total = products.sum(0)
    least = max(_LEAST * float(count.max()), 1e-30)
    return np.asarray((sign * total[0] + total[1]) / 2 / np.maximum(count, least))


def subvoxel(found: Array, top: tuple[int, ...]) -> Vector:
    """Return the lag of a peak of a surface: a parabola goes through it and its neighbours."""
    lag = np.array(top, float) - np.array(found.shape) // 2
    for axis, i in enumerate(top):
        if 0 < i < found.shape[axis] - 1:
            at = [tuple(np.array(top) + d * np.eye(3, dtype=int)[axis]) for d in (-1, 0, 1)]
            below, here, above = (float(found[p]) for p in at)
            lag[axis] += 0.5 * (below - above) / min(below - 2 * here + above, -1e-30)
    z, y, x = lag.tolist()
    return (z, y, x)
