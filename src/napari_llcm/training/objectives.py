"""What each phase trains, and by which loss: one row for each phase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import nn

from ..models.pix2pix import make_discriminator
from . import losses, rivals

if TYPE_CHECKING:
    from ..models.stainer import StainerNetworks
    from .config import Phase, TrainJob

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


_LATENT: dict[Phase, Loss] = {
    "consistency": losses.consistency_loss,
    "regression": rivals.regression_loss,
    "diffusion": rivals.diffusion_loss,
    "resshift": rivals.resshift_loss,
}


def make_objective(phase: Phase, networks: StainerNetworks, job: TrainJob) -> Objective:
    """Return the objective of a phase; freezes the autoencoder where it is not trained."""
    if phase == "pix2pix":
        modules = {"generator": networks.generator, "discriminator": make_discriminator()}
        # at equal rates the discriminator wins within epochs, and the generator learns nothing
        return Objective(rivals.pix2pix_loss, modules, {"discriminator": 0.1}, latents=False)
    networks.autoencoder.requires_grad_(phase == "vae")
    if phase == "vae":
        modules = {"autoencoder": networks.autoencoder}
        rates: dict[str, float] = {}
        if job.vae_adversarial:
            modules["discriminator"] = make_discriminator()
            rates["discriminator"] = 0.1
        return Objective(losses.vae_loss, modules, rates, latents=False)
    modules = {"condition": networks.condition, "denoiser": networks.denoiser}
    if phase == "resshift":
        modules["guess"] = networks.guess
    if networks.network.decoder_skip:
        modules["skip"] = networks.skip
    return Objective(_LATENT[phase], modules)
