"""The local networks: autoencoder of the outputs, encoder of the inputs, latent U-Net.

Sizes in comments are for a patch of 32 x 64 x 64 voxels and the default configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .autoencoders.networks import Autoencoder
from .blocks import (
    ChannelNorm,
    DepthToSpace,
    NoiseEmbedding,
    ResBlock,
    SpaceToDepth,
    level_strides,
)
from .condition import Condition, features_of
from .config import Factor, NetworkConfig


class Encoder(nn.Sequential):
    """Volume (B, C, Z, Y, X) to features (B, outputs, Z/f, Y/f, X/f).

    A space-to-depth stem makes the first halving, strided convolutions the others. `halo` is how
    many voxels (z, y, x) beyond its own an output site sees. `channels` is C.
    """

    def __init__(
        self, widths: Sequence[int], factor: Factor, outputs: int, channels: int = 1
    ) -> None:
        stem, *strides = level_strides(factor)
        layers: list[nn.Module] = [
            SpaceToDepth(stem),
            nn.Conv3d(channels * stem[0] * stem[1] * stem[2], widths[0], 3, padding=1),
            ResBlock(widths[0], widths[0]),
        ]
        for stride, before, after in zip(strides, widths[:-1], widths[1:], strict=True):
            layers += [Down(before, after, stride), ResBlock(after, after)]
        last = widths[-1]
        layers += [
            ResBlock(last, last),
            ChannelNorm(last),
            nn.SiLU(),
            nn.Conv3d(last, outputs, 3, padding=1),
        ]
        super().__init__(*layers)
        self.halo = _per_axis(_encoder_reach, level_strides(factor))


class Decoder(nn.Sequential):
    """Latent (B, C, z, y, x) to volume (B, channels, z·f, y·f, x·f).

    `halo` is how many latent sites (z, y, x) beyond the one it lies in a voxel sees.
    """

    def __init__(
        self, widths: Sequence[int], factor: Factor, inputs: int, channels: int = 1
    ) -> None:
        stem, *strides = level_strides(factor)
        last = widths[-1]
        layers: list[nn.Module] = [nn.Conv3d(inputs, last, 3, padding=1), ResBlock(last, last)]
        for stride, before, after in zip(strides[::-1], widths[:0:-1], widths[-2::-1], strict=True):
            layers += [ResBlock(before, before), Up(before, after, stride)]
        joins = len(layers)
        layers += [
            ResBlock(widths[0], widths[0]),
            ChannelNorm(widths[0]),
            nn.SiLU(),
            nn.Conv3d(widths[0], channels * stem[0] * stem[1] * stem[2], 3, padding=1),
            DepthToSpace(stem),
        ]
        super().__init__(*layers)
        self._joins = joins
        self.halo = _per_axis(_decoder_reach, level_strides(factor))

    def forward(self, z: Tensor, skip: Tensor | None = None) -> Tensor:
        """Return the volume of latent z; `skip` (B, W, Z/s, Y/s, X/s) joins before the last block.

        W is the finest width and s the stride of the stem.
        """
        h = z
        for index, layer in enumerate(self):
            if skip is not None and index == self._joins:
                h = h + skip
            h = layer(h)
        return h


class Contracting(nn.Module):
    """The encoder of a `LatentUNet`, and of a control branch, which is a copy of it."""

    embed: NoiseEmbedding
    stem: nn.Conv3d
    down: nn.ModuleList
    shrink: nn.ModuleList
    middle: ResBlock

    def contract(self, x: Tensor, e: Tensor, features: Tensor) -> list[Tensor]:
        """Return the skips, fine to coarse, and behind them the middle.

        Parameters
        ----------
        x, features : Tensor
            (B, C, z, y, x) and (B, K, z, y, x), concatenated.
        e : Tensor
            Embedding (B, E) of the noise level.
        """
        h = self.stem(torch.cat([x, features], 1))
        levels: list[Tensor] = []
        for level, blocks in enumerate(self.down):
            h = blocks(self.shrink[level - 1](h) if level else h, e)
            levels.append(h)
        levels[-1] = self.middle(levels[-1], e)
        return levels


class LatentUNet(Contracting):
    """The conditional U-Net F(c_in x, ln sigma/4, c) on the latent grid.

    `halo` is how many latent sites (z, y, x) an output sees beyond its block of 2^(levels - 1).

    Parameters
    ----------
    channels : int
        Latent channels, in and out.
    condition : int
        Channels of the inputs' features, concatenated to the noisy latent.
    widths : sequence of int
        Channels of each level; each level halves z, y and x.
    blocks : int
        Residual blocks for each level and direction.
    """

    def __init__(self, channels: int, condition: int, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        e = 2 * widths[0]
        self.embed = NoiseEmbedding(widths[0], e)
        self.stem = nn.Conv3d(channels + condition, widths[0], 3, padding=1)
        self.down = nn.ModuleList(Blocks(width, width, e, blocks) for width in widths)
        self.up = nn.ModuleList(Blocks(2 * width, width, e, blocks) for width in widths[:-1])
        pairs = list(pairwise(widths))
        self.shrink = nn.ModuleList(Down(fine, coarse, (2, 2, 2)) for fine, coarse in pairs)
        self.grow = nn.ModuleList(Up(coarse, fine, (2, 2, 2)) for fine, coarse in pairs)
        self.middle = ResBlock(widths[-1], widths[-1], e)
        self.head = nn.Sequential(
            ChannelNorm(widths[0]), nn.SiLU(), nn.Conv3d(widths[0], channels, 3, padding=1)
        )
        reach = _unet_reach(len(widths), blocks)
        self.halo = (reach, reach, reach)

    def forward(self, x: Tensor, sigma: Tensor, condition: Tensor | Condition) -> Tensor:
        """Return F for latent x (B, C, z, y, x), sigma (B,), condition (B, K, z, y, x)."""
        return self.head[-1](self.features(x, sigma, condition))

    def silence(self) -> None:
        """Let the output begin as 0."""
        for weights in self.head[-1].parameters():
            nn.init.zeros_(weights)

    def features(self, x: Tensor, sigma: Tensor, condition: Tensor | Condition) -> Tensor:
        """Return what the last convolution makes F of: (B, W, z, y, x), W the finest width."""
        e = self.embed(sigma).to(x.dtype)
        levels = self.contract(x, e, features_of(condition))
        if isinstance(condition, Condition) and condition.added:
            levels = [h + a for h, a in zip(levels, condition.added, strict=True)]
        *skips, h = levels
        for level in reversed(range(len(self.up))):
            h = self.up[level](torch.cat([self.grow[level](h), skips.pop()], 1), e)
        return self.head[:-1](h)


class LocalAutoencoder(Autoencoder):
    """The default: convolutions and norms over channels only."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        factor, latents, channels = config.factor, config.latent_channels, config.outputs
        self.encoder = Encoder(config.encoder_widths, factor, 2 * latents, channels)
        self.decoder = Decoder(config.decoder_widths, factor, latents, channels)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance (B, C, z, y, x) of the latent of x (B, outputs, Z, Y, X)."""
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return mean, log_variance.clamp(-20, 10)

    def decode(self, z: Tensor, skip: Tensor | None = None) -> Tensor:
        """Return the volume (B, outputs, Z, Y, X) of a latent; `skip` as in `Decoder`."""
        return self.decoder(z, skip)


def make_skip(config: NetworkConfig) -> nn.Module:
    """Return the encoder of inputs whose features join the decoder; at first it adds nothing."""
    stem = level_strides(config.factor)[0]
    width = config.decoder_widths[0]
    encoder = Encoder((width,), stem, width, config.inputs)
    last = encoder[-1]
    assert isinstance(last, nn.Conv3d)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    return encoder


class Blocks(nn.Module):
    """Residual blocks that share one embedding."""

    def __init__(self, inputs: int, outputs: int, embedding: int, count: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ResBlock(outputs if i else inputs, outputs, embedding) for i in range(count)
        )

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return the features of x (B, C, z, y, x), modulated by embedding (B, E)."""
        for block in self.blocks:
            x = block(x, embedding)
        return x


