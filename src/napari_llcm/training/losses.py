"""The losses of both phases, on volumes and on latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..models.consistency import ect_loss, one_step, pseudo_huber

if TYPE_CHECKING:
    from ..models.stainer import StainerNetworks
    from .config import TrainJob

BACKGROUND = 0.15  # stabilised DAPI above this counts as nucleus, softly (0.06 on the linear scale)
_SOFTNESS = 0.04


def image_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return L1, three times heavier in nuclei, plus soft Dice of what is nucleus.

    Parameters
    ----------
    output, target : Tensor
        Stabilised DAPI (B, 1, Z, Y, X).
    """
    output, target = output.float(), target.float()
    inside = torch.sigmoid((target - BACKGROUND) / _SOFTNESS)
    weight = 1 + 2 * inside
    l1 = (weight * (output - target).abs()).mean()
    found = torch.sigmoid((output - BACKGROUND) / _SOFTNESS)
    axes = (1, 2, 3, 4)
    dice = (2 * (found * inside).sum(axes) + 1) / (found.sum(axes) + inside.sum(axes) + 1)
    return l1 + 0.2 * (1 - dice).mean()


def vae_loss(
    networks: StainerNetworks,
    batch: dict[str, Tensor],
    job: TrainJob,
    progress: float,
    generator: torch.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the autoencoder's loss and its parts."""
    target = batch["dapi"]
    mean, log_variance = (t.float() for t in networks.autoencoder.encode(target))
    noise = torch.randn(mean.shape, generator=generator).to(mean.device)
    output = networks.autoencoder.decode(mean + (log_variance / 2).exp() * noise)
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    image = image_loss(output, target)
    return image + job.kl_weight * kl, {"image": image, "kl": kl}


def consistency_loss(
    networks: StainerNetworks,
    batch: dict[str, Tensor],
    job: TrainJob,
    progress: float,
    generator: torch.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the consistency loss with the direct x0 term at sigma_max, and its parts.

    Without the direct term the network needs far longer to find its nuclei: information has to
    creep up from sigma_min to sigma_max, where sampling starts.
    """
    c, latent = job.consistency, batch["latent"]
    condition = networks.condition(batch["qpi"])
    parts: dict[str, Tensor] = {}
    loss = torch.zeros((), device=latent.device)
    if c.consistency_weight:
        parts["ect"] = ect_loss(networks.denoiser, latent, condition, progress, generator)
        loss = loss + c.consistency_weight * parts["ect"]
    if c.direct_weight:
        sampled = one_step(networks.denoiser, latent, condition, generator)
        parts["direct"] = pseudo_huber(sampled, latent).mean()
        # the spread of the output over the data's: near 0 the model has collapsed
        parts["spread"] = (sampled.std() / latent.std()).detach()
        loss = loss + c.direct_weight * parts["direct"]
        if c.image_weight:
            parts["image"] = image_loss(networks.decode(sampled), batch["dapi"])
            loss = loss + c.direct_weight * c.image_weight * parts["image"]
    return loss, parts
