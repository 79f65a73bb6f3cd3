"""The losses of both phases, on volumes and on latents."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..models.consistency import adjacent_loss, ect_loss, one_step, pure_noise, site_distance
from ..tasks.normalise import LINEAR
from .instances import instance_loss

if TYPE_CHECKING:
    from ..models.stainer import StainerNetworks
    from .config import TrainJob

Parts = tuple[Tensor, dict[str, Tensor]]  # the loss, and what it is made of by name

# stabilised DAPI in which a voxel turns from background, noise included, to nucleus
_NUCLEAR = (0.08, 0.2)
_HAZE = (0.0, 0.05)  # a stain has no noise: what rises above its background, a segmenter sees
_BINS, _SCALE = 8, 2  # of a spectrum, and those of them at the scale of nuclei
_SQUARED = 5.0  # weight: errors of a fifth of a window's half count alike in both
_LEAST = 1e-2  # power that counts as none


@dataclass(frozen=True)
class LossInputs:
    """What every loss is given.

    Parameters
    ----------
    modules : dict of Module
        What is trained, by name.
    networks : StainerNetworks
        The model.
    batch : dict of Tensor
        Patches "inputs" (B, I, Z, Y, X) and "outputs" (B, O, Z, Y, X), in the latent space "latent"
        (B, C, z, y, x), and where the nuclei are known "instances" (B, 3, Z/2, Y/2, X/2), from
        `instance_targets`.
    job : TrainJob
        Weights and schedules.
    progress : float
        How much of the phase is done, 0 to 1.
    generator : torch.Generator
        Source of all noise.
    """

    modules: dict[str, nn.Module]
    networks: StainerNetworks
    batch: dict[str, Tensor]
    job: TrainJob
    progress: float
    generator: torch.Generator


def image_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return L1, three times heavier in nuclei, plus soft Dice of what is nucleus.

    Heavier where either image has a nucleus. By those of the target alone, one made up would cost a
    third of one missed, and L1, whose optimum is a median, would show what has a chance of 1 in 4.

    Parameters
    ----------
    output, target : Tensor
        Stabilised DAPI (B, 1, Z, Y, X).
    """
    output, target = output.float(), target.float()
    found, inside = _ramp(output, *_NUCLEAR), _ramp(target, *_NUCLEAR)
    shown = _ramp(output.detach(), *_HAZE)
    l1 = ((1 + 2 * torch.maximum(shown, inside)) * (output - target).abs()).mean()
    axes = (1, 2, 3, 4)
    dice = (2 * (found * inside).sum(axes) + 1) / (found.sum(axes) + inside.sum(axes) + 1)
    return l1 + 0.2 * (1 - dice).mean()


def _ramp(x: Tensor, low: float, high: float) -> Tensor:
    """Return x from 0 at `low` to 1 at `high`.

    Exactly 0 below: a rest of a sigmoid there, summed over a volume, would drown the few nuclei of
    a sparse patch in the Dice, which would then pay for showing anything.
    """
    return ((x - low) / (high - low)).clamp(0, 1)


