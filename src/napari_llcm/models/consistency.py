"""The consistency model: its preconditioner, its objective and its samplers.

f(x; sigma, c) maps a noisy latent at any noise level straight to the clean latent
(Song et al. 2023); it is trained in the ECT form (Geng et al. 2024, "Consistency Models Made
Easy"): both points share one noise, the gap between them closes stage by stage, and the teacher
is the student itself under stop-grad, never an EMA.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from .config import ConsistencyConfig

if TYPE_CHECKING:
    from .condition import Condition
    from .networks import LatentUNet


class Denoiser(nn.Module):
    """Wrap a network F so that f(x; sigma_min) = x holds by construction.

    f = c_skip x + c_out F(c_in x, ln sigma/4, c); c_skip and c_out of Karras et al. 2022 with the
    boundary condition of Song et al. 2023. c_in is sigma_d²/(sigma² + sigma_d²), which makes c_in x
    the Wiener estimate of the clean latent, and not 1/sqrt(sigma² + sigma_d²), which makes it of
    unit variance: at sigma_max, where x tells nothing, F would be given noise as loud as the
    features, and has to learn to overhear it. Skip and sum are kept in float32; only F may run in
    bfloat16.
    """

    def __init__(self, network: nn.Module, config: ConsistencyConfig) -> None:
        super().__init__()
        self.network, self.config = network, config

    def forward(self, x: Tensor, sigma: Tensor, condition: Tensor | Condition) -> Tensor:
        """Return the clean latent for x (B, C, z, y, x) at noise levels sigma (B,)."""
        c_skip, c_out, c_in = self._scales(sigma)
        return c_skip * x + c_out * self.network(c_in * x, sigma, condition).float()

    def with_features(
        self, x: Tensor, sigma: Tensor, condition: Tensor | Condition
    ) -> tuple[Tensor, Tensor]:
        """Return the clean latent, and a `LatentUNet`'s last features (B, W, z, y, x)."""
        network = cast("LatentUNet", self.network)
        c_skip, c_out, c_in = self._scales(sigma)
        features = network.features(c_in * x, sigma, condition)
        return c_skip * x + c_out * network.head[-1](features).float(), features

    def _scales(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return c_skip, c_out and c_in at noise levels sigma (B,)."""
        s = _wide(sigma.float())
        d, low = self.config.sigma_data, self.config.sigma_min
        c_skip = d**2 / ((s - low) ** 2 + d**2)
        return c_skip, (s - low) * d / (s**2 + d**2).sqrt(), d**2 / (s**2 + d**2)


def pseudo_huber(a: Tensor, b: Tensor) -> Tensor:
    """Return the pseudo-Huber distance for each sample (B,), averaged over its elements.

    sqrt(|a - b|² + k²) - k with k = 0.00054 sqrt(n) (Song & Dhariwal 2023), over the norm's
    sqrt(n), so that its size does not depend on the patch.
    """
    k = 0.00054
    return ((a - b).square().flatten(1).mean(1) + k**2).sqrt() - k


def site_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return sqrt(|a - b|²/C + k²) - k, averaged over latent sites: one scalar.

    With the norm of a whole patch, as in `pseudo_huber`, the best answer is the mean of what could
    be there: a nucleus with a chance of 1 in 3 is shown dimly. With a norm for each site it is a
    median (Weber's): what is likelier. k is about the noise of a latent, below which squares count.

    Parameters
    ----------
    a, b : Tensor
        Standardised latents (B, C, z, y, x).
    """
    k = 0.3
    return (((a - b).square().mean(1) + k**2).sqrt() - k).mean()


def ect_loss(
    denoiser: Denoiser,
    latent: Tensor,
    condition: Tensor | Condition,
    progress: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the consistency loss, one scalar.

    Parameters
    ----------
    denoiser : Denoiser
        The student; under stop-grad also the teacher.
    latent : Tensor
        Clean standardised latents (B, C, z, y, x).
    condition : Tensor
        QPI features (B, K, z, y, x).
    progress : float
        How much of the training is done, 0 to 1; sets the stage.
    generator : torch.Generator, optional
        Source of the noise.
    """
    c = denoiser.config
    stage = min(int(progress * c.stages), c.stages - 1)
    log_t = torch.randn(len(latent), generator=generator).to(latent.device)
    t = (c.log_sigma_mean + c.log_sigma_std * log_t).exp().clamp(c.sigma_min * 2, c.sigma_max)
    # r/t = 1 - q^-(stage+1) n(t), n(t) = 1 + 8 sigmoid(-t): the gap closes stage by stage
    r = t * (1 - c.q ** -(stage + 1) * (1 + 8 * torch.sigmoid(-t))).clamp_min(0)
    noise = _noise_like(latent, generator)
    student = denoiser(latent + _wide(t) * noise, t, condition)
    with torch.no_grad():
        teacher = denoiser(latent + _wide(r) * noise, r.clamp_min(c.sigma_min), condition.detach())
        # r = 0 is the boundary: the clean latent itself is the target
        teacher = torch.where(_wide(r) > c.sigma_min, teacher, latent)
    # ECT weighs by 1/(t - r). Times t/(1 + t) it is of order 1/gap at every noise level, so that
    # a few samples near sigma_min do not drown the rest.
    weight = t / (t - r) / (1 + t)
    return (weight * pseudo_huber(student, teacher)).mean()


def adjacent_loss(
    denoiser: Denoiser,
    latent: Tensor,
    condition: Tensor | Condition,
    generator: torch.Generator | None = None,
    levels: int = 40,
) -> Tensor:
    """Return the plain loss first written down: the MSE between two adjacent noise levels.

    Nothing in it but the preconditioner knows the clean latent, so a constant is a minimum.

    Parameters
    ----------
    denoiser, latent, condition, generator
        As in `ect_loss`.
    levels : int
        Noise levels, even in log, between sigma_min and sigma_max.
    """
    c = denoiser.config
    ratio = (c.sigma_max / c.sigma_min) ** (1 / (levels - 1))
    step = torch.randint(1, levels, (len(latent),), generator=generator).to(latent.device)
    t = c.sigma_min * ratio ** step.float()
    noise = _noise_like(latent, generator)
    student = denoiser(latent + _wide(t) * noise, t, condition)
    with torch.no_grad():
        teacher = denoiser(latent + _wide(t / ratio) * noise, t / ratio, condition)
    return (student - teacher).square().mean()


def one_step(
    denoiser: Denoiser,
    latent: Tensor,
    condition: Tensor | Condition,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return f(sigma_max n; sigma_max, c) for fresh noise n shaped like `latent`."""
    return denoiser(*pure_noise(denoiser, latent, generator), condition)


def pure_noise(
    denoiser: Denoiser, latent: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return where sampling starts: sigma_max n, shaped like `latent`, and sigma_max (B,)."""
    sigma = torch.full((len(latent),), denoiser.config.sigma_max, device=latent.device)
    return _wide(sigma) * _noise_like(latent, generator), sigma


def sample(
    denoiser: Denoiser,
    noise: Sequence[Tensor],
    condition: Tensor | Condition,
    sigmas: Sequence[float],
) -> Tensor:
    """Return a clean latent by multistep consistency sampling (Song et al. 2023, algorithm 1).

    Parameters
    ----------
    denoiser : Denoiser
        The trained model.
    noise : sequence of Tensor
        Standard normal noise (B, C, z, y, x), one for each step.
    condition : Tensor
        QPI features (B, K, z, y, x).
    sigmas : sequence of float
        Noise levels, falling; the first is sigma_max. One entry is one-step sampling.
    """
    x = torch.zeros_like(noise[0])
    for n, sigma in zip(noise, sigmas, strict=True):
        x = refine(denoiser, x, n, condition, sigma)
    return x


def refine(
    denoiser: Denoiser, x: Tensor, noise: Tensor, condition: Tensor | Condition, sigma: float
) -> Tensor:
    """Return the clean latent after one step: noise of level `sigma` added to x and removed.

    Parameters
    ----------
    denoiser : Denoiser
        The trained model.
    x : Tensor
        The latent of the step before (B, C, z, y, x); zeros in the first.
    noise : Tensor
        Standard normal noise shaped like `x`.
    condition : Tensor
        QPI features (B, K, z, y, x).
    sigma : float
        Noise level, at least sigma_min.
    """
    level = math.sqrt(max(sigma**2 - denoiser.config.sigma_min**2, 0.0))
    s = torch.full((len(x),), sigma, device=x.device)
    return denoiser(x + level * noise, s, condition)


def step_sigmas(config: ConsistencyConfig, steps: int) -> list[float]:
    """Return falling noise levels for `steps` steps, evenly spaced in log from sigma_max to 0.2."""
    if steps == 1:
        return [config.sigma_max]
    low = 0.2 * config.sigma_data
    return [config.sigma_max * (low / config.sigma_max) ** (i / (steps - 1)) for i in range(steps)]


def _wide(sigma: Tensor) -> Tensor:
    return sigma[:, None, None, None, None]


def _noise_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    # drawn on the CPU, so that a seed gives the same training on every device
    return torch.randn(x.shape, generator=generator).to(x.device)
