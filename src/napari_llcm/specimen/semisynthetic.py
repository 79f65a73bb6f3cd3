"""A semi-synthetic specimen: the DAPI is real, the label-free side is simulated around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from ..events import UserError
from ..volumes import Spacing, Volume, check_stack, labels_of, on_one_grid, with_nan
from .artefacts import Artefacts
from .cells import Body, Kind, Tissue, add_bodies, draw_body, empty_tissue
from .difficulty import Difficulty, DifficultyName, find_difficulty
from .grid import Array, Grid
from .index import MEDIUM, refractive_index
from .make import TISSUE_AROUND, specimen_volume
from .modalities import MODALITIES, find_modality, label_free_image
from .optics import Modality
from .truth import Specimen, table_of_nuclei


def specimen_from_dapi(
    dapi: Volume,
    labels: Volume | None = None,
    seed: int = 0,
    difficulty: DifficultyName = "medium",
    modality: Modality | None = None,
) -> Specimen:
    """Return a specimen around real nuclei; its phase stack is simulated, its DAPI is not.

    The refractive index follows the real nuclei: their shapes, the texture of their dye, and
    nucleoli where the dye is dark. Beyond the field the tissue is mirrored. Every name and record
    says that the result is semi-synthetic.

    Parameters
    ----------
    dapi : Volume
        Real DAPI, axes "zyx", with spacing.
    labels : Volume, optional
        Its nuclei, 0 outside; without them a threshold and a watershed find them.
    seed : int
        Chooses what is simulated.
    difficulty : {"easy", "medium", "hard", "varied"}
        Contrast, look-alikes and noise of the phase stack.
    modality : {"qobm", "transmission", "brightfield", "zernike", "dic", "odt"}, optional
        The microscope; without one, oblique back-illumination (qobm).

    Raises
    ------
    UserError
        If the DAPI is no stack, has no spacing, does not fit its labels, or shows no nuclei.
    """
    preset = find_difficulty(difficulty, seed)
    modality = find_modality(modality)
    no_data = check_stack(dapi)
    if labels is not None:
        dapi, labels = on_one_grid(dapi, labels_of(labels))
    if dapi.spacing is None:
        raise UserError(f"{dapi.name} has no spacing: give its voxel size with --spacing Z,Y,X.")
    image = with_nan(dapi.data, no_data)
    image = np.where(np.isnan(image), np.float32(np.nanmedian(image)), image)
    nuclei = _numbered(labels.numpy()) if labels is not None else find_nuclei(image, dapi.spacing)
    if nuclei.max() == 0 and labels is not None:
        raise UserError(f"{labels.name} has no nuclei: give labels of those in {dapi.name}.")
    if nuclei.max() == 0:
        raise UserError(f"No nucleus was found in {dapi.name}: give its labels with --labels.")
    rng = np.random.default_rng(seed)
    size = (image.shape[0], image.shape[1], image.shape[2])
    grid = Grid.around(size, dapi.spacing, TISSUE_AROUND)
    field = grid.field(size)
    beyond = [(m, n - s - m) for m, n, s in zip(grid.margin, grid.shape, size, strict=True)]
    background = float(np.median(image[nuclei == 0])) if np.any(nuclei == 0) else 0.0
    bodies = _bodies(nuclei, image - background, dapi.spacing, preset, rng)
    wide_labels = np.pad(nuclei, beyond, mode="symmetric")
    wide_image = np.pad(image - background, beyond, mode="symmetric")
    tissue = _tissue(wide_labels, bodies, grid, rng)
    chromatin, nucleoli = _dye_texture(wide_image, tissue, len(bodies), grid)
    extra = _look_alikes(tissue, len(bodies), grid, preset, rng)
    add_bodies(tissue, extra, grid, first=len(bodies) + 1)
    everything = [*bodies, *extra]
    index = refractive_index(tissue, everything, nucleoli, chromatin, grid, preset, rng)
    microscope = MODALITIES[modality]
    artefacts = Artefacts.of(preset)
    phase = label_free_image(index, MEDIUM, grid, modality, microscope.optics, artefacts, rng)[
        field
    ]
    made = {
        "semi_synthetic": True,
        "dapi": dapi.source or dapi.name,
        "seed": seed,
        "difficulty": difficulty,
        "modality": modality,
        "optics": vars(microscope.optics),
    }
    spacing = dapi.spacing

    def placed(name: str, data: Array, unit: str) -> Volume:
        """Return a volume that lies where the real DAPI lies."""
        volume = specimen_volume(name, data, spacing, made, unit)
        return volume.replace(origin=dapi.origin, orientation=dapi.orientation)

    return Specimen(
        qpi=placed("semi-synthetic QPI", phase, microscope.unit),
        dapi=dapi.replace(data=dapi.numpy(), metadata={**dapi.metadata, **made, "unit": "counts"}),
        labels=placed("nuclei", nuclei, "label"),
        refractive_index=placed(
            "semi-synthetic refractive index", index[field], "refractive index"
        ),
        photons=None,
        nuclei=table_of_nuclei(nuclei, bodies, image, background, spacing),
    )


def find_nuclei(image: Array, spacing: Spacing) -> Array:
    """Return labels of bright round things: a local threshold of √DAPI, then a watershed.

    A voxel counts if it stands out from the background and has half the height of the brightest
    place within 4 µm, so that dim nuclei beside bright ones keep their own outline.

    Parameters
    ----------
    image : ndarray
        DAPI (z, y, x).
    spacing : tuple of float
        Voxel size (z, y, x) in µm.
    """
    from skimage.feature import peak_local_max
    from skimage.measure import label
    from skimage.segmentation import watershed

    sigma = [0.5 / s for s in spacing]
    smooth = np.sqrt(ndimage.gaussian_filter(image - image.min(), sigma))
    ground, top = np.percentile(smooth, [5, 99.5])
    around = ndimage.maximum_filter(smooth, [2 * round(4 / s) + 1 for s in spacing])
    mask = smooth - ground > np.maximum(0.15 * (top - ground), 0.5 * (around - ground))
    mask = ndimage.binary_opening(mask)
    if not mask.any():
        return np.zeros(image.shape, np.uint16)
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask, spacing), sigma)
    peaks = peak_local_max(
        depth, min_distance=round(2.5 / min(spacing)), labels=label(mask), exclude_border=False
    )
    seeds = np.zeros(image.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    found = watershed(-depth, seeds, mask=mask)
    large = np.bincount(found.ravel()) * np.prod(spacing) >= 30.0  # µm³
    return _numbered(found * large[found])


def _numbered(labels: Array) -> Array:
    """Return the labels renumbered from 1 without gaps (uint16 or uint32)."""
    values, number = np.unique(labels, return_inverse=True)
    number = number.reshape(labels.shape) + (0 if 0 in values else 1)
    return np.asarray(number, np.uint16 if len(values) < 2**16 else np.uint32)


def _bodies(
    labels: Array, dye: Array, spacing: Spacing, preset: Difficulty, rng: np.random.Generator
) -> list[Body]:
    """Return a body for each label: its optics are drawn, its size and brightness are real."""
    ids = np.arange(1, int(labels.max()) + 1)
    volumes = np.bincount(labels.ravel())[1:] * np.prod(spacing)
    centres = ndimage.center_of_mass(labels > 0, labels, ids)
    means = ndimage.mean(dye, labels, ids)
    middle = float(np.median(means))
    bodies = []
    for volume, centre, mean in zip(volumes, centres, means, strict=True):
        drawn = draw_body("interphase", (np.array(centre) + 0.5) * spacing, preset, rng)
        axes = np.full(3, (3 * volume / (4 * np.pi)) ** (1 / 3))
        bodies.append(replace(drawn, kind="real", semi_axes=axes, brightness=float(mean / middle)))
    return bodies


def _tissue(labels: Array, bodies: list[Body], grid: Grid, rng: np.random.Generator) -> Tissue:
    """Return a tissue whose cells are the neighbourhoods of the labels."""
    from skimage.segmentation import find_boundaries

    tissue = empty_tissue(grid)
    core = (labels > 0) & ~find_boundaries(labels, mode="inner")
    outside, nearest = ndimage.distance_transform_edt(~core, grid.spacing, return_indices=True)
    inside = ndimage.distance_transform_edt(core, grid.spacing)
    tissue.body[:] = labels[tuple(nearest)]
    tissue.level[:] = outside - inside - min(grid.spacing)  # the surface is the label's rim
    thickness = np.array([0.0] + [b.cytoplasm for b in bodies], np.float32)[tissue.body]
    tissue.cell_level[:] = tissue.level - thickness * (1 + 0.25 * grid.texture(rng, 2.5))
    contact = find_boundaries(tissue.body, mode="inner")
    tissue.junction[:] = ndimage.distance_transform_edt(~contact, grid.spacing)
    return tissue


def _dye_texture(dye: Array, tissue: Tissue, count: int, grid: Grid) -> tuple[Array, Array]:
    """Return chromatin (standard deviation 1) and nucleoli (0 to 1), as the dye shows them."""
    smooth = ndimage.gaussian_filter(dye, [0.35 / s for s in grid.spacing])
    inside = np.where(tissue.level < 0, tissue.body, 0)
    means = ndimage.mean(smooth, inside, np.arange(count + 1))
    ratio = smooth / np.maximum(means, 1e-6)[tissue.body]
    spread = float(np.std(ratio[inside > 0]))
    chromatin = np.clip((ratio - 1) / spread, -3, 3).astype(np.float32)
    nucleoli = np.clip((0.75 - ratio) / 0.25, 0, 1) * np.clip(-tissue.level - 0.5, 0, 1)
    return chromatin, nucleoli.astype(np.float32)


def _look_alikes(
    tissue: Tissue, count: int, grid: Grid, preset: Difficulty, rng: np.random.Generator
) -> list[Body]:
    """Return vacuoles and corpses in the free space around the nuclei."""
    low = -np.array(grid.margin) * grid.spacing
    extent = np.array(grid.shape) * grid.spacing
    found: list[Body] = []
    for _ in range(20 * count):
        if len(found) >= preset.look_alikes * count:
            break
        place = rng.uniform(0, 1, 3)
        kind: Kind = "vacuole" if rng.random() < 0.5 else "corpse"
        body = draw_body(kind, low + place * extent, preset, rng)
        free = tissue.level[tuple((place * grid.shape).astype(int))] > body.semi_axes.max()
        apart = all(np.linalg.norm(b.centre - body.centre) > b.radius + body.radius for b in found)
        if free and apart:
            found.append(body)
    return found
