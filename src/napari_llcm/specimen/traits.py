"""What is drawn for a specimen beside the arrangement of its cells."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .arrangement import RADIUS
from .artefacts import Strength
from .difficulty import Difficulty, find_difficulty
from .fluorescence import Dye
from .index import Matter
from .optics import Modality

VOXEL = (0.1, 1.6)  # µm in plane
STEP = (0.25, 3.0)  # µm along z
WIDE = (10.0, 22.0)  # voxels across a nucleus in plane
SMALL, LARGE = 6.5, 11.0  # µm: nuclei narrower are small, wider large


@dataclass(frozen=True)
class Traits:
    """Everything drawn for a specimen; each independently of the others, as far as it can be.

    Parameters
    ----------
    cells : str
        Family, by its arrangement.
    modality : str
        The label-free microscope.
    nucleus_um : float
        Width in µm that most nuclei shall have in plane.
    voxels : float
        The same in voxels.
    ratio : float
        Step along z relative to the voxel in plane.
    every : float
        Planes of the grid between two that are taken; 1 takes each.
    noise : {"none", "weak", "strong"}
        Of the label-free stack.
    texture, sign : str
        What the tags say.
    contrast : float
        Largest mean |I/I₀ − 1| of a stack that shows intensity.
    preset : Difficulty
        Kinds of bodies, their contrast, light and noise.
    matter : Matter
        Index of the cells; lengths in units in which a nucleus has a radius of 3.8.
    grain : float
        Of the chromatin, µm.
    dye : Dye
        Of the DAPI.
    """

    cells: str
    modality: Modality
    nucleus_um: float
    voxels: float
    ratio: float
    every: float
    noise: Strength
    texture: str
    sign: str
    contrast: float
    preset: Difficulty
    matter: Matter
    grain: float
    dye: Dye

    @property
    def unit(self) -> float:
        """Return the µm of one unit."""
        return self.nucleus_um / (2 * RADIUS)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Return the voxel size in µm that is asked for."""
        voxel = float(np.clip(self.nucleus_um / self.voxels, *VOXEL))
        return float(np.clip(self.ratio * voxel, *STEP)), voxel, voxel

    @property
    def tags(self) -> tuple[str, ...]:
        """Return what the specimen is, in words."""
        return (
            f"cells:{self.cells}",
            f"modality:{self.modality}",
            f"size:{size_of(self.nucleus_um)}",
            f"noise:{self.noise}",
            f"texture:{self.texture}",
            f"sign:{self.sign}",
            f"planes:{'few' if self.every > 1 else 'many'}",
        )


def size_of(nucleus_um: float) -> str:
    """Return "small", "medium" or "large" for a width in µm."""
    return "small" if nucleus_um < SMALL else "medium" if nucleus_um <= LARGE else "large"


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number between two, evenly on a log scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_traits(cells: str, modality: Modality, flat: bool, rng: np.random.Generator) -> Traits:
    """Return random traits of a specimen.

    Parameters
    ----------
    cells, modality : str
        Family and microscope.
    flat : bool
        Whether its nuclei are thinner than wide, and need finer steps along z.
    rng : Generator
        Source of chance.
    """
    nucleus_um = log_uniform(rng, 4.0, 25.0)
    few = rng.random() < 0.35  # a quarter of all: plain tissue has every plane
    voxels = float(rng.uniform(16 if few else 10.5, 21))
    voxels = float(np.clip(voxels, nucleus_um / VOXEL[1], nucleus_um / VOXEL[0]))
    ratio = 1.0 if few and flat else log_uniform(rng, 1.0, 1.3 if few else 1.8 if flat else 4.0)
    every = float(rng.uniform(2.1, 10.0)) if few else 1.0
    unit = nucleus_um / (2 * RADIUS)
    texture = str(rng.choice(["fine", "coarse", "smooth"]))
    voxel = nucleus_um / voxels
    grain = log_uniform(rng, 0.7, 1.8) if texture == "coarse" else log_uniform(rng, 0.25, 0.6)
    organelle = log_uniform(rng, 0.5, 1.2) if texture == "coarse" else log_uniform(rng, 0.25, 0.5)
    finest = 0.6 * voxel  # a voxel averages what is finer, and shows less of it
    sign = str(rng.choice(["above", "below", "mixed"], p=[0.4, 0.25, 0.35]))
    strengths: tuple[Strength, ...] = ("none", "weak", "strong")
    noise = strengths[rng.choice(3, p=[0.15, 0.5, 0.35])]
    preset = _preset(sign, texture, nucleus_um, rng)
    return Traits(
        cells=cells,
        modality=modality,
        nucleus_um=nucleus_um,
        voxels=voxels,
        ratio=ratio,
        every=every,
        noise=noise,
        texture=texture,
        sign=sign,
        contrast=log_uniform(rng, 0.03, 0.2),
        preset=replace(
            preset,
            chromatin=preset.chromatin * min(1.0, grain / finest),
            granularity=preset.granularity * min(1.0, organelle / finest),
        ),
        matter=_matter(max(organelle, finest) / unit, unit, voxel, rng),
        grain=max(grain, finest),
        dye=Dye(
            texture=rng.uniform(0.1, 0.4),
            nucleoli=rng.uniform(0.3, 0.75),
            cytoplasm=log_uniform(rng, 0.005, 0.05),
        ),
    )


