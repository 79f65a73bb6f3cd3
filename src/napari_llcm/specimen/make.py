"""A specimen with known truth: cells, refractive index, phase stack, DAPI and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
from scipy import ndimage

from ..events import UserError
from ..volumes import Spacing, Volume
from .cells import WITH_DNA, Body, Tissue, pack, rasterise
from .difficulty import DifficultyName, find_difficulty
from .fluorescence import BACKGROUND, expected_photons, exposure
from .grid import Array, Grid
from .index import MEDIUM, draw_nucleoli, refractive_index
from .optics import OPTICS, Modality
from .phase import UNITS, phase_image

Size = tuple[int, int, int]
TISSUE_AROUND = (6.4, 8.0, 8.0)  # µm of tissue simulated outside the field of view


@dataclass(frozen=True)
class Nucleus:
    """The truth about one nucleus.

    Parameters
    ----------
    id : int
        Its value in the labels.
    kind : str
        "interphase", "mitotic" or "apoptotic".
    centre : tuple of float
        Centroid (z, y, x) in µm of the part in the field of view.
    volume : float
        Volume in µm³ of that part.
    depth : float
        Depth of the centroid below the surface in µm.
    brightness : float
        Dye relative to the median nucleus.
    contrast : float
        Refractive index against the cytoplasm.
    photons : float
        Mean number of DAPI photons per voxel above the background.
    """

    id: int
    kind: str
    centre: tuple[float, float, float]
    volume: float
    depth: float
    brightness: float
    contrast: float
    photons: float


@dataclass(frozen=True)
class Specimen:
    """A phase stack, its DAPI, and the truth behind both.

    Parameters
    ----------
    qpi : Volume
        Phase stack, float32; its unit is in `metadata["unit"]`.
    dapi : Volume
        One exposure, uint16 counts.
    labels : Volume
        Nuclei, uint16, 0 outside.
    refractive_index : Volume
        float32.
    photons : Volume
        Mean number of DAPI photons per voxel, float32: the image without noise.
    nuclei : tuple of Nucleus
        The truth table.
    """

    qpi: Volume
    dapi: Volume
    labels: Volume
    refractive_index: Volume
    photons: Volume
    nuclei: tuple[Nucleus, ...]


def make_specimen(
    size: Size = (48, 192, 192),
    seed: int = 0,
    difficulty: DifficultyName = "medium",
    spacing: Spacing = (0.8, 0.5, 0.5),
    modality: Modality | None = None,
) -> Specimen:
    """Return a simulated specimen; the same arguments give the same bytes.

    Parameters
    ----------
    size : tuple of int
        Voxels (z, y, x).
    seed : int
        Chooses the specimen.
    difficulty : {"easy", "medium", "hard"}
        How weak the contrast, how crowded the nuclei, how strong the noise.
    spacing : tuple of float
        Voxel size (z, y, x) in µm.
    modality : {"qobm", "transmission"}, optional
        The phase microscope: oblique back-illumination (the default) or transmission.

    Raises
    ------
    UserError
        If the difficulty or the modality is unknown, or the size is too small.
    """
    preset = find_difficulty(difficulty)
    modality = _known(modality or "qobm")
    check_size(size)
    rng = np.random.default_rng(seed)
    grid = Grid.around(size, spacing, TISSUE_AROUND)
    field = grid.field(size)
    extent = tuple(n * s for n, s in zip(size, spacing, strict=True))
    bodies = pack((extent[0], extent[1], extent[2]), grid, preset, rng)
    tissue = rasterise(bodies, grid)
    nucleoli, _ = draw_nucleoli(bodies, grid, rng)
    chromatin = grid.texture(rng, 0.45)
    index = refractive_index(tissue, bodies, nucleoli, chromatin, grid, preset, rng)
    phase = phase_image(index, MEDIUM, grid, modality, preset, rng)[field]
    photons = expected_photons(tissue, bodies, nucleoli, chromatin, grid, preset)[field]
    labels, nuclei = label_nuclei(tissue, bodies, field, photons, spacing)
    made = {
        "simulated": True,
        "seed": seed,
        "difficulty": difficulty,
        "modality": modality,
        "optics": vars(OPTICS[modality]),
    }

    def volume(name: str, data: Array, unit: str) -> Volume:
        return Volume(
            np.ascontiguousarray(data), spacing, name=name, metadata={**made, "unit": unit}
        )

    return Specimen(
        qpi=volume("QPI", phase, UNITS[modality]),
        dapi=volume("DAPI", exposure(photons, rng), "counts"),
        labels=volume("nuclei", labels, "label"),
        refractive_index=volume("refractive index", index[field], "refractive index"),
        photons=volume("DAPI photons", photons, "photons"),
        nuclei=nuclei,
    )


def second_exposure(specimen: Specimen, seed: int = 1) -> Volume:
    """Return another exposure of the same DAPI: what a segmenter can at best agree with."""
    rng = np.random.default_rng([seed, int(specimen.dapi.metadata["seed"]), 0xDA91])
    return specimen.dapi.replace(data=exposure(specimen.photons.numpy(), rng), name="DAPI again")


def label_nuclei(
    tissue: Tissue,
    bodies: list[Body],
    field: tuple[slice, slice, slice],
    photons: Array,
    spacing: Spacing,
) -> tuple[Array, tuple[Nucleus, ...]]:
    """Return the labels (uint16) of the bodies with DNA in the field, and their truth table."""
    has_dna = np.array([False] + [b.kind in WITH_DNA for b in bodies])
    body = np.where((tissue.level < 0) & has_dna[tissue.body], tissue.body, 0)[field]
    present, sizes = np.unique(body[body > 0], return_counts=True)
    translation = np.zeros(len(bodies) + 1, np.uint16)
    translation[present] = np.arange(1, len(present) + 1)
    labels = translation[body]
    ids = np.arange(1, len(present) + 1)
    centres = ndimage.center_of_mass(labels > 0, labels, ids)
    light = ndimage.mean(photons, labels, ids)
    voxel = float(np.prod(spacing))
    nuclei = []
    for number, one, count, centre, mean in zip(ids, present, sizes, centres, light, strict=True):
        z, y, x = ((c + 0.5) * s for c, s in zip(centre, spacing, strict=True))
        nuclei.append(
            Nucleus(
                id=int(number),
                kind=bodies[one - 1].kind,
                centre=(z, y, x),
                volume=float(count * voxel),
                depth=z,
                brightness=bodies[one - 1].brightness,
                contrast=bodies[one - 1].contrast,
                photons=float(mean - BACKGROUND),
            )
        )
    return labels, tuple(nuclei)


def check_size(size: Size) -> None:
    """Raise a UserError unless the size is one of a volume that can hold a nucleus."""
    if len(size) != 3 or min(size) < 8:
        raise UserError(f"A specimen needs three sizes of at least 8 voxels (z, y, x), not {size}.")


def _known(modality: str) -> Modality:
    for known in get_args(Modality):
        if known == modality:
            return known  # type: ignore[no-any-return]
    raise UserError(f"There is no modality {modality!r}: choose qobm or transmission.")
