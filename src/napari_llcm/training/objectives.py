"""What each phase trains, and by which loss: one row for each phase."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ..models.methods import METHODS, PhaseName
from ..models.pix2pix import make_discriminator
from . import flat, losses, rivals
from .control import branch_of, with_cleaning
from .instances import InstanceHead
from .reading import PLANES

if TYPE_CHECKING:
    from torch import nn

    from ..models.config import NetworkConfig
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
    thaws : dict of float
        Modules that are frozen at first, and after how many epochs they learn.
    latents : bool
        Whether batches hold latents.
    flat : callable, optional
        The loss of a batch whose DAPI is one plane; without it, pairs that have no volume have no
        part in the phase.
    """

    loss: Loss
    modules: dict[str, nn.Module]
    rates: dict[str, float] = field(default_factory=dict)
    thaws: dict[str, float] = field(default_factory=dict)
    latents: bool = True
    flat: Loss | None = None

    def of(self, batch: Mapping[str, Any]) -> Loss:
        """Return the loss of a batch."""
        return self.flat if self.flat is not None and PLANES in batch else self.loss


def make_objective(phase: PhaseName, networks: StainerNetworks, job: TrainJob) -> Objective:
    """Return the objective of a phase; freezes the autoencoder where it is not trained."""
    return _OBJECTIVES[phase](networks, job)


def _autoencoder(networks: StainerNetworks, job: TrainJob) -> Objective:
    networks.autoencoder.requires_grad_(True)
    modules: dict[str, nn.Module] = {"autoencoder": networks.autoencoder}
    rates = {"autoencoder": job.thaw_rate} if job.autoencoder else {}
    if job.vae_adversarial:
        modules["discriminator"] = make_discriminator(
            networks.network.inputs + networks.network.outputs
        )
        rates |= _SLOW_DISCRIMINATOR
    return Objective(losses.vae_loss, modules, rates, latents=False)


def with_decoder(objective: Objective, networks: StainerNetworks) -> Objective:
    """Return an objective that trains the decoder too, which no volume has taught."""
    if METHODS[networks.method].latent:
        objective.modules["decoder"] = networks.autoencoder.decoding().requires_grad_(True)
    return objective


def _latent(
    networks: StainerNetworks,
    job: TrainJob,
    *,
    loss: Loss,
    of_planes: Loss | None = None,
) -> Objective:
    if job.control:
        flat_loss = of_planes and with_cleaning(of_planes)
        return Objective(with_cleaning(loss), *branch_of(networks), flat=flat_loss)
    networks.autoencoder.requires_grad_(False)
    names = ["condition", "denoiser", *METHODS[job.method].own_networks]
    names += ["skip"] if networks.network.decoder_skip else []
    names += ["control"] if networks.network.control else []
    objective = Objective(
        loss, {name: networks.get_submodule(name) for name in names}, flat=of_planes
    )
    if job.thaw_after is not None:
        # the encoder stays: latents are encoded once, and a resumed run has the very same
        objective.modules["decoder"] = networks.autoencoder.decoding()
        objective.rates["decoder"] = job.thaw_rate
        objective.thaws["decoder"] = job.thaw_after
    return objective


def _consistency(networks: StainerNetworks, job: TrainJob) -> Objective:
    objective = _latent(
        networks,
        job,
        loss=losses.consistency_loss,
        of_planes=flat.consistency_loss,
    )
    if job.instance_weight and networks.network.unet == "local":
        objective.modules["instances"] = InstanceHead(networks.network)
    return objective


def _adversarial(networks: StainerNetworks, _: TrainJob) -> Objective:
    modules = {
        "generator": networks.generator,
        "discriminator": _discriminator(networks.network),
    }
    return Objective(
        rivals.pix2pix_loss, modules, _SLOW_DISCRIMINATOR, latents=False, flat=flat.pix2pix_loss
    )


def _discriminator(network: NetworkConfig) -> nn.Module:
    return make_discriminator(network.inputs + network.outputs)


# at equal rates the discriminator wins within epochs, and the generator learns nothing
_SLOW_DISCRIMINATOR = {"discriminator": 0.1}
_OBJECTIVES: dict[PhaseName, Callable[[StainerNetworks, TrainJob], Objective]] = {
    "vae": _autoencoder,
    "consistency": _consistency,
    "regression": partial(_latent, loss=rivals.regression_loss, of_planes=flat.regression_loss),
    "diffusion": partial(_latent, loss=rivals.diffusion_loss),
    "resshift": partial(_latent, loss=rivals.resshift_loss),
    "pix2pix": _adversarial,
}