def plain_traits(traits: Traits, rng: np.random.Generator) -> Traits:
    """Return the traits with voxel, matter, dye and noise as `make_specimen` has them."""
    names = ("easy", "medium", "hard", "varied")
    preset = find_difficulty(str(rng.choice(names)), int(rng.integers(2**31)))
    return replace(
        traits,
        nucleus_um=2 * RADIUS,
        voxels=4 * RADIUS,
        ratio=1.6,
        every=1.0,
        noise="weak" if preset.phase_photons > 2.4e4 else "strong",
        texture="fine",
        sign="mixed",
        preset=preset,
        matter=Matter(),
        grain=0.45,
        dye=Dye(),
    )


def _preset(sign: str, texture: str, nucleus_um: float, rng: np.random.Generator) -> Difficulty:
    smooth = texture == "smooth"
    # nuclei with next to no contrast of their own are there only where texture betrays them
    weakest = log_uniform(rng, 0.002 if smooth else 0.0008, 0.006)
    strong = log_uniform(rng, 0.004, 0.014)
    return Difficulty(
        density=30.0,  # the arrangements choose their own
        crowding=float(rng.uniform(0.1, 0.8)),
        look_alikes=float(rng.choice([0.0, 0.15, 0.5])),
        contrast=(weakest, weakest + log_uniform(rng, 0.001, 0.006)),
        negative={"above": 0.0, "below": 1.0, "mixed": 0.5}[sign],
        chromatin=float(rng.uniform(0, 0.0003)) if smooth else log_uniform(rng, 0.0006, 0.004),
        nucleolus=(strong * 0.8, strong * 1.2),
        granularity=log_uniform(rng, 0.0004, 0.002) if smooth else log_uniform(rng, 0.0015, 0.006),
        droplets=float(rng.choice([0.0, 1.0, 3.0, 8.0])),
        dye_spread=float(rng.uniform(0.2, 0.65)),
        dye_floor=float(rng.uniform(0.15, 0.4)),
        dapi_photons=log_uniform(rng, 30, 200),
        dapi_length=15 * nucleus_um * log_uniform(rng, 0.7, 4.0),
        phase_photons=3e4,
        phase_length=10 * nucleus_um * log_uniform(rng, 0.7, 4.0),
        speckle=0.003,
        background=0.02,
        drift=0.02,
        mitotic=log_uniform(rng, 0.02, 0.12),
        apoptotic=log_uniform(rng, 0.02, 0.1),
    )


def _matter(small: float, unit: float, voxel: float, rng: np.random.Generator) -> Matter:
    nucleoli = ((0, 0), (1, 2), (1, 4), (3, 8))
    return Matter(
        medium=rng.uniform(1.33, 1.40) if rng.random() < 0.3 else rng.uniform(1.333, 1.34),
        cytoplasm=rng.uniform(1.350, 1.372),
        membrane=0.0 if rng.random() < 0.3 else log_uniform(rng, 0.0008, 0.006),
        envelope=0.0 if rng.random() < 0.3 else log_uniform(rng, 0.0008, 0.004),
        organelles=(small, 2 * small),
        droplet=max(log_uniform(rng, 0.2, 0.6), 0.5 * voxel) / unit,
        nucleoli=nucleoli[rng.choice(4, p=[0.15, 0.3, 0.35, 0.2])],
    )
