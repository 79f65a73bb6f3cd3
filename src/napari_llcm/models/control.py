"""A control branch on a frozen model (ControlNet, Zhang et al. 2023), as DiffBIR's IRControlNet.

The branch is a trainable copy of the U-Net's encoder (Lin et al. 2023, "DiffBIR", section 3.3): it
reads the noisy latent with features of the phase that its own copy of the phase encoder makes, and
what each of its levels gives goes through a convolution that is zero at first and is added to the
skip of that level, and to the middle, of the U-Net, which stays as it is. So a model with a new
branch stains as the model without, to the last bit, and its own weights cannot
unlearn what they know.

DiffBIR restores a degraded image before it steers (its stage 1). Here a small network that is the
identity at first does that, in front of the copied phase encoder; `training.control` tells how it
learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from .blocks import ChannelNorm, DepthToSpace, NoiseEmbedding, ResBlock, SpaceToDepth, level_strides
from .condition import Condition
from .networks import Blocks, Contracting, Down, LatentUNet

if TYPE_CHECKING:
    from .config import Factor
    from .stainer import StainerNetworks

_WIDTH = 16  # channels of the cleaner


class Cleaner(nn.Module):
    """Phase (B, C, Z, Y, X) to the same without noise and blur; the identity at first.

    `halo` is how many voxels (z, y, x) around it a voxel depends on.
    """

    def __init__(self, factor: Factor, channels: int = 1) -> None:
        super().__init__()
        stem = level_strides(factor)[0]
        folded = channels * stem[0] * stem[1] * stem[2]
        last = nn.Conv3d(_WIDTH, folded, 3, padding=1)
        self.layers = nn.Sequential(
            SpaceToDepth(stem),
            nn.Conv3d(folded, _WIDTH, 3, padding=1),
            ResBlock(_WIDTH, _WIDTH),
            ResBlock(_WIDTH, _WIDTH),
            ChannelNorm(_WIDTH),
            nn.SiLU(),
            _zero(last),
            DepthToSpace(stem),
        )
        reach = 1 + 2 * 2 + 1  # two convolutions and two blocks, in sites of the stem
        self.halo = (reach * stem[0], reach * stem[1], reach * stem[2])

    def forward(self, phase: Tensor) -> Tensor:
        """Return the cleaned phase."""
        return phase + self.layers(phase)


class ControlEncoder(nn.Module):
    """The branch's own phase encoder, behind a `Cleaner`.

    Parameters
    ----------
    encoder : Module
        Of the kind of the model's phase encoder.
    cleaner : Cleaner
        What is in front of it.
    """

    def __init__(self, encoder: nn.Module, cleaner: Cleaner) -> None:
        super().__init__()
        self.encoder, self.cleaner = encoder, cleaner

    @property
    def halo(self) -> Factor | None:
        """Voxels (z, y, x) beyond its own that a site sees; None where all are seen."""
        halo: Factor | None = getattr(self.encoder, "halo", None)
        if halo is None:
            return None
        z, y, x = (a + b for a, b in zip(halo, self.cleaner.halo, strict=True))
        return (z, y, x)

    def forward(self, phase: Tensor) -> Tensor:
        """Return features (B, K, z, y, x) of standardised phase (B, C, Z, Y, X)."""
        features: Tensor = self.encoder(self.cleaner(phase))
        return features


class ControlBranch(Contracting):
    """A copy of a `LatentUNet`'s encoder, whose levels give what is added to that U-Net's.

    Convolutions of 1 x 1 x 1: it sees no further than the levels that it is added to.
    """

    def __init__(self, channels: int, condition: int, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        e = 2 * widths[0]
        self.embed = NoiseEmbedding(widths[0], e)
        self.stem = nn.Conv3d(channels + condition, widths[0], 3, padding=1)
        self.down = nn.ModuleList(Blocks(width, width, e, blocks) for width in widths)
        self.shrink = nn.ModuleList(
            Down(fine, coarse, (2, 2, 2)) for fine, coarse in pairwise(widths)
        )
        self.middle = ResBlock(widths[-1], widths[-1], e)
        self.zeros = nn.ModuleList(_zero(nn.Conv3d(width, width, 1)) for width in widths)

    def forward(self, x: Tensor, sigma: Tensor, features: Tensor) -> tuple[Tensor, ...]:
        """Return what is added to the skips, fine to coarse, and to the middle."""
        levels = self.contract(x, self.embed(sigma).to(x.dtype), features)
        return tuple(zero(level) for zero, level in zip(self.zeros, levels, strict=True))

    def parts(self) -> tuple[nn.Module, nn.Module]:
        """Return what is zero at first, and what is copied."""
        return split(self, ("zeros",))

    def start_from(self, unet: nn.Module) -> None:
        """Copy the encoder of a U-Net; the last convolutions stay zero."""
        own, theirs = self.state_dict(), unet.state_dict()
        self.load_state_dict({k: theirs.get(k, v) for k, v in own.items()})


class ControlledUNet(LatentUNet):
    """A `LatentUNet` with a branch; the weights have the same names, the branch's begin with it."""

    def __init__(self, channels: int, condition: int, widths: Sequence[int], blocks: int) -> None:
        super().__init__(channels, condition, widths, blocks)
        self.branch = ControlBranch(channels, condition, widths, blocks)

    def features(self, x: Tensor, sigma: Tensor, condition: Tensor | Condition) -> Tensor:
        """Return what the last convolution makes F of, with what the branch adds."""
        given = steering(condition)
        added = self.branch(x, sigma, cast("Tensor", given.control))
        return super().features(x, sigma, replace(given, added=added))


def split(module: nn.Module, names: Sequence[str]) -> tuple[nn.Module, nn.Module]:
    """Return the children of a module that have one of some names, and the others."""
    each = dict(module.named_children())
    chosen = {name: each.pop(name) for name in names}
    return nn.ModuleDict(chosen), nn.ModuleDict(each)


def steering(condition: Tensor | Condition) -> Condition:
    """Return a condition that has features for a branch.

    Raises
    ------
    ValueError
        If it has none: the branch would be left out without a word.
    """
    if not isinstance(condition, Condition) or condition.control is None:
        raise ValueError("a model with a control branch needs a Condition with control features")
    return condition


@torch.no_grad()
def with_branch(networks: StainerNetworks) -> StainerNetworks:
    """Return networks with a new control branch, which stain as `networks` do, bit for bit.

    Parameters
    ----------
    networks : StainerNetworks
        That work in the latent space; those that have a branch are returned as they are.
    """
    if networks.network.control:
        return networks
    config = networks.network.model_copy(update={"control": True})
    made = type(networks)(config, networks.denoiser.config, networks.method)
    made.load_state_dict(networks.state_dict(), strict=False)
    made.control.get_submodule("encoder").load_state_dict(networks.condition.state_dict())
    branch: Any = made.denoiser.network.get_submodule("branch")
    branch.start_from(networks.denoiser.network)
    return made.train(networks.training)


def _zero(convolution: nn.Conv3d) -> nn.Conv3d:
    """Return a convolution that gives 0 at first."""
    for parameter in convolution.parameters():
        nn.init.zeros_(parameter)
    return convolution
