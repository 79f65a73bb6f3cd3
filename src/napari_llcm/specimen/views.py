"""What a microscope shows of drawn cells: optics, what is in its way, how many planes it took."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import find_objects

from .artefacts import Artefacts, draw_artefacts
from .grid import Array, Box, Grid
from .modalities import MODALITIES, draw_optics, intensity_contrast, label_free_image
from .traits import Traits

_PLAIN = 0.6  # how often the microscope is `make_specimen`'s, where all else is


def through_microscope(
    traits: Traits,
    index: Array,
    grid: Grid,
    labels: Array,
    field: Box,
    plain: bool,
    rng: np.random.Generator,
) -> tuple[Array, float, dict[str, Any]]:
    """Return a label-free stack, by how much its index was weakened, and what it is.

    Parameters
    ----------
    traits : Traits
        Names the modality, its noise, and how many planes are taken.
    index : ndarray
        Refractive index (z, y, x) of the grid.
    grid : Grid
        The voxels.
    labels : ndarray
        Nuclei in the field.
    field : tuple of slice
        What the microscope shows.
    plain : bool
        Whether it is mostly the microscope of `make_specimen`.
    rng : Generator
        Source of chance.
    """
    if rng.random() < _PLAIN and plain:
        optics, artefacts = MODALITIES[traits.modality].optics, Artefacts.of(traits.preset)
    else:
        optics = draw_optics(traits.modality, rng)
        artefacts = draw_artefacts(rng, traits.noise)
    medium = traits.matter.medium
    # what is thick is beyond the theory of weak objects: its index is brought to where it holds
    strong = intensity_contrast(index, grid, traits.modality, optics) / traits.contrast
    weaker = min(1.0, 1 / strong) if strong else 1.0
    weak = np.float32(medium) + np.float32(weaker) * (index - np.float32(medium))
    seen = label_free_image(weak, medium, grid, traits.modality, optics, artefacts, rng)[field]
    native = seen.shape[0]
    if traits.every > 1:
        seen, native = few_planes(seen, _every(traits, labels), rng)
    about = {
        "tags": list(traits.tags),
        "modality": traits.modality,
        "optics": vars(optics),
        "planes": native,
    }
    return seen, weaker, about


def _every(traits: Traits, labels: Array) -> float:
    """Return how many planes apart planes are taken, so that each nucleus has about two."""
    boxes = [box for box in find_objects(labels) if box is not None]
    height = float(np.median([box[0].stop - box[0].start for box in boxes]))
    return float(np.clip(traits.every, 2.1, max(2.1, 0.6 * height)))


def few_planes(stack: Array, every: float, rng: np.random.Generator) -> tuple[Array, int]:
    """Return a stack of which few planes were taken, the others drawn between them, and how many.

    Parameters
    ----------
    stack : ndarray
        Shape (z, y, x).
    every : float
        Distance in planes of two that are taken.
    rng : Generator
        Where the first one is.
    """
    depth = stack.shape[0]
    taken = np.unique(np.rint(np.arange(rng.uniform(0, every), depth, every)).astype(int))
    taken = taken[taken < depth]
    place = np.interp(np.arange(depth), taken, np.arange(len(taken)))
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, len(taken) - 1)
    share = (place - low).astype(np.float32)[:, None, None]
    return np.asarray(stack[taken[low]] * (1 - share) + stack[taken[high]] * share), len(taken)
