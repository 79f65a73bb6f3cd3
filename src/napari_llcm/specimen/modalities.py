"""The microscopes that can image a refractive index: unit, optics, transfer functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import numpy as np
from scipy import fft

from ..events import UserError
from . import draws, sampled_transfer
from .artefacts import Artefacts, Camera
from .grid import Array, Grid
from .optics import Modality, Optics
from .radial_transfer import even_and_odd, expand, kernel_table, transverse_frequencies


@dataclass(frozen=True)
class Microscope:
    """How one modality images.

    Parameters
    ----------
    unit : str
        Of the stack.
    optics : Optics
        Of a microscope of this modality that nothing else is known of.
    draw : callable
        Returns optics as real microscopes have them.
    image : callable
        Returns the stack of the index contrast, whose real FFT it is given.
    from_medium : bool
        Whether the stack is a refractive index: counted from that of the medium.
    transfer : callable, optional
        Of the intensity, where that is what is seen: strong objects saturate it.
    """

    unit: str
    optics: Optics
    draw: Callable[[np.random.Generator], Optics]
    image: Callable[[Array, Grid, Optics, Camera], Array]
    from_medium: bool = False
    transfer: Callable[[Grid, Optics], Array] | None = None


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
    raise UserError(f"There is no modality {name!r}: choose {', '.join(MODALITIES)}.")


def draw_optics(modality: Modality, rng: np.random.Generator) -> Optics:
    """Return a microscope of this modality, with apertures and contrast as real ones have them."""
    return MODALITIES[modality].draw(rng)


def phase_per_plane(grid: Grid, optics: Optics) -> float:
    """Return the phase in rad that a unit of index adds in one plane."""
    return 2 * np.pi * grid.spacing[0] / optics.wavelength


@lru_cache(maxsize=2)
def transmission_transfer(grid: Grid, optics: Optics) -> Array:
    """Return the phase in radians that a transmission microscope sees per unit of index.

    An interference microscope measures the phase of the field itself: H = transform of Re a,
    times 2π Δz/λ, the phase that a unit of index adds in one plane.
    """
    if optics.sampling == "grid":
        return sampled_transfer.transmission_transfer(grid, optics)
    even, _ = even_and_odd(kernel_table(grid, optics))
    return expand(
        even * np.float32(optics.polarity * phase_per_plane(grid, optics) / 2), grid, optics
    )


@lru_cache(maxsize=2)
def oblique_transfer(grid: Grid, optics: Optics) -> tuple[Array, Array]:
    """Return the differential contrast per unit of index along y and along x.

    Oblique back-illumination takes two images lit from opposite sides and divides their difference
    by their sum (Ledwig & Robles, Biomed. Opt. Express 10, 3605 (2019)); for a pure phase object
    H = transform of −2 Im a with the difference of both sources in place of S.
    """
    if optics.sampling == "grid":
        return sampled_transfer.oblique_transfer(grid, optics)
    even, _ = even_and_odd(kernel_table(grid, optics, lean=True))
    transfer = expand(even * np.float32(phase_per_plane(grid, optics)), grid, optics)
    ky, kx = transverse_frequencies(grid)
    radius = np.maximum(np.hypot(ky, kx), np.float32(1e-9))
    return 1j * transfer * (ky / radius), 1j * transfer * (kx / radius)


@lru_cache(maxsize=2)
def intensity_transfer(grid: Grid, optics: Optics) -> Array:
    """Return the contrast I/I₀ − 1 of brightfield, phase contrast or DIC per unit of index.

    H(k) = i β B(k) + conj(i β B(−k)) with β = 1 + i·absorption. Brightfield: B = A, whose part
    odd in kz is all that pure phase leaves, so contrast flips with defocus. A phase ring of
    amplitude √T that advances the direct light by π/2: B = A_ring + (i/√T) A_open, with the pupil
    inside and outside the ring (Zernike, Physica 9, 686 (1942)). DIC: two images
    at ±d/2 with the retardation θ between them: B = A sin(θ/2 − π k⊥·d) / sin(θ/2) (Preza, Snyder
    & Conchello, J. Opt. Soc. Am. A 16, 2185 (1999), here with the condenser's prism).
    """
    table = kernel_table(grid, optics).astype(np.complex64)
    if optics.ring[1] > 0:
        in_ring = kernel_table(grid, optics, optics.ring)
        delay = optics.polarity / np.sqrt(optics.ring_transmittance)
        table = in_ring + np.complex64(1j * delay) * (table - in_ring)
    elif optics.polarity < 0:
        table = np.roll(table[:, ::-1], 1, axis=1)
    table = table * np.complex64(phase_per_plane(grid, optics) * 1j * (1 + 1j * optics.absorption))
    mirrored = np.conj(np.roll(table[:, ::-1], 1, axis=1))
    if not any(optics.shear):
        return expand(table + mirrored, grid, optics)
    even, odd = expand(table + mirrored, grid, optics), expand(table - mirrored, grid, optics)
    ky, kx = transverse_frequencies(grid)
    turn = np.float32(np.pi) * (ky * optics.shear[0] + kx * optics.shear[1])
    return np.asarray(even * np.cos(turn) - odd * (np.sin(turn) / np.tan(optics.bias / 2)))


def deconvolution(
    transfers: tuple[Array, ...], regularisation: float, reference: float | None = None
) -> tuple[Array, ...]:
    """Return the Tikhonov filters conj(H_j) / (Σ|H|² + α r), with r = max Σ|H|² if not given."""
    power = np.asarray(sum(np.abs(h) ** 2 for h in transfers))
    power += regularisation * (power.max() if reference is None else reference)
    return tuple(np.conj(h) / power for h in transfers)


def _phase(spectrum: Array, grid: Grid, optics: Optics, camera: Camera) -> Array:
    clean = fft.irfftn(spectrum * transmission_transfer(grid, optics), grid.shape)
    return camera.flicker(camera.expose(clean))


def _oblique(spectrum: Array, grid: Grid, optics: Optics, camera: Camera) -> Array:
    transfers = oblique_transfer(grid, optics)
    filters = deconvolution(transfers, optics.regularisation)
    result = np.zeros_like(spectrum)
    for transfer, back in zip(transfers, filters, strict=True):
        seen = camera.expose(fft.irfftn(spectrum * transfer, grid.shape))
        result += back * fft.rfftn(seen)
    return camera.flicker(fft.irfftn(result, grid.shape))


def _intensity(spectrum: Array, grid: Grid, optics: Optics, camera: Camera) -> Array:
    contrast = fft.irfftn(spectrum * intensity_transfer(grid, optics), grid.shape)
    return camera.flicker(1 + camera.expose(_strong(contrast, optics) - 1))


def _strong(contrast: Array, optics: Optics) -> Array:
    """Return the intensity of objects that are not weak; 1 + contrast where they are.

    Without a ring exp(2 Re u), the Rytov form, which keeps thick objects from being darker than
    dark. Through a ring, light of phase ψ against its surroundings gives |1 + i(exp(iψ) − 1)/√T|²
    (Zernike); ψ = atan of what the weak object has, since the light of thick ones is spread.
    """
    if not optics.ring[1]:
        return np.exp(np.minimum(contrast, np.float32(3)))
    amplitude = np.float32(np.sqrt(optics.ring_transmittance))
    phase = np.arctan(contrast * amplitude / 2)
    return (1 + np.sin(phase) / amplitude) ** 2 + ((1 - np.cos(phase)) / amplitude) ** 2


def _tomogram(spectrum: Array, grid: Grid, optics: Optics, camera: Camera) -> Array:
    """Return the index from fields lit from all sides: whole but for the missing cone.

    The fields of all directions cover as much as partially coherent light does (Wolf, Opt. Commun.
    1, 153 (1969)); their sum is weighted back to 1 wherever there is light.
    """
    even, _ = even_and_odd(kernel_table(grid, optics, finer=1))
    transfer = expand(even * np.float32(phase_per_plane(grid, optics) / 2), grid, optics)
    power = transfer**2
    reference = float(np.median(power[power > 1e-4 * power.max()]))
    (back,) = deconvolution((transfer,), optics.regularisation, reference)
    seen = camera.expose(fft.irfftn(spectrum * transfer, grid.shape))
    return camera.flicker(fft.irfftn(fft.rfftn(seen) * back, grid.shape))


MODALITIES: dict[Modality, Microscope] = {
    "qobm": Microscope(
        "refractive index contrast",
        Optics(0.72, 0.7, 0.7, sampling="grid"),
        draws.qobm,
        _oblique,
    ),
    "transmission": Microscope(
        "rad", Optics(0.56, 0.75, 0.45, sampling="grid"), draws.transmission, _phase
    ),
    "brightfield": Microscope(
        "share of the light",
        Optics(0.55, 0.6, 0.25, absorption=0.02),
        draws.brightfield,
        _intensity,
        transfer=intensity_transfer,
    ),
    "zernike": Microscope(
        "share of the light",
        Optics(
            *(0.55, 0.5, 0.22),
            illumination_inner=0.18,
            ring=(0.17, 0.23),
            ring_transmittance=0.25,
        ),
        draws.zernike,
        _intensity,
        transfer=intensity_transfer,
    ),
    "dic": Microscope(
        "share of the light",
        Optics(0.55, 0.75, 0.5, shear=(0.2, 0.2)),
        draws.dic,
        _intensity,
        transfer=intensity_transfer,
    ),
    "odt": Microscope(
        "refractive index",
        Optics(0.53, 0.9, 0.8, regularisation=0.05),
        draws.odt,
        _tomogram,
        from_medium=True,
    ),
}


def intensity_contrast(index: Array, grid: Grid, modality: Modality, optics: Optics) -> float:
    """Return the standard deviation of I/I₀ of a weak object; 0 where intensity is not seen."""
    transfer = MODALITIES[modality].transfer
    if transfer is None:
        return 0.0
    power = np.abs(fft.rfftn(index) * transfer(grid, optics)) ** 2
    power[0, 0, 0] = 0
    # the half of the spectrum that a real FFT leaves out is the mirrored one (Parseval)
    total = 2 * power.sum(dtype=float) - power[..., 0].sum(dtype=float)
    return float(np.sqrt(total) / index.size)


def label_free_image(
    index: Array,
    medium: float,
    grid: Grid,
    modality: Modality,
    optics: Optics,
    artefacts: Artefacts,
    rng: np.random.Generator,
) -> Array:
    """Return the label-free stack of a refractive index on the grid.

    Parameters
    ----------
    index : ndarray
        Refractive index (z, y, x).
    medium : float
        That of the medium.
    grid : Grid
        The voxels.
    modality : {"qobm", "transmission", "brightfield", "zernike", "dic", "odt"}
        Kind of microscope; its unit is in `MODALITIES`.
    optics : Optics
        The microscope.
    artefacts : Artefacts
        Noise and whatever else is in the way.
    rng : Generator
        Source of chance.

    Returns
    -------
    ndarray
        float32, in the unit of the modality.
    """
    microscope = MODALITIES[modality]
    camera = Camera(grid, artefacts, rng)
    spectrum = fft.rfftn(index - np.float32(medium))
    stack = microscope.image(spectrum, grid, optics, camera)
    return stack + np.float32(medium) if microscope.from_medium else stack
