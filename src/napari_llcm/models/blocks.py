"""The local building blocks: no statistic reaches further than a convolution does.

GroupNorm and InstanceNorm average over space, so a voxel's value changes with the tile that it
is computed in, and tiles show seams. Here every norm is over the channels of one voxel,
so a result depends on a bounded neighbourhood only.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from .shallow import while_recomputed


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of each voxel of (B, C, Z, Y, X).

    LayerNorm has a fused kernel everywhere; in channels-last memory no voxel is moved for it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return x, centred and divided by its deviation over channels, times the gain."""
        gain = self.gain.to(x.dtype)
        last = F.layer_norm(x.permute(0, 2, 3, 4, 1), gain.shape, gain, eps=1e-5)
        return last.permute(0, 4, 1, 2, 3)


class ResBlock(nn.Module):
    """Pre-activation residual block; `embedding` channels modulate it where given (FiLM).

    With `recompute`, activations are computed again on the way back instead of kept (gradient
    checkpointing): a third more time for far less memory.
    """

    recompute = False

    def __init__(self, inputs: int, outputs: int, embedding: int = 0) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(inputs), ChannelNorm(outputs)
        self.conv1 = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv3d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.film = nn.Linear(embedding, 2 * outputs) if embedding else None
        nn.init.zeros_(self.conv2.weight)  # each block starts as the identity

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        """Return the block's output for x (B, C, Z, Y, X) and embedding (B, E)."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(
                self._forward, x, embedding, use_reentrant=False, context_fn=while_recomputed
            )
        return self._forward(x, embedding)

    def _forward(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        h = self.norm2(self.conv1(F.silu(self.norm1(x))))
        if self.film is not None and embedding is not None:
            scale, shift = self.film(embedding)[:, :, None, None, None].chunk(2, 1)
            h = h * (1 + scale) + shift
        return self.skip(x) + self.conv2(F.silu(h))


class SpaceToDepth(nn.Module):
    """Move blocks of `factor` voxels into channels: (B, C, Z, Y, X) to (B, C·f, Z/f, Y/f, X/f)."""

    def __init__(self, factor: tuple[int, int, int]) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Return x rearranged; the size must divide."""
        (b, c, *size), (p, q, r) = x.shape, self.factor
        z, y, w = (n // f for n, f in zip(size, self.factor, strict=True))
        x = x.reshape(b, c, z, p, y, q, w, r).permute(0, 1, 3, 5, 7, 2, 4, 6)
        return x.reshape(b, c * p * q * r, z, y, w)


class DepthToSpace(nn.Module):
    """The inverse of `SpaceToDepth` (pixel shuffle)."""

    def __init__(self, factor: tuple[int, int, int]) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Return x rearranged; the channels must divide."""
        (b, c, z, y, w), (p, q, r) = x.shape, self.factor
        c = c // (p * q * r)
        x = x.reshape(b, c, p, q, r, z, y, w).permute(0, 1, 5, 2, 6, 3, 7, 4)
        return x.reshape(b, c, z * p, y * q, w * r)


class NoiseEmbedding(nn.Module):
    """Embed ln(sigma)/4 by Fourier features and a small MLP: (B,) to (B, E)."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(0, 4, channels // 2, base=2.0))
        self.mlp = nn.Sequential(
            nn.Linear(channels, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU()
        )

    def forward(self, sigma: Tensor) -> Tensor:
        """Return the embedding of sigma (B,)."""
        angle = (sigma.float().log() / 4)[:, None] * self.get_buffer("frequencies") * math.pi
        return self.mlp(torch.cat([angle.cos(), angle.sin()], 1))


def level_strides(factor: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Return the stride of each halving that together make `factor`; the finest comes first.

    Axes with fewer halvings than others are halved first, in the stem, where voxels are many.
    """
    counts = [f.bit_length() - 1 for f in factor]
    return [
        (2 if counts[0] > i else 1, 2 if counts[1] > i else 1, 2 if counts[2] > i else 1)
        for i in range(max(*counts, 1))
    ]
