"""DAPI: dye, point spread function, attenuation with depth, photons and camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from .cells import Body, Tissue
from .difficulty import Difficulty
from .grid import Array, Grid

OFFSET = 100.0  # counts of a dark camera
GAIN = 4.0  # counts per photon
READ_NOISE = 1.5  # photons
BACKGROUND = 3.0  # photons per voxel from nowhere in particular
CORE = (0.65, 0.22, 0.22)  # sigma (z, y, x) in µm of the point spread function's core
HALO = (3.0, 1.5, 1.5)  # sigma in µm of the light that comes from out of focus
HALO_SHARE = 0.12


@dataclass(frozen=True)
class Dye:
    """How the dye spreads, and how sharply it is seen.

    Parameters
    ----------
    texture : float
        Relative standard deviation of the dye inside a nucleus.
    nucleoli : float
        Share of the dye that is missing in nucleoli.
    cytoplasm : float
        Dye outside nuclei, relative to the median nucleus.
    core, halo : tuple of float
        Sigma (z, y, x) in µm of the two parts of the point spread function.
    """

    texture: float = 0.25
    nucleoli: float = 0.55
    cytoplasm: float = 0.02
    core: tuple[float, float, float] = CORE
    halo: tuple[float, float, float] = HALO


PLAIN_DYE = Dye()


def expected_photons(
    tissue: Tissue,
    bodies: list[Body],
    nucleoli: Array,
    chromatin: Array,
    grid: Grid,
    preset: Difficulty,
    stain: Dye = PLAIN_DYE,
) -> Array:
    """Return the mean number of DAPI photons per voxel (float32)."""
    brightness = np.array([0.0] + [b.brightness for b in bodies], np.float32)[tissue.body]
    dye = tissue.inside() * brightness
    dye *= np.maximum(1 + np.float32(stain.texture) * chromatin, np.float32(0.2))
    dye *= 1 - np.float32(stain.nucleoli) * nucleoli
    dye += np.float32(stain.cytoplasm) * tissue.in_cell()
    core, halo = grid.gaussian(stain.core), grid.gaussian(stain.halo)
    otf = (1 - HALO_SHARE) * core + HALO_SHARE * halo
    image = np.maximum(fft.irfftn(fft.rfftn(dye) * otf.astype(np.float32), grid.shape), 0)
    depth = np.maximum(grid.positions(0), 0)[:, None, None]
    seen = np.exp(-depth / np.float32(preset.dapi_length)) * np.float32(preset.dapi_photons)
    return np.asarray(image * seen + np.float32(BACKGROUND), np.float32)


def exposure(photons: Array, rng: np.random.Generator) -> Array:
    """Return what the camera counts in one exposure (uint16)."""
    counts = rng.poisson(photons) + READ_NOISE * rng.standard_normal(photons.shape, np.float32)
    return np.clip(np.rint(counts * GAIN + OFFSET), 0, 65535).astype(np.uint16)
