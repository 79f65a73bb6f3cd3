"""Latent diffusion (Ho et al. 2020): the rival that takes many steps.

The schedule, the noising and the DDIM step are diffusers'; latents are standardised and never
clipped. The network predicts v = sqrt(a) n - sqrt(1 - a) z (Salimans & Ho 2022), or, behind the
preconditioner of the consistency model, the clean latent z itself, never the noise n: z would be
(x - sqrt(1 - a) n)/sqrt(a), and a is 2e-9 where sampling starts. It is told the noise level as
sigma = sqrt((1 - a)/a), a the cumulated signal share.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..events import UserError
from .condition import Condition
from .config import DiffusionConfig
from .consistency import Denoiser
from .torchvision import check_torchvision

# F(x, sigma, condition), which predicts v or x0 of variance-preserving x
Predictor = Callable[[Tensor, Tensor, Tensor | Condition], Tensor]


def make_scheduler(config: DiffusionConfig) -> Any:
    """Return diffusers' DDIM scheduler for a configuration."""
    check_torchvision()  # diffusers imports it, and fails in a traceback where it does not fit
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        num_train_timesteps=config.train_steps,
        beta_schedule="squaredcos_cap_v2",
        prediction_type={"v": "v_prediction", "x0": "sample"}[config.prediction],
        clip_sample=False,
        timestep_spacing="trailing",  # the first step starts from pure noise (Lin et al. 2024)
    )


# for training alone, once and not at every step: a sampler sets the time steps of its own
_training_scheduler = lru_cache(make_scheduler)


def predictor(denoiser: Denoiser, config: DiffusionConfig) -> Predictor:
    """Return what predicts v or x0: the bare network, or the denoiser.

    A consistency model's weights are then a diffusion model from the first step on: it denoises the
    same latents, and has x = z + sigma n where diffusion has x / sqrt(1 + sigma²).
    """
    if config.prediction == "v":
        return denoiser.network

    def predict_x0(x: Tensor, sigma: Tensor, condition: Tensor | Condition) -> Tensor:
        """Return the clean latent; from sigma_max on there is nothing but noise."""
        sigma = sigma.clamp_max(denoiser.config.sigma_max)
        grown = (1 + sigma.square()).sqrt()[:, None, None, None, None]
        return denoiser(grown * x, sigma, condition)

    return predict_x0


def predict(network: Predictor, x: Tensor, a: Tensor, condition: Tensor | Condition) -> Tensor:
    """Return what the network predicts of noisy latents x (B, C, z, y, x) of signal shares a."""
    sigma = ((1 - a) / a).sqrt()
    predicted: Tensor = network(x, sigma, condition).float()
    return predicted


def diffusion_loss(
    network: Predictor,
    config: DiffusionConfig,
    latent: Tensor,
    condition: Tensor | Condition,
    generator: torch.Generator,
) -> Tensor:
    """Return the loss of v or x0, weighted by min-SNR, one scalar.

    Parameters
    ----------
    network : callable
        From `predictor`.
    config : DiffusionConfig
        Schedule and weight.
    latent : Tensor
        Clean standardised latents (B, C, z, y, x).
    condition : Tensor
        QPI features (B, K, z, y, x).
    generator : torch.Generator
        Source of noise, times and dropout.
    """
    scheduler = _training_scheduler(config)
    count = len(latent)
    t = torch.randint(0, config.train_steps, (count,), generator=generator)
    noise = torch.randn(latent.shape, generator=generator).to(latent.device)
    keep = torch.rand(count, generator=generator) >= config.condition_dropout
    a = scheduler.alphas_cumprod[t].to(latent.device)
    t = t.to(latent.device)
    shown = condition * keep.to(condition.device)[:, None, None, None, None]
    predicted = predict(network, scheduler.add_noise(latent, noise, t), a, shown)
    weight = (snr := a / (1 - a)).clamp_max(config.min_snr)
    target = latent
    if config.prediction == "v":  # an error of v is one of x0 times sqrt(SNR + 1)
        target, weight = scheduler.get_velocity(latent, noise, t), weight / (snr + 1)
    return (weight * (predicted - target).square().flatten(1).mean(1)).mean()


class DiffusionSampler:
    """DDIM (Song et al. 2021), deterministic after the first noise.

    Parameters
    ----------
    network : callable
        From `predictor`.
    config : DiffusionConfig
        Schedule and guidance.
    steps : int
        Steps of the sampler.

    Raises
    ------
    UserError
        If they are more than those of the training.
    """

    def __init__(self, network: Predictor, config: DiffusionConfig, steps: int) -> None:
        if steps > config.train_steps:
            raise UserError(f"This diffusion model takes at most {config.train_steps} steps.")
        self.network, self.config, self.steps = network, config, steps
        self.scheduler = make_scheduler(config)
        self.scheduler.set_timesteps(steps)

    def step(self, index: int, x: Tensor, noise: Tensor, condition: Tensor | Condition) -> Tensor:
        """Return the latent after step `index`; the first starts from `noise`."""
        x = noise if index == 0 else x
        t = int(self.scheduler.timesteps[index])
        a = self.scheduler.alphas_cumprod[t].to(x.device).expand(len(x))
        predicted = predict(self.network, x, a, condition)
        if self.config.guidance != 1:
            free = predict(self.network, x, a, condition * 0.0)
            predicted = free + self.config.guidance * (predicted - free)
        after: Tensor = self.scheduler.step(predicted, t, x).prev_sample
        return after
