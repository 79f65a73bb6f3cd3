"""Residual shifting (Yue et al. 2023): the rival that starts from a guess instead of noise.

A guess y of the latent is made from the QPI features; the chain x_t = z + eta_t (y - z) +
kappa sqrt(eta_t) n leads from it to the clean latent z in a few steps. Phase and DAPI share no
latent space, so the guess is a learned projection of the features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .condition import Condition, features_of
from .config import ResShiftConfig
from .consistency import pseudo_huber


def shifts(config: ResShiftConfig) -> list[float]:
    """Return eta_1 ... eta_T, rising: geometric in a power of the step (their equation 10)."""
    ratio = math.log(config.eta_max / config.eta_min)
    last = max(config.steps - 1, 1)
    return [
        config.eta_min * math.exp(ratio * (t / last) ** config.power) for t in range(config.steps)
    ]


def _predict(
    network: nn.Module,
    config: ResShiftConfig,
    x: Tensor,
    eta: Tensor,
    condition: Tensor | Condition,
) -> Tensor:
    """Return the clean latent that the network sees in x."""
    sigma = config.kappa * eta.sqrt()
    scale = (1 + sigma.square()).sqrt()[:, None, None, None, None]  # to unit variance
    z: Tensor = network(x / scale, sigma, condition).float()
    return z


def resshift_loss(
    network: nn.Module,
    guess: nn.Module,
    config: ResShiftConfig,
    latent: Tensor,
    condition: Tensor | Condition,
    generator: torch.Generator,
) -> Tensor:
    """Return the distance of the predicted latent, and of the guess, to the clean one.

    Parameters
    ----------
    network : Module
        F(x, sigma, condition).
    guess : Module
        Features to latent.
    config : ResShiftConfig
        The chain.
    latent : Tensor
        (B, C, z, y, x).
    condition : Tensor or Condition
        (B, K, z, y, x).
    generator : torch.Generator
        Source of noise and times.
    """
    etas = torch.tensor(shifts(config))
    chosen = torch.randint(0, config.steps, (len(latent),), generator=generator)
    eta = etas[chosen].to(latent.device)
    wide = eta[:, None, None, None, None]
    noise = torch.randn(latent.shape, generator=generator).to(latent.device)
    y = guess(features_of(condition)).float()
    x = latent + wide * (y.detach() - latent) + config.kappa * wide.sqrt() * noise
    z = _predict(network, config, x, eta, condition)
    return (pseudo_huber(z, latent) + pseudo_huber(y, latent)).mean()


class ResShiftSampler:
    """The chain backwards, from the guess (their equation 7).

    Parameters
    ----------
    network, guess : Module
        As in `resshift_loss`.
    config : ResShiftConfig
        The chain; it has as many steps as it was trained with.
    """

    def __init__(self, network: nn.Module, guess: nn.Module, config: ResShiftConfig) -> None:
        self.network, self.guess, self.config = network, guess, config
        self.steps, self.etas = config.steps, shifts(config)

    def step(self, index: int, x: Tensor, noise: Tensor, condition: Tensor | Condition) -> Tensor:
        """Return the mean after step `index`; the next step adds its noise."""
        at = self.steps - index - 1
        eta = self.etas[at]
        if index == 0:
            spread = self.config.kappa * math.sqrt(eta)
            x = self.guess(features_of(condition)).float()
        else:
            above = self.etas[at + 1]
            spread = self.config.kappa * math.sqrt(eta / above * (above - eta))
        x = x + spread * noise
        z = _predict(
            self.network, self.config, x, torch.full((len(x),), eta).to(x.device), condition
        )
        before = self.etas[at - 1] / eta if at else 0.0
        return before * x + (1 - before) * z
