"""What makes a specimen easy or hard: every number of the simulation that a preset changes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from ..events import UserError

DifficultyName = Literal["easy", "medium", "hard", "varied"]


@dataclass(frozen=True)
class Difficulty:
    """The settings of one difficulty.

    Parameters
    ----------
    density : float
        Nuclei per 10⁵ µm³.
    crowding : float
        Share of nuclei that are put in touch with another one.
    look_alikes : float
        Bodies without DNA that look like nuclei in phase, per nucleus.
    contrast : tuple of float
        Smallest and largest |Δn| of a nucleus against its cytoplasm.
    negative : float
        Share of nuclei whose index lies below that of their cytoplasm.
    chromatin : float
        Standard deviation of the index inside a nucleus.
    nucleolus : tuple of float
        Smallest and largest Δn of a nucleolus against its nucleus.
    granularity : float
        Standard deviation of the index inside the cytoplasm.
    droplets : float
        Lipid droplets per cell.
    dye_spread : float
        Standard deviation of the logarithm of the dye brightness of nuclei.
    dye_floor : float
        Dimmest brightness of a nucleus; the median nucleus has 1.
    dapi_photons : float
        Photons per voxel in a nucleus of brightness 1 at the surface.
    dapi_length : float
        Depth in µm at which the DAPI signal has fallen to 1/e.
    phase_photons : float
        Photons per voxel and illumination of the phase microscope, at the surface.
    phase_length : float
        Depth in µm over which these photons fall to 1/e.
    speckle : float
        Coherent noise, as a share of the detected light.
    background : float
        Slow background, as a share of the detected light.
    drift : float
        Standard deviation of the gain from plane to plane.
    radius : float
        Mean radius of a nucleus in µm.
    mitotic, apoptotic : float
        Shares of the nuclei that are metaphase plates, and condensed in pieces.
    """

    density: float
    crowding: float
    look_alikes: float
    contrast: tuple[float, float]
    negative: float
    chromatin: float
    nucleolus: tuple[float, float]
    granularity: float
    droplets: float
    dye_spread: float
    dye_floor: float
    dapi_photons: float
    dapi_length: float
    phase_photons: float
    phase_length: float
    speckle: float
    background: float
    drift: float
    radius: float = 3.8
    mitotic: float = 0.04
    apoptotic: float = 0.03


DIFFICULTIES: dict[DifficultyName, Difficulty] = {
    "easy": Difficulty(
        density=20.0,
        crowding=0.2,
        look_alikes=0.08,
        contrast=(0.006, 0.012),
        negative=0.1,
        chromatin=0.001,
        nucleolus=(0.010, 0.016),
        granularity=0.004,
        droplets=1.0,
        dye_spread=0.25,
        dye_floor=0.4,
        dapi_photons=120.0,
        dapi_length=120.0,
        phase_photons=4e4,
        phase_length=80.0,
        speckle=0.002,
        background=0.01,
        drift=0.01,
    ),
    "medium": Difficulty(
        density=28.0,
        crowding=0.5,
        look_alikes=0.15,
        contrast=(0.003, 0.009),
        negative=0.35,
        chromatin=0.001,
        nucleolus=(0.008, 0.015),
        granularity=0.005,
        droplets=2.0,
        dye_spread=0.45,
        dye_floor=0.25,
        dapi_photons=80.0,
        dapi_length=80.0,
        phase_photons=3e4,
        phase_length=60.0,
        speckle=0.003,
        background=0.02,
        drift=0.02,
    ),
    "hard": Difficulty(
        density=34.0,
        crowding=0.7,
        look_alikes=0.35,
        contrast=(0.001, 0.004),
        negative=0.5,
        chromatin=0.001,
        nucleolus=(0.007, 0.014),
        granularity=0.005,
        droplets=5.0,
        dye_spread=0.65,
        dye_floor=0.15,
        dapi_photons=60.0,
        dapi_length=60.0,
        phase_photons=2e4,
        phase_length=45.0,
        speckle=0.005,
        background=0.04,
        drift=0.04,
    ),
}


def find_difficulty(name: str, seed: int = 0) -> Difficulty:
    """Return the settings of a difficulty.

    Parameters
    ----------
    name : str
        "easy", "medium", "hard", or "varied": drawn anew for each seed, to train on. Its settings
        lie between easy and hard or a little beyond, nuclei are smaller or larger, and what is
        rare elsewhere (look-alikes, dividing and dying nuclei) is common, so that a model meets it
        often enough to learn it.
    seed : int
        Of the specimen; only "varied" asks for it.

    Raises
    ------
    UserError
        If there is none of this name.
    """
    if name == "varied":
        return _varied(np.random.default_rng([seed, 0x7A21]))
    for known, difficulty in DIFFICULTIES.items():
        if known == name:
            return difficulty
    raise UserError(
        f"There is no difficulty {name!r}: choose {', '.join(get_args(DifficultyName))}."
    )


def _varied(rng: np.random.Generator) -> Difficulty:
    easy, hard = asdict(DIFFICULTIES["easy"]), asdict(DIFFICULTIES["hard"])

    def between(name: str) -> float:
        """Return a number between easy's and hard's, evenly on a log scale."""
        low, high = sorted((np.log(easy[name]), np.log(hard[name])))
        return float(np.exp(rng.uniform(low, high)))

    drawn: dict[str, Any] = {k: between(k) for k, v in easy.items() if not isinstance(v, tuple)}
    radius = float(rng.uniform(3.2, 4.6))
    weakest = float(rng.uniform(0.001, 0.004))
    drawn |= {
        "density": drawn["density"] * (DIFFICULTIES["easy"].radius / radius) ** 3,
        "look_alikes": float(rng.uniform(0.2, 1.2)),
        "contrast": (weakest, float(rng.uniform(weakest + 0.003, 0.012))),
        "nucleolus": (0.007, 0.016),
        "radius": radius,
        "mitotic": float(rng.uniform(0.04, 0.2)),
        "apoptotic": float(rng.uniform(0.03, 0.15)),
    }
    return Difficulty(**drawn)
