"""The losses of both phases, on volumes and on latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..models.consistency import adjacent_loss, ect_loss, one_step, pseudo_huber

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
    modules: dict[str, nn.Module],
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
    loss, parts = image + job.kl_weight * kl, {"image": image, "kl": kl}
    if weight := job.vae_adversarial:
        from ..models.pix2pix import adversarial_losses

        fooled, judged = adversarial_losses(
            modules["discriminator"], batch["qpi"], output.float(), target
        )
        loss = loss + weight * fooled + judged
        parts |= {"gan": fooled, "discriminator": judged}
    if weight := job.vae_perceptual:
        parts["perceptual"] = perceptual_loss(output, target)
        loss = loss + weight * parts["perceptual"]
    return loss, parts


def perceptual_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return the L1 distance of local gradients at three scales.

    A perceptual term that works offline: networks trained on photographs have to be downloaded,
    and know no fluorescence. Gradients at 1, 2 and 4 voxels are what blur takes away first.

    Parameters
    ----------
    output, target : Tensor
        Stabilised DAPI (B, 1, Z, Y, X).
    """
    output, target = output.float(), target.float()
    terms = []
    for scale in (1, 2, 4):
        a, b = (torch.nn.functional.avg_pool3d(v, scale) for v in (output, target))
        terms += [(a.diff(dim=d) - b.diff(dim=d)).abs().mean() for d in (2, 3, 4)]
    return torch.stack(terms).mean()


def consistency_loss(
    modules: dict[str, nn.Module],
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
        if c.objective == "ect":
            parts["ect"] = ect_loss(networks.denoiser, latent, condition, progress, generator)
        else:
            parts["adjacent"] = adjacent_loss(networks.denoiser, latent, condition, generator)
        loss = loss + c.consistency_weight * parts[c.objective]
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
