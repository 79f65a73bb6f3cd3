"""Pix2Pix (Isola et al. 2017) in 3D: the system to replace, at its best.

The generator has the stem and the blocks of our own networks, so that what is compared is the
objective: norms over channels, the same in a patch and in a whole volume. (InstanceNorm, which
Pix2Pix usually has, was measured first: trained on patches and run on volumes it misshapes most
nuclei.)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import ChannelNorm, DepthToSpace, ResBlock, SpaceToDepth
from .config import Factor

_STEM: Factor = (2, 2, 2)


class Generator(nn.Module):
    """U-Net from inputs (B, I, Z, Y, X) to outputs (B, O, Z, Y, X), with skips.

    Parameters
    ----------
    widths : sequence of int
        Channels of each level behind the stem; each level halves z, y and x.
    inputs, outputs : int
        I and O.
    stem : tuple of int
        Voxels (z, y, x) that are moved into channels before the first convolution.
    """

    def __init__(
        self, widths: Sequence[int], inputs: int = 1, outputs: int = 1, stem: Factor = _STEM
    ) -> None:
        super().__init__()
        voxels = stem[0] * stem[1] * stem[2]
        pairs = list(pairwise(widths))
        self.stem = nn.Sequential(
            SpaceToDepth(stem), nn.Conv3d(inputs * voxels, widths[0], 3, padding=1)
        )
        self.down = nn.ModuleList(ResBlock(w, w) for w in widths)
        self.shrink = nn.ModuleList(nn.Conv3d(a, b, 3, 2, 1) for a, b in pairs)
        self.grow = nn.ModuleList(nn.Conv3d(b, a, 3, padding=1) for a, b in pairs)
        self.up = nn.ModuleList(ResBlock(2 * w, w) for w in widths[:-1])
        self.head = nn.Sequential(
            ChannelNorm(widths[0]),
            nn.SiLU(),
            nn.Conv3d(widths[0], outputs * voxels, 3, padding=1),
            DepthToSpace(stem),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return normalised outputs."""
        h = self.stem(inputs)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            h = block(self.shrink[level - 1](h) if level else h)
            skips.append(h)
        h = skips.pop()
        for level in reversed(range(len(self.up))):
            h = self.grow[level](F.interpolate(h, scale_factor=2.0, mode="nearest"))
            h = self.up[level](torch.cat([h, skips.pop()], 1))
        output: Tensor = self.head(h)
        return output


def make_discriminator(channels: int = 2) -> nn.Module:
    """Return a PatchGAN of inputs and outputs, (B, I + O, Z, Y, X), with spectral norms (MONAI's).

    Parameters
    ----------
    channels : int
        I + O.
    """
    from monai.networks.nets import PatchDiscriminator
    from torch.nn.utils.parametrizations import spectral_norm

    # a norm over space besides the spectral one would undo its bound
    patch = PatchDiscriminator(
        spatial_dims=3, channels=32, in_channels=channels, num_layers_d=2, norm=None
    )
    for module in patch.modules():
        if isinstance(module, nn.Conv3d):
            spectral_norm(module)
    return patch


def adversarial_losses(
    discriminator: nn.Module, condition: Tensor, fake: Tensor, real: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the least-squares losses of generator and discriminator (Mao et al. 2017).

    Both can be summed and go back in one pass: the generator's does not reach the
    discriminator's weights, nor the discriminator's the fake.

    Parameters
    ----------
    discriminator : Module
        From (B, I + O, Z, Y, X) to a list whose last entry are the verdicts (MONAI's).
    condition, fake, real : Tensor
        (B, I, Z, Y, X), (B, O, Z, Y, X) and the same.
    """
    from monai.losses import PatchAdversarialLoss

    loss = PatchAdversarialLoss(criterion="least_squares")
    discriminator.requires_grad_(False)
    fooled = discriminator(torch.cat([condition, fake], 1))[-1].float()
    generator_loss = loss(fooled, True, for_discriminator=False)
    discriminator.requires_grad_(True)
    on_fake = discriminator(torch.cat([condition, fake.detach()], 1))[-1].float()
    on_real = discriminator(torch.cat([condition, real], 1))[-1].float()
    discriminator_loss = loss(on_fake, False, for_discriminator=True)
    discriminator_loss = discriminator_loss + loss(on_real, True, for_discriminator=True)
    return generator_loss, discriminator_loss / 2
