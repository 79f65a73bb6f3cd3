"""Other ways to steer the LLCM than concatenation, as the benchmark of methods measures them.

Each has the minutes of a method, its share for an autoencoder included, and the same pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.config import NetworkConfig
from ..models.methods import AUTOENCODER, LLCM, METHODS

if TYPE_CHECKING:
    from ..training import TrainJob

VAE_SHARE = 0.3  # of the minutes of a method that works in the latent space
_HALF = "llcm half"
Jobs = dict[str, "TrainJob"]


@dataclass(frozen=True)
class Way:
    """A way to steer.

    Parameters
    ----------
    name : str
        In the report.
    jobs : callable
        From the fields that all jobs have in common, the folder of runs and the minutes to the
        jobs by name, in order; the last one's model is judged.
    before : tuple of str
        Models whose training is part of it.
    """

    name: str
    jobs: Callable[[dict[str, Any], Path, float], Jobs]
    before: tuple[str, ...] = ()


def _control(common: dict[str, Any], runs: Path, minutes: float) -> Jobs:
    """Return half of the time for a model, and half for a branch beside it, which is frozen."""
    half = minutes * (1 - VAE_SHARE) / 2
    before = _job(common, runs, _HALF, half, init=str(runs / AUTOENCODER.name))
    branch = _job(common, runs, "llcm control", half, init=str(before.out), control=True)
    return {before.name: before, branch.name: branch}


def _attention(common: dict[str, Any], runs: Path, minutes: float) -> Jobs:
    """Return one job with an autoencoder of its own: its U-Net is MONAI's."""
    asked = NetworkConfig.model_validate(common.get("network") or {})
    network = {**asked.model_dump(), "unet": "monai", "condition": "attention"}
    shares = {"vae_phase": VAE_SHARE, "method_phase": 1 - VAE_SHARE}
    fields = {name: {**common.get(name, {}), "share": share} for name, share in shares.items()}
    job = _job(
        {**common, **fields, "network": network}, runs, "llcm attention", minutes, phase="all"
    )
    return {job.name: job}


def _job(common: dict[str, Any], runs: Path, name: str, minutes: float, **more: Any) -> TrainJob:
    from ..training import make_job

    fields = {"out": runs / name.replace(" ", "-"), "name": name, "max_minutes": minutes}
    return make_job("full", **{**common, "phase": LLCM.phase.name, **fields, **more})


WAYS: dict[str, Way] = {
    "control": Way("llcm control", _control, (AUTOENCODER.name, _HALF)),
    "attention": Way("llcm attention", _attention),
}


def variants(models: Container[str]) -> dict[str, tuple[str, int | None]]:
    """Return model and steps of everything that is measured of some models, by its name."""
    chosen: dict[str, tuple[str, int | None]] = {}
    for method in METHODS.values():
        if method.name in models:
            chosen |= {name: (method.name, steps) for name, steps in method.variants.items()}
    return chosen | {way.name: (way.name, None) for way in WAYS.values() if way.name in models}


def trained_before(name: str) -> tuple[str, ...]:
    """Return the models whose training is part of that of a model of the benchmark."""
    if name in METHODS:
        return (AUTOENCODER.name,) if METHODS[name].latent else ()
    return next(way.before for way in WAYS.values() if way.name == name)