class Down(nn.Module):
    """Strided convolution; kernel 3, so that its reach is one voxel of the finer grid."""

    def __init__(self, inputs: int, outputs: int, stride: Factor) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return x on the coarser grid."""
        return self.conv(x)


class Up(nn.Module):
    """Nearest-neighbour growth and a convolution (no checkerboard, Odena et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: Factor) -> None:
        super().__init__()
        self.stride = tuple(float(s) for s in stride)
        self.conv = nn.Conv3d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return x on the finer grid."""
        return self.conv(F.interpolate(x, scale_factor=self.stride, mode="nearest"))


# How far an output sees, followed from the output back to the input. A 3-wide convolution adds 1,
# a residual block 2; a strided 3-wide convolution turns r sites into stride * r + 1 finer ones,
# nearest-neighbour growth by a stride turns r into ceil(r / stride) coarser ones.


def _encoder_reach(strides: Sequence[int]) -> int:
    """Return the reach of `Encoder` along one axis, in voxels; `strides` fine to coarse."""
    reach = 3  # the last residual block and convolution
    for stride in reversed(strides[1:]):
        reach = (reach + 2) * stride + 1
    return (reach + 3) * strides[0]


def _decoder_reach(strides: Sequence[int]) -> int:
    """Return the reach of `Decoder` along one axis, in latent sites; `strides` fine to coarse."""
    reach = 3  # the last residual block and convolution
    for stride in strides[1:]:
        reach = -(-(reach + 1) // stride) + 2
    return reach + 3


def _unet_reach(levels: int, blocks: int) -> int:
    """Return the reach of `LatentUNet` along each axis, in latent sites."""
    reach, skips = 1, []
    for _ in range(levels - 1):
        reach += 2 * blocks
        skips.append(reach)
        reach = -(-(reach + 1) // 2)
    reach += 2 + 2 * blocks
    for skip in reversed(skips):
        reach = max(2 * reach + 1, skip) + 2 * blocks
    return reach + 1


def _per_axis(reach: Callable[[Sequence[int]], int], strides: Sequence[Factor]) -> Factor:
    z, y, x = (reach(axis) for axis in zip(*strides, strict=True))
    return (z, y, x)
