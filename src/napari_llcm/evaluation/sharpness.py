"""Detail: how far the spatial frequencies of a stain are from those of the truth.

`spectral_distance` asks whether there is as much of it, `spectral_correlation` whether it is that
of the truth. A loss that asks for power (`training.losses.spectrum_loss`) can buy the first alone.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

BAND = (1 / 16, 0.4)  # cycles per voxel in the plane: from nuclei down to their texture
_NUCLEI = 3  # of the bins: the coarsest, 1/16 to 1/11 cycles per voxel, where nuclei are
_BEYOND = 0.45  # cycles per voxel: more than optics pass, so what is left there is noise
_BINS = 16
_MOST = 3.0  # decades: a frequency that is wholly absent counts no more


def spectral_distance(truth: np.ndarray, stain: np.ndarray) -> float:
    """Return the mean |log10| ratio of the power spectra of stain and truth; 0 is equally sharp.

    In-plane radial power, averaged over planes, in `BAND`, each image's as a share of what it has
    at the scale of nuclei: a blurred stain has less of it at high frequencies, a dim one has not.
    0.3 means that the share of detail is wrong by a factor of 2 on average. It says nothing about
    whether structures are where they should be.

    Shot noise is no detail: it is white, so the power beyond what optics pass is its level, which
    is taken off both spectra, and only frequencies count at which the truth's signal exceeds its
    noise (where the Fourier ring correlation of two exposures, SNR/(SNR + 1), is above 0.5).

    Parameters
    ----------
    truth, stain : ndarray
        (z, y, x), the same shape, in the same unit.
    """
    (real, noise), (virtual, own) = _radial_power(truth), _radial_power(stain)
    resolved = real > 2 * noise
    resolved[:_NUCLEI] = False
    if not resolved.any():  # a truth that is all noise has no detail to lose
        return 0.0
    ratio = np.maximum(virtual - own, 0) / np.maximum(real - noise, 1e-12)
    ratio = np.log10(np.clip(ratio, 10**-_MOST, 10**_MOST))
    return float(np.abs(ratio[resolved] - ratio[:_NUCLEI].mean()).mean())


def spectral_correlation(truth: np.ndarray, stain: np.ndarray) -> float:
    """Return the Fourier ring correlation of stain and truth, averaged over `BAND`; 1 is the same.

    FRC(q) = Re Σ T(q) S*(q) / √(Σ|T|² Σ|S|²) over a ring of in-plane frequencies and all planes
    (Saxton & Baumeister 1982): detail counts where it is in the right place, and detail made up
    counts against. The mean is over rings even in log frequency, the noise of the truth included:
    against a noisy DAPI even a perfect stain stays below 1.

    Parameters
    ----------
    truth, stain : ndarray
        (z, y, x), the same shape.
    """
    real, virtual = _spectra(truth), _spectra(stain)
    which, inside = _rings(truth.shape[1], truth.shape[2])
    products = ((real * virtual.conj()).real, np.abs(real) ** 2, np.abs(virtual) ** 2)
    common, t, s = (np.bincount(which[inside], p.sum(0)[inside], _BINS) for p in products)
    held = np.bincount(which[inside], minlength=_BINS) > 0  # a small plane may miss a coarse ring
    return float((common / np.sqrt(np.maximum(t * s, 1e-30)))[held].mean())


def _radial_power(image: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the power in the radial bins of `BAND`, even in log frequency, and that of noise."""
    power = (np.abs(_spectra(image)) ** 2).mean(0)
    which, inside = _rings(image.shape[1], image.shape[2])
    total = np.bincount(which[inside], power[inside], _BINS)
    count = np.maximum(np.bincount(which[inside], minlength=_BINS), 1)
    return total / count, float(power[_radius(*image.shape[1:]) > _BEYOND].mean())


def _spectra(image: np.ndarray) -> np.ndarray:
    """Return the spectrum of each plane (z, ky, kx), without its mean and its borders."""
    _, ny, nx = image.shape
    window = np.hanning(ny)[:, None] * np.hanning(nx)[None]
    planes = (image - image.mean((1, 2), keepdims=True)) * window
    return np.asarray(fft.rfft2(planes, axes=(1, 2)))


def _radius(ny: int, nx: int) -> np.ndarray:
    """Return the frequency (cycles per voxel) of each element of a spectrum."""
    return np.hypot(fft.fftfreq(ny)[:, None], fft.rfftfreq(nx)[None])


def _rings(ny: int, nx: int) -> tuple[np.ndarray, np.ndarray]:
    """Return in which ring of `BAND`, even in log frequency, each element is, and if in any."""
    which = np.digitize(_radius(ny, nx), np.geomspace(*BAND, _BINS + 1)) - 1
    return which, (which >= 0) & (which < _BINS)
