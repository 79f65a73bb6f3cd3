"""Microscopes that see phase: weak objects, partially coherent light.

For a source S and a pupil P, functions of the transverse frequency s, the image of a weak object
v = φ + i·(absorption) is I/I₀ − 1 = 2 Re(i a ⊛ v) with the kernel a(r) = conj(s̃(r)) p̃(r), where
s̃ and p̃ are the inverse Fourier transforms over s of S(s) P(s) exp(2πi γ(s) z) and
P(s) exp(2πi γ(s) z), γ(s) = √((n/λ)² − s²) (Streibl, J. Opt. Soc. Am. A 2, 121 (1985)). Its
transform is the integral over all pairs of source point and pupil point, which leaves the missing
cone around the axial frequencies empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Modality = Literal["qobm", "transmission", "brightfield", "zernike", "dic", "odt"]


@dataclass(frozen=True)
class Optics:
    """A microscope that sees phase; each modality uses the settings that it has.

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
        Tikhonov parameter of a deconvolution, relative to the largest |H|² (`odt`: the median).
    illumination_inner : float
        Numerical aperture inside which the illumination is dark: an annulus.
    ring : tuple of float
        Inner and outer numerical aperture of the phase ring in the pupil; holds the annulus.
    ring_transmittance : float
        Share of the light's intensity that the ring passes.
    polarity : int
        1, or −1 where the contrast is inverted: a ring that delays, planes taken the other way.
    shear : tuple of float
        Distance (y, x) in µm of the two images of a differential interference contrast.
    bias : float
        Retardation in rad between these two images.
    oblique : tuple of float
        How far the illumination leans along (y, x): 0 is even, 1 dark on one side.
    spherical : float
        Spherical aberration in waves at the edge of the pupil.
    absorption : float
        Imaginary part of the index contrast per unit of its real part.
    sampling : {"radial", "grid"}
        How the integral is computed: see `radial_transfer` and `sampled_transfer`.
    """

    wavelength: float
    numerical_aperture: float
    illumination_aperture: float
    index: float = 1.335
    regularisation: float = 0.01
    illumination_inner: float = 0.0
    ring: tuple[float, float] = (0.0, 0.0)
    ring_transmittance: float = 1.0
    polarity: int = 1
    shear: tuple[float, float] = (0.0, 0.0)
    bias: float = 1.5707964
    oblique: tuple[float, float] = (0.0, 0.0)
    spherical: float = 0.0
    absorption: float = 0.0
    sampling: Literal["radial", "grid"] = "radial"
