"""The losses of the methods that the LLCM is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..models.consistency import pseudo_huber
from ..models.samplers import regress
from .losses import image_loss

if TYPE_CHECKING:
    from ..models.stainer import StainerNetworks
    from .config import TrainJob

Parts = tuple[Tensor, dict[str, Tensor]]
_L1_WEIGHT = 100.0  # as in Pix2Pix


def regression_loss(
    modules: dict[str, nn.Module],
    networks: StainerNetworks,
    batch: dict[str, Tensor],
    job: TrainJob,
    progress: float,
    generator: torch.Generator,
) -> Parts:
    """Return the loss of the one-step regressor: the LLCM's direct term, without noise."""
    latent = batch["latent"]
    condition = networks.condition(batch["qpi"])
    output = regress(networks.denoiser, torch.zeros_like(latent), condition)
    parts = {
        "direct": pseudo_huber(output, latent).mean(),
        "spread": (output.std() / latent.std()).detach(),
    }
    loss = parts["direct"]
    if weight := job.consistency.image_weight:
        parts["image"] = image_loss(networks.decode(output), batch["dapi"])
        loss = loss + weight * parts["image"]
    return loss, parts


def diffusion_loss(
    modules: dict[str, nn.Module],
    networks: StainerNetworks,
    batch: dict[str, Tensor],
    job: TrainJob,
    progress: float,
    generator: torch.Generator,
) -> Parts:
    """Return the loss of latent diffusion."""
    from ..models.diffusion import diffusion_loss

    condition = networks.condition(batch["qpi"])
    network = networks.denoiser.network
    loss = diffusion_loss(network, job.diffusion, batch["latent"], condition, generator)
    return loss, {"v": loss}


def resshift_loss(
    modules: dict[str, nn.Module],
    networks: StainerNetworks,
    batch: dict[str, Tensor],
    job: TrainJob,
    progress: float,
    generator: torch.Generator,
) -> Parts:
    """Return the loss of residual shifting."""
    from ..models.resshift import resshift_loss

    condition = networks.condition(batch["qpi"])
    network, guess = networks.denoiser.network, networks.guess
    latent = batch["latent"]
    loss = resshift_loss(network, guess, job.resshift, latent, condition, generator)
    return loss, {"x0": loss}


def pix2pix_loss(
    modules: dict[str, nn.Module],
    networks: StainerNetworks,
    batch: dict[str, Tensor],
    job: TrainJob,
    progress: float,
    generator: torch.Generator,
) -> Parts:
    """Return Pix2Pix's loss, L1 x 100 and the GAN's, with that of its discriminator."""
    from ..models.pix2pix import adversarial_losses

    qpi, dapi = batch["qpi"], batch["dapi"]
    fake = networks.generator(qpi).float()
    l1 = (fake - dapi).abs().mean()
    fooled, judged = adversarial_losses(modules["discriminator"], qpi, fake, dapi)
    parts = {
        "l1": l1,
        "gan": fooled,
        "discriminator": judged,
        "spread": (fake.std() / dapi.std()).detach(),
    }
    return _L1_WEIGHT * l1 + fooled + judged, parts
