"""Latent diffusion's autoencoder in 3D (Rombach et al. 2022), with the names of MedVAE's weights.

Beside MedVAE's own sizes it takes any strides of z, y and x, attention at any level, and heads.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import Factor, MedVaeKind


class LatentDiffusionAutoencoder(nn.Module):
    """Volume (B, 1, Z, Y, X) to mean and log variance of a latent, and back.

    Parameters
    ----------
    kind : MedVaeKind
        Sizes.
    """

    def __init__(self, kind: MedVaeKind) -> None:
        super().__init__()
        latent = kind.latent_channels
        self.encoder, self.decoder = _Encoder(kind), _Decoder(kind)
        self.quant_conv = nn.Conv3d(2 * latent, 2 * latent, 1)
        self.post_quant_conv = nn.Conv3d(latent, latent, 1)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance (B, C, z, y, x)."""
        mean, log_variance = self.quant_conv(self.encoder(x)).chunk(2, 1)
        return mean, log_variance.clamp(-30, 20)

    def decode(self, z: Tensor) -> Tensor:
        """Return the volume (B, 1, Z, Y, X) of a latent (B, C, z, y, x)."""
        return self.decoder(self.post_quant_conv(z))


class _Encoder(nn.Module):
    def __init__(self, kind: MedVaeKind) -> None:
        super().__init__()
        self.conv_in = nn.Conv3d(1, kind.channels[0], 3, padding=1)
        before = (kind.channels[0], *kind.channels[:-1])
        self.down = nn.ModuleList(
            _Level(kind, level, inputs, kind.res_blocks) for level, inputs in enumerate(before)
        )
        for stride, width, level in zip(kind.strides, kind.channels[:-1], self.down, strict=False):
            level.add_module("downsample", _Downsample(width, stride))
        self.mid = _Middle(kind)
        self.norm_out = _norm(kind, kind.channels[-1])
        self.conv_out = nn.Conv3d(kind.channels[-1], 2 * kind.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(x)
        for level in self.down:
            h = level(h)
        return self.conv_out(F.silu(self.norm_out(self.mid(h))))


class _Decoder(nn.Module):
    def __init__(self, kind: MedVaeKind) -> None:
        super().__init__()
        self.conv_in = nn.Conv3d(kind.latent_channels, kind.channels[-1], 3, padding=1)
        self.mid = _Middle(kind)
        before = (*kind.channels[1:], kind.channels[-1])
        self.up = nn.ModuleList(
            _Level(kind, level, inputs, kind.res_blocks + 1) for level, inputs in enumerate(before)
        )
        for index, stride in enumerate(kind.strides):
            self.up[index + 1].add_module("upsample", _Upsample(kind.channels[index + 1], stride))
        self.norm_out = _norm(kind, kind.channels[0])
        self.conv_out = nn.Conv3d(kind.channels[0], 1, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            h = level(h)
        return self.conv_out(F.silu(self.norm_out(h)))


class _Level(nn.Module):
    """Residual blocks, each with attention where the level has it, and a change of the grid."""

    def __init__(self, kind: MedVaeKind, level: int, inputs: int, blocks: int) -> None:
        super().__init__()
        width = kind.channels[level]
        self.block = nn.ModuleList(
            _ResBlock(kind, width if k else inputs, width) for k in range(blocks)
        )
        attentive = blocks if kind.attention_levels[level] else 0
        self.attn = nn.ModuleList(_Attention(kind, width) for _ in range(attentive))

    def forward(self, h: Tensor) -> Tensor:
        for index, block in enumerate(self.block):
            h = block(h)
            if len(self.attn):
                h = self.attn[index](h)
        for name in ("downsample", "upsample"):
            if hasattr(self, name):
                h = getattr(self, name)(h)
        return h


class _Middle(nn.Module):
    def __init__(self, kind: MedVaeKind) -> None:
        super().__init__()
        width = kind.channels[-1]
        self.block_1 = _ResBlock(kind, width, width)
        self.attn_1 = _Attention(kind, width) if kind.middle_attention else nn.Identity()
        self.block_2 = _ResBlock(kind, width, width)

    def forward(self, h: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(h)))


class _ResBlock(nn.Module):
    def __init__(self, kind: MedVaeKind, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(kind, inputs), _norm(kind, outputs)
        self.conv1 = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv3d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + h


class _Attention(nn.Module):
    """Attention of every site to every other."""

    def __init__(self, kind: MedVaeKind, width: int) -> None:
        super().__init__()
        self.heads = kind.heads
        self.norm = _norm(kind, width)
        self.q, self.k, self.v = (nn.Conv3d(width, width, 1) for _ in range(3))
        self.proj_out = nn.Conv3d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        # (B, C, z, y, x) to (B, heads, sites, C / heads)
        q, k, v = (
            f(h).flatten(2).unflatten(1, (self.heads, -1)).transpose(2, 3)
            for f in (self.q, self.k, self.v)
        )
        found = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(x.shape)
        return x + self.proj_out(found)


class _Downsample(nn.Module):
    """Strided convolution, padded at the far end alone along the axes that are halved."""

    def __init__(self, width: int, stride: Factor) -> None:
        super().__init__()
        self.conv = nn.Conv3d(width, width, 3, stride=stride)
        self.pad = [n for s in reversed(stride) for n in ((0, 1) if s == 2 else (1, 1))]

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, self.pad))


class _Upsample(nn.Module):
    def __init__(self, width: int, stride: Sequence[int]) -> None:
        super().__init__()
        self.scale = tuple(float(s) for s in stride)
        self.conv = nn.Conv3d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=self.scale, mode="nearest"))


def _norm(kind: MedVaeKind, width: int) -> nn.Module:
    return torch.nn.GroupNorm(kind.norm_groups, width, eps=1e-6)
