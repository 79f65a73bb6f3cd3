"""Three-dimensional transfer functions for phase: weak objects, partially coherent light.

For a source S and a pupil P, functions of the transverse frequency s, a weak phase object is seen
through the kernel a(r) = conj(s̃(r)) p̃(r) with s̃, p̃ the inverse Fourier transforms over s of
S(s) exp(2πi γ(s) z) and P(s) exp(2πi γ(s) z), γ(s) = √((n/λ)² − s²) (Streibl, J. Opt. Soc. Am. A
2, 121 (1985)). Its transform is the integral over all pairs of source point and pupil point, which
leaves the missing cone around the axial frequencies empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from scipy import fft

from ..events import UserError
from .grid import Array, Grid

Modality = Literal["qobm", "transmission"]


@dataclass(frozen=True)
class Optics:
    """A phase microscope.

    Parameters
    ----------
    wavelength : float
        In vacuum, µm.
    numerical_aperture : float
        Of the objective.
    illumination_aperture : float
        Numerical aperture that the illumination fills.
    index : float
        Refractive index of the medium.
    regularisation : float
        Tikhonov parameter of the deconvolution, relative to the largest |H|².
    """

    wavelength: float
    numerical_aperture: float
    illumination_aperture: float
    index: float = 1.335
    regularisation: float = 0.01


OPTICS: dict[Modality, Optics] = {
    "qobm": Optics(0.72, 0.7, 0.7),
    "transmission": Optics(0.56, 0.75, 0.45),
}


def find_modality(name: str | None) -> Modality:
    """Return the modality of this name; without one, "qobm".

    Raises
    ------
    UserError
        If there is none of this name.
    """
    known: Modality
    for known in get_args(Modality):
        if known == (name or "qobm"):
            return known
    raise UserError(f"There is no modality {name!r}: choose {', '.join(OPTICS)}.")


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


def deconvolution(transfers: tuple[Array, ...], regularisation: float) -> tuple[Array, ...]:
    """Return the Tikhonov filters conj(H_j) / (Σ|H|² + α max Σ|H|²)."""
    power = np.asarray(sum(np.abs(h) ** 2 for h in transfers))
    power += regularisation * power.max()
    return tuple(np.conj(h) / power for h in transfers)
