"""The microscopes that can image a refractive index: their unit, their optics, what they record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import numpy as np
from scipy import fft

from ..events import UserError
from . import draws
from .artefacts import Artefacts, Camera
from .grid import Array, Grid
from .optics import Modality, Optics
from .transfer import (
    deconvolution,
    intensity_transfer,
    oblique_transfer,
    tomographic_transfer,
    transmission_transfer,
)

Image = Callable[[Array, Grid, Optics, Camera], Array]


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
    image: Image
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


def _intensity(strong: Callable[[Array, Optics], Array]) -> Image:
    """Return what images intensity; `strong` turns the contrast of a weak object into I/I₀."""

    def image(spectrum: Array, grid: Grid, optics: Optics, camera: Camera) -> Array:
        contrast = fft.irfftn(spectrum * intensity_transfer(grid, optics), grid.shape)
        return camera.flicker(camera.expose_light(strong(contrast, optics)))

    return image


def _rytov(contrast: Array, _: Optics) -> Array:
    """Return exp(2 Re u) where it is dark, so that nothing is darker than dark."""
    return np.where(contrast < 0, np.exp(np.minimum(contrast, 0)), 1 + contrast)


def _through_ring(contrast: Array, optics: Optics) -> Array:
    """Return |1 + i(exp(iψ) − 1)/√T|² for light of phase ψ against its surroundings (Zernike).

    ψ is the arctangent of what a weak object has, since the light of a thick one is spread.
    """
    amplitude = np.float32(np.sqrt(optics.ring_transmittance))
    phase = np.arctan(contrast * amplitude / 2)
    return (1 + np.sin(phase) / amplitude) ** 2 + ((1 - np.cos(phase)) / amplitude) ** 2


def _of_two_beams(contrast: Array, optics: Optics) -> Array:
    """Return sin²((θ + δ)/2) / sin²(θ/2) for beams with a retardation θ that differ in phase by δ.

    δ is the arctangent of what a weak object has.
    """
    half = np.float32(optics.bias / 2)
    return (np.sin(half + np.arctan(contrast * np.tan(half)) / 2) / np.sin(half)) ** 2


def _tomogram(spectrum: Array, grid: Grid, optics: Optics, camera: Camera) -> Array:
    """Return the index from fields lit from all sides: whole but for the missing cone.

    The fields of all directions cover as much as partially coherent light does (Wolf, Opt. Commun.
    1, 153 (1969)); their sum is weighted back to 1 wherever there is light.
    """
    transfer = tomographic_transfer(grid, optics)
    power = transfer**2
    reference = float(np.median(power[power > 1e-9 * power.max()]))  # where light is
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
        _intensity(_rytov),
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
        _intensity(_through_ring),
        transfer=intensity_transfer,
    ),
    "dic": Microscope(
        "share of the light",
        Optics(0.55, 0.75, 0.5, shear=(0.2, 0.2)),
        draws.dic,
        _intensity(_of_two_beams),
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
    """Return the mean |I/I₀ − 1| of a weak object; 0 where intensity is not what is seen."""
    transfer = MODALITIES[modality].transfer
    if transfer is None:
        return 0.0
    spectrum = fft.rfftn(index) * transfer(grid, optics)
    spectrum[0, 0, 0] = 0
    return float(np.abs(fft.irfftn(spectrum, grid.shape)).mean())


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
