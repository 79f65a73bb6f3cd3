"""Quantitative phase images of a refractive index: transfer function, noise, background, drift."""

from __future__ import annotations

import numpy as np
from scipy import fft

from .difficulty import Difficulty
from .grid import Array, Grid
from .optics import OPTICS, Modality, deconvolution, oblique_transfer, transmission_transfer

UNITS: dict[Modality, str] = {"qobm": "refractive index contrast", "transmission": "rad"}


def phase_image(
    index: Array,
    medium: float,
    grid: Grid,
    modality: Modality,
    preset: Difficulty,
    rng: np.random.Generator,
) -> Array:
    """Return the phase stack of a refractive index on the grid (float32, unit in `UNITS`)."""
    optics = OPTICS[modality]
    spectrum = fft.rfftn(index - np.float32(medium))
    if modality == "transmission":
        clean = fft.irfftn(spectrum * transmission_transfer(grid, optics), grid.shape)
        noisy = clean + _noise(grid, preset, rng)
        return np.asarray(_drifting(noisy, grid, preset, rng), np.float32)
    transfers = oblique_transfer(grid, optics)
    filters = deconvolution(transfers, optics.regularisation)
    result = np.zeros_like(spectrum)
    for transfer, back in zip(transfers, filters, strict=True):
        seen = fft.irfftn(spectrum * transfer, grid.shape) + _noise(grid, preset, rng)
        result += back * fft.rfftn(seen)
    return np.asarray(_drifting(fft.irfftn(result, grid.shape), grid, preset, rng), np.float32)


def _noise(grid: Grid, preset: Difficulty, rng: np.random.Generator) -> Array:
    """Return shot noise, speckle and slow background as a share of the detected light."""
    depth = np.maximum(grid.positions(0), 0)[:, None, None]
    shot = np.exp(depth / np.float32(2 * preset.phase_length)) / np.sqrt(preset.phase_photons)
    noise = rng.standard_normal(grid.shape, dtype=np.float32) * shot.astype(np.float32)
    noise += np.float32(preset.speckle) * grid.texture(rng, 0.4)
    noise += np.float32(preset.background) * grid.texture(rng, 12.0)
    return np.asarray(noise)


def _drifting(image: Array, grid: Grid, preset: Difficulty, rng: np.random.Generator) -> Array:
    gain = 1 + preset.drift * rng.standard_normal((grid.shape[0], 1, 1))
    return np.asarray(image * gain.astype(np.float32))
