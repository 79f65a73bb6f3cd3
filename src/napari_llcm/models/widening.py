"""A wider network that stains as a narrower one does (Net2WiderNet, Chen et al. 2016).

Each new channel is a copy of an old one, and what reads a channel gets its weights divided among
the copies. Where a width is multiplied, a norm over channels counts each as often as the others, as
before: the output is the same to rounding. Elsewhere it is close. So training goes on from what
was learned.

Copies that are read alike would be trained alike, for ever. So what reads them differs, by a random
part whose sum over the copies of a channel is 0: the output is the same, the gradients are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .blocks import ChannelNorm, ResBlock
from .config import NetworkConfig
from .networks import Down, Up
from .stainer import StainerNetworks

_SPREAD = 0.5  # of the random part, in deviations of the weights


def can_widen(old: NetworkConfig, new: NetworkConfig) -> bool:
    """Return whether a network of one configuration can be made one of the other."""
    widths = ("encoder_widths", "decoder_widths", "condition_widths", "unet_widths")
    sizes = [(getattr(old, name), getattr(new, name)) for name in widths]
    grows = {*widths, "unet_blocks", "decoder_skip", "generator_widths"}
    return (
        old.local
        and not old.control
        and old.model_dump(exclude=grows) == new.model_dump(exclude=grows)
        and all(len(a) == len(b) for a, b in sizes)
        and all(n >= m for a, b in sizes for m, n in zip(a, b, strict=True))
        and new.unet_blocks >= old.unet_blocks
        and new.decoder_skip >= old.decoder_skip
    )


@torch.no_grad()
def widened(networks: StainerNetworks, config: NetworkConfig, seed: int = 0) -> StainerNetworks:
    """Return networks of larger widths whose output is that of `networks`, or close to it.

    Residual blocks that are new, and a decoder's skip that is new, add nothing at first.

    Parameters
    ----------
    networks : StainerNetworks
        Local ones, of any method that works in the latent space.
    config : NetworkConfig
        For which `can_widen` holds.
    seed : int
        Of the random part.

    Raises
    ------
    ValueError
        If they cannot be widened to that.
    """
    if not can_widen(networks.network, config) or not hasattr(networks, "denoiser"):
        raise ValueError("these networks cannot be widened to that configuration")
    old = networks.network
    wide = StainerNetworks(config, networks.denoiser.config, networks.method)
    latent = _same(old.latent_channels)
    encoder = _copies(old.encoder_widths, config.encoder_widths)
    decoder = _copies(old.decoder_widths, config.decoder_widths)
    condition = _copies(old.condition_widths, config.condition_widths)
    unet = _copies(old.unet_widths, config.unet_widths)
    # the channels that each network's convolutions give, in order
    given: dict[str, list[Tensor | None]] = {
        "autoencoder.encoder": [*encoder, _same(2 * old.latent_channels)],
        "autoencoder.decoder": [*decoder[::-1], None],
        "condition": [*condition, condition[-1]],
        **({"skip": [decoder[0], decoder[0]]} if old.decoder_skip else {}),
    }
    copying = _Copying(torch.Generator().manual_seed(seed))
    for name, outputs in given.items():
        copying.chain(networks.get_submodule(name), wide.get_submodule(name), outputs)
    features = torch.cat([latent, condition[-1] + len(latent)])
    copying.unet(networks.denoiser.network, wide.denoiser.network, features, unet)
    if networks.method == "resshift":
        copying.linear(networks.guess, wide.guess, condition[-1], latent)
    wide.latent_mean.copy_(networks.latent_mean)
    wide.latent_std.copy_(networks.latent_std)
    return wide.train(networks.training)


def _same(channels: int) -> Tensor:
    return torch.arange(channels)


def _copies(old: Sequence[int], new: Sequence[int]) -> list[Tensor]:
    """Return for each level which old channel each new one is a copy of."""
    return [torch.arange(n) % m for m, n in zip(old, new, strict=True)]


def _twice(copies: Tensor, old: int) -> Tensor:
    """Return the copies of two groups of `old` channels, one behind the other."""
    return torch.cat([copies, copies + old])


class _Copying:
    """Copies modules into wider ones; channels are told by what they are copies of."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def linear(self, old: Any, new: Any, inputs: Tensor, outputs: Tensor) -> None:
        """Copy a convolution or a linear layer."""
        count = torch.bincount(inputs, minlength=old.weight.shape[1])
        share = count.view(1, -1, *[1] * (old.weight.ndim - 2))
        weight = (old.weight / share)[outputs][:, inputs]
        random = torch.randn(weight.shape, generator=self.generator).to(weight)
        mean = torch.zeros_like(old.weight[outputs]).index_add_(1, inputs, random) / share
        random -= mean[:, inputs]  # 0 in sum over the copies of a channel; 0 where there is one
        new.weight.copy_(weight + _SPREAD * weight.std() * random)
        if old.bias is not None and new.bias is not None:
            new.bias.copy_(old.bias[outputs])

    def block(
        self, old: Any, new: Any, inputs: Tensor, outputs: Tensor, e: Tensor | None = None
    ) -> None:
        """Copy a residual block; `e` are the channels of its embedding."""
        new.norm1.gain.copy_(old.norm1.gain[inputs])
        new.norm2.gain.copy_(old.norm2.gain[outputs])
        self.linear(old.conv1, new.conv1, inputs, outputs)
        self.linear(old.conv2, new.conv2, outputs, outputs)
        if not isinstance(old.skip, nn.Identity):
            self.linear(old.skip, new.skip, inputs, outputs)
        if old.film is not None and new.film is not None and e is not None:
            self.linear(old.film, new.film, e, _twice(outputs, old.film.out_features // 2))

    def blocks(self, old: Any, new: Any, inputs: Tensor, outputs: Tensor, e: Tensor) -> None:
        """Copy the blocks of a level; those that are new add nothing."""
        for index, block in enumerate(new.blocks):
            if index < len(old.blocks):
                self.block(old.blocks[index], block, outputs if index else inputs, outputs, e)
            else:
                block.conv2.bias.zero_()  # its weights are 0 from the start

    def chain(self, old: Any, new: Any, outputs: Iterable[Tensor | None]) -> None:
        """Copy layers in a row; `outputs` are the channels of each convolution that is no block's.

        None where they are as many as they were.
        """
        each, channels = iter(outputs), torch.empty(0)
        for a, b in zip(old.children(), new.children(), strict=True):
            if isinstance(a, ResBlock):
                self.block(a, b, channels, channels)
            elif isinstance(a, ChannelNorm):
                b.gain.copy_(a.gain[channels])
            elif isinstance(a, nn.Conv3d | Down | Up):
                a, b = (m if isinstance(m, nn.Conv3d) else m.conv for m in (a, b))
                inputs = channels if len(channels) else _same(a.in_channels)
                given = next(each)
                channels = _same(a.out_channels) if given is None else given
                self.linear(a, b, inputs, channels)

    def unet(self, old: Any, new: Any, inputs: Tensor, levels: Sequence[Tensor]) -> None:
        """Copy a latent U-Net."""
        widths = [blocks.blocks[0].conv2.out_channels for blocks in old.down]
        frequencies = levels[0][: len(levels[0]) // 2] % (widths[0] // 2)
        new.embed.frequencies.copy_(old.embed.frequencies[frequencies])
        e = torch.arange(2 * len(levels[0])) % (2 * widths[0])
        self.linear(old.embed.mlp[0], new.embed.mlp[0], _twice(frequencies, widths[0] // 2), e)
        self.linear(old.embed.mlp[2], new.embed.mlp[2], e, e)
        self.linear(old.stem, new.stem, inputs, levels[0])
        for level, (width, channels) in enumerate(zip(widths, levels, strict=True)):
            self.blocks(old.down[level], new.down[level], channels, channels, e)
            if level + 1 < len(levels):
                coarser = levels[level + 1]
                self.linear(old.shrink[level].conv, new.shrink[level].conv, channels, coarser)
                self.linear(old.grow[level].conv, new.grow[level].conv, coarser, channels)
                both = _twice(channels, width)
                self.blocks(old.up[level], new.up[level], both, channels, e)
        self.block(old.middle, new.middle, levels[-1], levels[-1], e)
        new.head[0].gain.copy_(old.head[0].gain[levels[0]])
        self.linear(old.head[2], new.head[2], levels[0], _same(old.head[2].out_channels))
