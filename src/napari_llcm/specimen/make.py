"""A specimen with known truth: cells, refractive index, phase stack, DAPI and labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..events import UserError
from ..volumes import Spacing, Volume
from ..volumes.units import checked_spacing
from .artefacts import Artefacts
from .cells import WITH_DNA, Body, Tissue, add_bodies, empty_tissue, pack
from .difficulty import DifficultyName, find_difficulty
from .fluorescence import BACKGROUND, expected_photons, exposure
from .grid import Array, Box, Grid
from .index import MEDIUM, draw_nucleoli, refractive_index
from .modalities import MODALITIES, find_modality, label_free_image
from .optics import Modality
from .truth import Specimen, table_of_nuclei

Size = tuple[int, int, int]
TISSUE_AROUND = (6.4, 8.0, 8.0)  # µm of tissue simulated outside the field of view


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
    difficulty : {"easy", "medium", "hard", "varied"}
        How weak the contrast, how crowded the nuclei, how strong the noise.
    spacing : tuple of float
        Voxel size (z, y, x) in µm.
    modality : {"qobm", "transmission", "brightfield", "zernike", "dic", "odt"}, optional
        The microscope; without one, oblique back-illumination (qobm).

    Raises
    ------
    UserError
        If the difficulty or the modality is unknown, or size, spacing or seed cannot be.
    """
    preset = find_difficulty(difficulty, seed)
    modality = find_modality(modality)
    spacing = check_request(size, spacing, seed)
    rng = np.random.default_rng(seed)
    grid = Grid.around(size, spacing, TISSUE_AROUND)
    field = grid.field(size)
    extent = tuple(n * s for n, s in zip(size, spacing, strict=True))
    bodies = pack((extent[0], extent[1], extent[2]), grid, preset, rng)
    tissue = empty_tissue(grid)
    add_bodies(tissue, bodies, grid)
    nucleoli = draw_nucleoli(bodies, grid, rng)
    chromatin = grid.texture(rng, 0.45)
    index = refractive_index(tissue, bodies, nucleoli, chromatin, grid, preset, rng)
    microscope = MODALITIES[modality]
    artefacts = Artefacts.of(preset)
    image = label_free_image(index, MEDIUM, grid, modality, microscope.optics, artefacts, rng)[
        field
    ]
    photons = expected_photons(tissue, bodies, nucleoli, chromatin, grid, preset)[field]
    labels, present = label_nuclei(tissue, bodies, field)
    made = {
        "simulated": True,
        "seed": seed,
        "difficulty": difficulty,
        "modality": modality,
        "optics": vars(microscope.optics),
    }
    return Specimen(
        qpi=specimen_volume("QPI", image, spacing, made, microscope.unit),
        dapi=specimen_volume("DAPI", exposure(photons, rng), spacing, made, "counts"),
        labels=specimen_volume("nuclei", labels, spacing, made, "label"),
        refractive_index=specimen_volume(
            "refractive index", index[field], spacing, made, "refractive index"
        ),
        photons=specimen_volume("DAPI photons", photons, spacing, made, "photons"),
        nuclei=table_of_nuclei(labels, present, photons, BACKGROUND, spacing),
    )


def specimen_volume(
    name: str, data: Array, spacing: Spacing, made: dict[str, Any], unit: str
) -> Volume:
    """Return one volume of a specimen, with the record of how it was `made` and its unit."""
    return Volume(np.ascontiguousarray(data), spacing, name=name, metadata={**made, "unit": unit})


def second_exposure(specimen: Specimen, seed: int = 1) -> Volume:
    """Return another exposure of the same DAPI: what a segmenter can at best agree with.

    Raises
    ------
    UserError
        If the specimen is semi-synthetic: nobody knows its DAPI without noise.
    """
    if specimen.photons is None:
        raise UserError("A semi-synthetic specimen has one real exposure and no second one.")
    rng = np.random.default_rng([seed, int(specimen.dapi.metadata["seed"]), 0xDA91])
    return specimen.dapi.replace(data=exposure(specimen.photons.numpy(), rng), name="DAPI again")


def label_nuclei(tissue: Tissue, bodies: list[Body], field: Box) -> tuple[Array, list[Body]]:
    """Return the labels of the bodies with DNA in the field, and these bodies."""
    has_dna = np.array([False] + [b.kind in WITH_DNA for b in bodies])
    body = np.where((tissue.level < 0) & has_dna[tissue.body], tissue.body, 0)[field]
    present = np.unique(body[body > 0])
    number = np.zeros(len(bodies) + 1, np.uint16 if len(present) < 2**16 else np.uint32)
    number[present] = np.arange(1, len(present) + 1)
    return number[body], [bodies[i - 1] for i in present]


def check_request(size: Size, spacing: Spacing, seed: int) -> Spacing:
    """Return the spacing if a specimen of this size, spacing and seed can be made.

    Raises
    ------
    UserError
        If not.
    """
    if len(size) != 3 or min(size) < 8:
        raise UserError(f"A specimen needs three sizes of at least 8 voxels (z, y, x), not {size}.")
    if seed < 0:
        raise UserError(f"The seed must be 0 or more, not {seed}.")
    return checked_spacing(spacing, "A specimen")
