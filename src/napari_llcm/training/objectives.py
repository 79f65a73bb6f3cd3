"""What each phase trains, and by which loss: one row for each phase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ..models.methods import METHODS, PhaseName
from ..models.pix2pix import make_discriminator
from . import losses, rivals
from .instances import InstanceHead

if TYPE_CHECKING:
    from torch import nn

    from ..models.stainer import StainerNetworks
    from .config import TrainJob

Loss = Callable[[losses.LossInputs], losses.Parts]


@dataclass(frozen=True)
class Objective:
    """One phase's loss and what it trains.

    Parameters
    ----------
    loss : callable
        From `LossInputs` to the loss and its parts.
    modules : dict of Module
        What is trained, by name.
    rates : dict of float
        Learning rates as shares of the phase's.
    latents : bool
        Whether batches hold latents.
    """

    loss: Loss
    modules: dict[str, nn.Module]
    rates: dict[str, float] = field(default_factory=dict)
    latents: bool = True


def make_objective(phase: PhaseName, networks: StainerNetworks, job: TrainJob) -> Objective:
    """Return the objective of a phase; freezes the autoencoder where it is not trained."""
    return _OBJECTIVES[phase](networks, job)


def _autoencoder(networks: StainerNetworks, job: TrainJob) -> Objective:
    networks.autoencoder.requires_grad_(True)
    modules: dict[str, nn.Module] = {"autoencoder": networks.autoencoder}
    if not job.vae_adversarial:
        return Objective(losses.vae_loss, modules, latents=False)
    modules["discriminator"] = make_discriminator()
    return Objective(losses.vae_loss, modules, _SLOW_DISCRIMINATOR, latents=False)


def _latent(networks: StainerNetworks, job: TrainJob, *, loss: Loss) -> Objective:
    networks.autoencoder.requires_grad_(False)
    names = ["condition", "denoiser", *METHODS[job.method].own_networks]
    names += ["skip"] if networks.network.decoder_skip else []
    return Objective(loss, {name: networks.get_submodule(name) for name in names})


def _consistency(networks: StainerNetworks, job: TrainJob) -> Objective:
    objective = _latent(networks, job, loss=losses.consistency_loss)
    if job.instance_weight and networks.network.unet == "local":
        objective.modules["instances"] = InstanceHead(networks.network)
    return objective


def _adversarial(networks: StainerNetworks, _: TrainJob) -> Objective:
    modules = {"generator": networks.generator, "discriminator": make_discriminator()}
    return Objective(rivals.pix2pix_loss, modules, _SLOW_DISCRIMINATOR, latents=False)


# at equal rates the discriminator wins within epochs, and the generator learns nothing
_SLOW_DISCRIMINATOR = {"discriminator": 0.1}
_OBJECTIVES: dict[PhaseName, Callable[[StainerNetworks, TrainJob], Objective]] = {
    "vae": _autoencoder,
    "consistency": _consistency,
    "regression": partial(_latent, loss=rivals.regression_loss),
    "diffusion": partial(_latent, loss=rivals.diffusion_loss),
    "resshift": partial(_latent, loss=rivals.resshift_loss),
    "pix2pix": _adversarial,
}
