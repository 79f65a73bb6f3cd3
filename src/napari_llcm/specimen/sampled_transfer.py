"""Transfer functions summed over the points of the frequency grid, in double precision.

The product a(r) of the module `optics` is formed on a grid twice as fine and transformed back. It
takes some seconds and is kept for the named `qobm` and `transmission` microscopes, on whose
specimens models were trained and judged: their bytes stay. `radial_transfer` computes the same
integral in a tenth of the time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import fft

from .grid import Array, Grid
from .optics import Optics


def _kernel(grid: Grid, optics: Optics, slope: tuple[float, float]) -> Array:
    """Return a(k⊥, z): the kernel's transform over y and x, for light that leans along `slope`.

    The source is a disc of weight slope · s / s_max, or of weight 1 where the slope is (0, 0).
    """
    nz, ny, nx = grid.shape
    # a product of two functions of s has twice their bandwidth: compute on a grid twice as fine
    ky = fft.fftfreq(2 * ny, grid.spacing[1] / 2)[:, None]
    kx = fft.fftfreq(2 * nx, grid.spacing[2] / 2)[None, :]
    square = ky**2 + kx**2
    pupil = square <= (optics.numerical_aperture / optics.wavelength) ** 2
    edge = optics.illumination_aperture / optics.wavelength
    lean = (slope[0] * ky + slope[1] * kx) / edge if any(slope) else np.ones_like(square)
    source = lean * (square <= edge**2)
    axial = np.sqrt(np.maximum((optics.index / optics.wavelength) ** 2 - square, 0))
    depths = fft.fftfreq(nz, 1 / nz) * grid.spacing[0]
    keep_y = fft.fftfreq(ny, 1 / ny).astype(int)
    keep_x = fft.fftfreq(nx, 1 / nx).astype(int)
    kernel = np.empty((nz, ny, nx), np.complex64)
    bright = np.sum((square <= edge**2) & pupil)
    for plane, depth in enumerate(depths):
        wave = np.exp(2j * np.pi * axial * depth).astype(np.complex64)
        product = np.conj(fft.ifft2(source * wave)) * fft.ifft2(pupil * wave)
        spectrum = fft.fft2(product)[np.ix_(keep_y, keep_x)]
        kernel[plane] = spectrum * (square.size / bright)
    return kernel


def _to_transfer(kernel: Array, part: Literal["real", "imag"]) -> Array:
    """Return the real-FFT transfer function of the kernel's real or imaginary part."""
    space = fft.ifft2(kernel, axes=(1, 2))
    return np.asarray(fft.rfftn(np.ascontiguousarray(getattr(space, part))), np.complex64)


@lru_cache(maxsize=2)
def transmission_transfer(grid: Grid, optics: Optics) -> Array:
    """Return the phase in radians that a transmission microscope sees per unit of index.

    An interference microscope measures the phase of the field itself: H = transform of Re a,
    times 2π Δz/λ, the phase that a unit of index adds in one plane.
    """
    phase = 2 * np.pi * grid.spacing[0] / optics.wavelength
    return phase * _to_transfer(_kernel(grid, optics, (0, 0)), "real")


@lru_cache(maxsize=2)
def oblique_transfer(grid: Grid, optics: Optics) -> tuple[Array, Array]:
    """Return the differential contrast per unit of index along y and along x.

    Oblique back-illumination takes two images lit from opposite sides and divides their difference
    by their sum (Ledwig & Robles, Biomed. Opt. Express 10, 3605 (2019)); for a pure phase object
    H = transform of −2 Im a with the difference of both sources in place of S.
    """
    phase = 2 * np.pi * grid.spacing[0] / optics.wavelength
    along_y = _to_transfer(_kernel(grid, optics, (1, 0)), "imag")
    along_x = _to_transfer(_kernel(grid, optics, (0, 1)), "imag")
    return -2 * phase * along_y, -2 * phase * along_x