def vae_loss(given: LossInputs) -> Parts:
    """Return the autoencoder's loss and its parts."""
    autoencoder, job = given.networks.autoencoder, given.job
    target = given.networks.coded(given.batch["outputs"], given.batch["inputs"])
    mean, log_variance = (t.float() for t in autoencoder.encode(target))
    noise = torch.randn(mean.shape, generator=given.generator).to(mean.device)
    output = autoencoder.decode(mean + (log_variance / 2).exp() * noise)
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    image = IMAGE_LOSSES[job.task.loss].distance(output, target)
    loss, parts = image + job.kl_weight * kl, {"image": image, "kl": kl}
    if weight := job.vae_adversarial:
        from ..models.pix2pix import adversarial_losses

        fooled, judged = adversarial_losses(
            given.modules["discriminator"], given.batch["inputs"], output.float(), target
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


def consistency_loss(given: LossInputs) -> Parts:
    """Return the direct x0 term at sigma_max with the consistency loss, and its parts.

    Without the direct term the network needs far longer to find its nuclei: information has to
    creep up from sigma_min to sigma_max, where sampling starts. So it comes first, and the
    consistency term joins it after `consistency_start` of the phase.
    """
    c, denoiser = given.job.consistency, given.networks.denoiser
    latent, generator = given.batch["latent"], given.generator
    condition = given.networks.conditioned(given.batch["inputs"])
    parts: dict[str, Tensor] = {}
    loss = torch.zeros((), device=latent.device)
    late = c.consistency_start if c.direct_weight else 0.0
    if c.consistency_weight and given.progress >= late:
        n = _some(latent, c.consistency_share)
        if c.objective == "ect":
            done = (given.progress - late) / (1 - late)
            parts["ect"] = ect_loss(denoiser, latent[:n], condition[:n], done, generator)
        else:
            parts["adjacent"] = adjacent_loss(denoiser, latent[:n], condition[:n], generator)
        loss = loss + c.consistency_weight * parts[c.objective]
    if c.direct_weight:
        if "instances" in given.modules and "instances" in given.batch:
            start = pure_noise(denoiser, latent, generator)
            output, features = denoiser.with_features(*start, condition)
            told = given.modules["instances"](features)
            parts["instances"] = instance_loss(told, given.batch["instances"])
            loss = loss + given.job.instance_weight * parts["instances"]
        else:
            output = one_step(denoiser, latent, condition, generator)
        direct, more = direct_loss(given, output, c.spectrum_weight)
        loss, parts = loss + c.direct_weight * direct, parts | more
    return loss, parts


def direct_loss(given: LossInputs, output: Tensor, spectrum_weight: float = 0.0) -> Parts:
    """Return the distance of a latent to the clean one, and of both as images.

    Parameters
    ----------
    given : LossInputs
        With latents.
    output : Tensor
        Standardised latent (B, C, z, y, x).
    spectrum_weight : float
        Of `spectrum_loss` in the part on images.
    """
    latent = given.batch["latent"]
    parts = {
        "direct": site_distance(output, latent),
        # the spread of the output over the data's: near 0 the model has collapsed
        "spread": (output.std() / latent.std()).detach(),
    }
    loss = parts["direct"]
    c, batch, images = given.job.consistency, given.batch, IMAGE_LOSSES[given.job.task.loss]
    if c.image_weight:
        n = _some(latent, c.image_share)
        decoded = given.networks.decode(output[:n], batch["inputs"][:n])
        parts["image"] = images.distance(decoded, batch["outputs"][:n])
        loss = loss + c.image_weight * parts["image"]
        if spectrum_weight and images.spectrum:
            with torch.no_grad():  # the decoder knows no noise: the DAPI without it
                clean = given.networks.decode(latent[:n], batch["inputs"][:n])
            parts["spectrum"] = spectrum_loss(decoded, clean)
            loss = loss + spectrum_weight * parts["spectrum"]
    return loss, parts


def spectrum_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return how far the detail of a stain is from that of the truth: mean |log10| of power ratios.

    Whatever a distance of voxels cannot be sure of, it is best off leaving out: blur. The power of
    the detail, wherever it lies, is not lowered by that. In-plane radial spectra, as shares of the
    power at the scale of nuclei, so that showing more or brighter nuclei gains nothing.

    Parameters
    ----------
    output, target : Tensor
        Stabilised DAPI (B, 1, Z, Y, X), both without noise.
    """
    ratio = _spectrum(output).log10() - _spectrum(target).log10()
    return (ratio[:, _SCALE:] - ratio[:, :_SCALE].mean(1, keepdim=True)).abs().mean()


def _spectrum(outputs: Tensor) -> Tensor:
    """Return the power in bins of frequency, even in log, from nuclei to the finest: (B, bins)."""
    y = outputs.float().flatten(0, 1)
    # squared, as in the unit of the camera, by which detail is seen
    y = y * y.abs() + 2 * LINEAR**0.5 * y
    *_, ny, nx = y.shape
    window = torch.hann_window(ny)[:, None] * torch.hann_window(nx)
    power = torch.fft.rfft2((y - y.mean((-1, -2), keepdim=True)) * window.to(y)).abs().square()
    radius = (torch.fft.fftfreq(ny)[:, None].square() + torch.fft.rfftfreq(nx).square()).sqrt()
    edges = torch.logspace(math.log10(1 / 16), math.log10(0.4), _BINS + 1)  # cycles per voxel
    bins = torch.bucketize(radius, edges) - 1
    inside = torch.stack([bins == k for k in range(_BINS)]).to(y)
    share = inside / inside.sum((1, 2), keepdim=True).clamp_min(1)
    return torch.einsum("byx,kyx->bk", power.mean(1), share) + _LEAST


def edge_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return L1, squared error and the distance of gradients: where an edge lies counts too.

    Of what can be known of a volume between its slices, most is in few voxels; L1, whose optimum is
    a median, is content with none of it where noise is as strong.

    Parameters
    ----------
    output, target : Tensor
        Normalised (B, C, Z, Y, X).
    """
    error = output.float() - target.float()
    return error.abs().mean() + _SQUARED * error.square().mean() + perceptual_loss(output, target)


@dataclass(frozen=True)
class ImageLoss:
    """What matters in an image.

    Parameters
    ----------
    distance : callable
        From output and target, (B, C, Z, Y, X), to a scalar.
    spectrum : bool
        Whether `spectrum_loss` applies, which knows light that was counted and nuclei.
    """

    distance: Callable[[Tensor, Tensor], Tensor]
    spectrum: bool


IMAGE_LOSSES = {"nuclei": ImageLoss(image_loss, True), "edges": ImageLoss(edge_loss, False)}


def _some(batch: Tensor, share: float) -> int:
    """Return how many of the patches of a batch make a share of it; they lie in random order."""
    return max(1, round(share * len(batch)))
