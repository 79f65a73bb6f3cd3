"""Blur: how far the spatial frequencies of a stain are from those of the truth."""

from __future__ import annotations

import numpy as np
from scipy import fft

BAND = (1 / 16, 0.4)  # cycles per voxel in the plane: from nuclei down to their texture
_BINS = 16


def spectral_distance(truth: np.ndarray, stain: np.ndarray) -> float:
    """Return the mean |log10| ratio of the power spectra of stain and truth; 0 is equally sharp.

    In-plane radial power, averaged over planes, in `BAND`. A blurred stain lacks power at high
    frequencies; 0.3 means that power is wrong by a factor of 2 on average. It says nothing about
    whether structures are where they should be.

    Parameters
    ----------
    truth, stain : ndarray
        (z, y, x), the same shape, in the same unit.
    """
    ratio = _radial_power(stain) / _radial_power(truth)
    return float(np.abs(np.log10(np.maximum(ratio, 1e-12))).mean())


def _radial_power(image: np.ndarray) -> np.ndarray:
    """Return the power in each of the radial bins of `BAND`, even in log frequency."""
    _, ny, nx = image.shape
    window = np.hanning(ny)[:, None] * np.hanning(nx)[None]
    planes = (image - image.mean((1, 2), keepdims=True)) * window
    power = (np.abs(fft.rfft2(planes, axes=(1, 2))) ** 2).mean(0)
    radius = np.hypot(fft.fftfreq(ny)[:, None], fft.rfftfreq(nx)[None])
    edges = np.geomspace(*BAND, _BINS + 1)
    which = np.digitize(radius, edges) - 1
    inside = (which >= 0) & (which < _BINS)
    total = np.bincount(which[inside], power[inside], _BINS)
    return np.asarray(total / np.maximum(np.bincount(which[inside], minlength=_BINS), 1) + 1e-12)
