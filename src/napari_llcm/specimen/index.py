"""The refractive index of a specimen (real units), and where its nucleoli lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .cells import Body, Kind, Tissue
from .difficulty import Difficulty
from .grid import Array, Grid

MEDIUM = 1.335
CYTOPLASM = 1.358
# how rough the index is inside each kind of body, relative to chromatin
_ROUGHNESS: dict[Kind, float] = {
    "interphase": 1.0,
    "real": 1.0,
    "mitotic": 1.5,
    "apoptotic": 1.5,
    "vacuole": 0.15,
    "corpse": 2.0,
}


@dataclass(frozen=True)
class Matter:
    """What cells are made of, beside what a difficulty changes.

    Parameters
    ----------
    medium, cytoplasm : float
        Refractive index of the medium and, on average, of the cytoplasm.
    membrane, envelope : float
        Δn of the cell's membrane and of the nuclear envelope.
    organelles : tuple of float
        Grain in µm of the two textures of the cytoplasm.
    droplet : float
        Smallest radius in µm of a lipid droplet.
    nucleoli : tuple of int
        Smallest and largest number of nucleoli in an interphase nucleus.
    """

    medium: float = MEDIUM
    cytoplasm: float = CYTOPLASM
    membrane: float = 0.003
    envelope: float = 0.0025
    organelles: tuple[float, float] = (0.35, 0.7)
    droplet: float = 0.35
    nucleoli: tuple[int, int] = (1, 4)


PLAIN = Matter()


def draw_nucleoli(
    bodies: list[Body], grid: Grid, rng: np.random.Generator, matter: Matter = PLAIN
) -> Array:
    """Return how much of each voxel lies in a nucleolus (float32, 0 to 1).

    Interphase nuclei have one to four nucleoli of 0.5 to 1.4 µm radius, or as many as `matter`
    says.
    """
    fewest, most = matter.nucleoli
    nucleoli = np.zeros(grid.shape, np.float32)
    for body in bodies:
        number = int(rng.integers(fewest, most + 1)) if body.kind == "interphase" else 0
        for _ in range(number):
            way = rng.normal(size=3)
            way *= rng.uniform(0, 0.6) / np.linalg.norm(way)
            centre = body.centre + (way * body.semi_axes) @ body.rotation
            radius = rng.uniform(0.6, 1.3) * (1.2 - 0.1 * number)
            add_ball(nucleoli, grid, centre, radius, 1.0)
    return nucleoli


def refractive_index(
    tissue: Tissue,
    bodies: list[Body],
    nucleoli: Array,
    chromatin: Array,
    grid: Grid,
    preset: Difficulty,
    rng: np.random.Generator,
    matter: Matter = PLAIN,
) -> Array:
    """Return the refractive index on the grid (float32).

    Parameters
    ----------
    tissue : Tissue
        Where bodies and cells lie.
    bodies : list of Body
        The bodies.
    nucleoli : ndarray
        Share of each voxel in a nucleolus.
    chromatin : ndarray
        Texture of the chromatin, standard deviation 1; the dye shows the same.
    grid : Grid
        The grid.
    preset : Difficulty
        Settings.
    rng : Generator
        Source of chance.
    matter : Matter
        What cells are made of.
    """
    step = np.float32(matter.cytoplasm - matter.medium)
    inside, in_cell = tissue.inside(), tissue.in_cell()
    host = np.array([0.0] + [rng.normal(0, 0.0015) for _ in bodies], np.float32)[tissue.body]
    contrast = np.array([0.0] + [b.contrast for b in bodies], np.float32)[tissue.body]
    rough = np.array([0.0] + [_ROUGHNESS[b.kind] for b in bodies], np.float32)[tissue.body]
    # organelles: the cytoplasm is grainy, the nucleus is smooth
    granules = 0.86 * grid.texture(rng, matter.organelles[0])
    granules += 0.5 * grid.texture(rng, matter.organelles[1])
    index = in_cell * (step + host)
    index += in_cell * (1 - inside) * granules * np.float32(preset.granularity)
    # membranes: towards the medium, and between two cells
    membrane = np.exp(-((tissue.cell_level / 0.35) ** 2))
    membrane += in_cell * np.exp(-((tissue.junction / 0.5) ** 2))
    index += np.float32(matter.membrane) * membrane * (1 - inside)
    droplets = _droplets(bodies, grid, preset, rng, matter)
    index = np.maximum(index, droplets * (1 - inside))
    # every body counts from a cytoplasm, also a corpse, which lies in none
    nuclear = step + host + contrast
    nuclear += chromatin * rough * np.float32(preset.chromatin)
    strength = np.array([0.0] + [rng.uniform(*preset.nucleolus) for _ in bodies], np.float32)
    nuclear += nucleoli * strength[tissue.body]
    index = index * (1 - inside) + nuclear * inside
    envelope = np.exp(-((tissue.level / 0.3) ** 2)) * (rough > 0.5)
    index += np.float32(matter.envelope) * envelope
    return np.asarray(index + np.float32(matter.medium), np.float32)


def _droplets(
    bodies: list[Body], grid: Grid, preset: Difficulty, rng: np.random.Generator, matter: Matter
) -> Array:
    """Return the index of lipid droplets above the medium's."""
    droplets = np.zeros(grid.shape, np.float32)
    for body in bodies:
        for _ in range(rng.poisson(preset.droplets)):
            way = rng.normal(size=3)
            distance = body.radius + rng.uniform(0.3, 1.0) * max(body.cytoplasm, 1.0)
            centre = body.centre + way / np.linalg.norm(way) * distance
            radius = min(0.35 * float(np.exp(abs(rng.normal(0, 0.6)))), 1.8) * (
                matter.droplet / 0.35
            )
            add_ball(droplets, grid, centre, radius, rng.uniform(1.42, 1.46) - matter.medium)
    return droplets


def add_ball(volume: Array, grid: Grid, centre: Array, radius: float, value: float) -> None:
    """Draw a ball with a soft rim; where balls meet, the larger value stays."""
    box, (z, y, x) = grid.box(centre, radius + 0.5)
    distance = np.sqrt(z**2 + y**2 + x**2)
    ball = np.clip((np.float32(radius) - distance) / np.float32(0.5) + 0.5, 0, 1)
    volume[box] = np.maximum(volume[box], ball * np.float32(value))
