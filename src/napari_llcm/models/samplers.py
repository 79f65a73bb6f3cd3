"""From noise and features of the inputs to a latent: one interface for every method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from .consistency import refine, step_sigmas
from .finite import FiniteSteps, checked
from .methods import METHODS
from .noise import noise_field

if TYPE_CHECKING:
    from .condition import Condition
    from .consistency import Denoiser
    from .info import ModelInfo
    from .stainer import StainerNetworks


class Sampler(Protocol):
    """The steps from noise to a latent; each is local, so volumes can be sampled in blocks."""

    steps: int

    def step(self, index: int, x: Tensor, noise: Tensor, condition: Tensor | Condition) -> Tensor:
        """Return the latent after step `index` from the one before (unread in the first)."""
        ...


class ConsistencySampler:
    """Multistep consistency sampling (Song et al. 2023, algorithm 1)."""

    def __init__(self, denoiser: Denoiser, steps: int) -> None:
        self.denoiser, self.steps = denoiser, steps
        self.sigmas = step_sigmas(denoiser.config, steps)

    def step(self, index: int, x: Tensor, noise: Tensor, condition: Tensor | Condition) -> Tensor:
        """Return the latent after step `index`."""
        x = x if index else torch.zeros_like(noise)
        return refine(self.denoiser, x, noise, condition, self.sigmas[index])


class RegressionSampler:
    """One evaluation without noise."""

    steps = 1

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser

    def step(self, index: int, x: Tensor, noise: Tensor, condition: Tensor | Condition) -> Tensor:
        """Return the latent; it does not depend on the noise."""
        return regress(self.denoiser, torch.zeros_like(noise), condition)


def regress(denoiser: Denoiser, zeros: Tensor, condition: Tensor | Condition) -> Tensor:
    """Return the latent that the condition alone tells, for `zeros` of its shape (B, C, z, y, x).

    The denoiser at sigma_max with its noise taken away: the LLCM's own network as a regressor.
    """
    sigma = torch.full((len(zeros),), denoiser.config.sigma_max, device=zeros.device)
    return denoiser(zeros, sigma, condition)


def make_sampler(info: ModelInfo, networks: StainerNetworks, steps: int | None = None) -> Sampler:
    """Return the sampler of a model in the latent space; each of its steps is checked.

    Parameters
    ----------
    info : ModelInfo
        Method and settings.
    networks : StainerNetworks
        The networks.
    steps : int, optional
        The method's own number by default.

    Raises
    ------
    UserError
        If the method cannot take that many steps.
    """
    make = METHODS[info.method].sampler
    if make is None:
        raise ValueError(f"{info.method} has no sampler")
    return FiniteSteps(make(info, networks, info.steps(steps)), info.name)


def field_at(
    seed: int, step: int, channels: int, start: tuple[int, ...], stop: tuple[int, ...]
) -> Tensor:
    """Return the noise (1, channels, z, y, x) of one step at latent sites `start` to `stop`."""
    # each step has a noise field of its own, far from the seeds that people choose
    z0, y0, x0 = start
    z1, y1, x1 = stop
    field = noise_field(seed + (step << 40), channels, (z0, y0, x0), (z1, y1, x1))
    return torch.from_numpy(field)[None]


def predict(
    info: ModelInfo,
    networks: StainerNetworks,
    inputs: Tensor,
    *,
    seed: int = 0,
    steps: int | None = None,
    start: tuple[int, ...] = (0, 0, 0),
    condition: Tensor | Condition | None = None,
) -> Tensor:
    """Return normalised outputs (1, O, Z, Y, X), float32, of one window of normalised inputs.

    Parameters
    ----------
    info : ModelInfo
        Method and settings.
    networks : StainerNetworks
        On the device of `inputs`.
    inputs : Tensor
        (1, I, Z, Y, X), sizes multiples of `info.network.multiple`.
    seed : int
        Which noise field.
    steps : int, optional
        The method's own number by default.
    start : tuple of int
        Latent site of the volume at which the window begins.
    condition : Tensor or Condition, optional
        What the phase encoder makes of `inputs`, where that is known; other methods have none.

    Raises
    ------
    UserError
        If the method cannot take that many steps, or a network gives values that are no numbers.
    """
    if not METHODS[info.method].latent:
        return checked(networks.generator(inputs).float(), f"The generator of model {info.name}")
    sampler = make_sampler(info, networks, steps)
    condition = networks.conditioned(inputs) if condition is None else condition
    stop = tuple(a + n for a, n in zip(start, condition.shape[2:], strict=True))
    channels = info.network.latent_channels
    x = torch.zeros((1, channels, *condition.shape[2:]), device=inputs.device)
    for i in range(sampler.steps):
        noise = field_at(seed, i, channels, start, stop).to(inputs.device)
        x = sampler.step(i, x, noise, condition)
    return checked(networks.decode(x, inputs).float(), f"The decoder of model {info.name}")
