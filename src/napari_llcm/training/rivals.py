"""The losses of the methods that the LLCM is measured against."""

from __future__ import annotations

import torch

from ..models.diffusion import diffusion_loss as noise_loss
from ..models.diffusion import predictor
from ..models.pix2pix import adversarial_losses
from ..models.resshift import resshift_loss as shift_loss
from ..models.samplers import regress
from .losses import LossInputs, Parts, direct_loss

_L1_WEIGHT = 100.0  # as in Pix2Pix


def regression_loss(given: LossInputs) -> Parts:
    """Return the loss of the one-step regressor: the LLCM's direct term, without noise."""
    condition = given.networks.conditioned(given.batch["inputs"])
    zeros = torch.zeros_like(given.batch["latent"])
    return direct_loss(given, regress(given.networks.denoiser, zeros, condition))


def diffusion_loss(given: LossInputs) -> Parts:
    """Return the loss of latent diffusion."""
    condition = given.networks.conditioned(given.batch["inputs"])
    config = given.job.diffusion
    network = predictor(given.networks.denoiser, config)
    loss = noise_loss(network, config, given.batch["latent"], condition, given.generator)
    return loss, {config.prediction: loss}


def resshift_loss(given: LossInputs) -> Parts:
    """Return the loss of residual shifting."""
    networks, config = given.networks, given.job.resshift
    condition = networks.conditioned(given.batch["inputs"])
    network, latent = networks.denoiser.network, given.batch["latent"]
    loss = shift_loss(network, networks.guess, config, latent, condition, given.generator)
    return loss, {"x0": loss}


def pix2pix_loss(given: LossInputs) -> Parts:
    """Return Pix2Pix's loss, L1 x 100 and the GAN's, with that of its discriminator."""
    inputs, outputs = given.batch["inputs"], given.batch["outputs"]
    fake = given.networks.generator(inputs).float()
    l1 = (fake - outputs).abs().mean()
    fooled, judged = adversarial_losses(given.modules["discriminator"], inputs, fake, outputs)
    parts = {
        "l1": l1,
        "gan": fooled,
        "discriminator": judged,
        "spread": (fake.std() / outputs.std()).detach(),
    }
    return _L1_WEIGHT * l1 + fooled + judged, parts
