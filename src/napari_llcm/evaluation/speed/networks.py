"""Bare networks: our own, and those of published sizes that they are compared with."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...models.bundle import ModelBundle
from ...models.consistency import refine
from ...models.device import autocast, channels_last
from ...models.pix2pix import Generator
from ...models.stainer import StainerNetworks
from .clock import Work

Shape = tuple[int, int, int]
_PIX2PIX = (32, 64, 128)
_COUNTED: Shape = (32, 64, 64)  # voxels of the volume on which arithmetic is counted


class Fnet(nn.Module):
    """The network of Ounkomol et al. 2018: a U-Net of depth 4, 32 channels at full resolution.

    Per level two 3-wide convolutions with batch norm and ReLU; strided 2-wide convolutions go
    down and transposed ones up, and double or halve the channels.
    """

    def __init__(self, channels: int = 32, depth: int = 4) -> None:
        super().__init__()
        widths = [channels * 2**level for level in range(depth + 1)]
        pairs = list(pairwise(widths))
        # the number of channels doubles in the first convolution of a level
        self.down = nn.ModuleList(_twice(a, b) for a, b in [(1, channels), *pairs])
        self.shrink = nn.ModuleList(_normed(nn.Conv3d(a, a, 2, 2), a) for a, _ in pairs)
        self.grow = nn.ModuleList(_normed(nn.ConvTranspose3d(b, a, 2, 2), a) for a, b in pairs)
        self.up = nn.ModuleList(_twice(2 * a, a) for a, _ in pairs)
        self.head = nn.Conv3d(channels, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the prediction for x (B, 1, Z, Y, X), sizes multiples of 16."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(self.shrink[level - 1](x) if level else x)
            skips.append(x)
        skips.pop()
        for level in reversed(range(len(self.up))):
            x = self.up[level](torch.cat([skips.pop(), self.grow[level](x)], 1))
        return self.head(x)


def _normed(convolution: nn.Module, channels: int) -> nn.Module:
    return nn.Sequential(convolution, nn.BatchNorm3d(channels), nn.ReLU())


def _twice(inputs: int, outputs: int) -> nn.Module:
    first, second = (
        nn.Conv3d(inputs, outputs, 3, padding=1),
        nn.Conv3d(outputs, outputs, 3, padding=1),
    )
    return nn.Sequential(_normed(first, outputs), _normed(second, outputs))


class PlaneWindows(nn.Module):
    """VSCyto3D's ConvNeXt U-Net (Liu et al. 2025), over windows of 15 planes side by side.

    VisCy moves its window by one plane and averages, 15 times the work; this is the least.
    """

    depth, multiple = 15, 32  # planes of a window; y and x are padded to multiples

    def __init__(self) -> None:
        from viscy_models.unet import FullyConvolutionalMAE

        super().__init__()
        self.net = FullyConvolutionalMAE(
            1, 2, in_stack_depth=self.depth, decoder_conv_blocks=2, pretraining=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return both predictions for x (1, 1, Z, Y, X)."""
        z, y, w = x.shape[2:]
        pads = (-w % self.multiple, -y % self.multiple, max(self.depth - z, 0))
        x = F.pad(x, [n for pad in pads for n in (0, pad)])
        last = x.shape[2] - self.depth
        starts = [*range(0, last, self.depth), last]
        return torch.cat([self.net(x[:, :, a : a + self.depth]) for a in starts], 2)


NETWORKS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "pix2pix": (
        "Pix2Pix, 32 channels at full resolution",
        lambda: Generator(_PIX2PIX, stem=(1, 1, 1)),
    ),
    "fnet": ("fnet, depth 4, 32 channels", Fnet),
    "vscyto3d": ("VSCyto3D's ConvNeXt 2.5D, windows of 15 planes side by side", PlaneWindows),
}
OPTIONAL = {"vscyto3d": "viscy_models"}  # which package of its maker has to be there


def forward(network: nn.Module, shape: tuple[int, int, int], device: torch.device) -> Work:
    """Return the work of a network's bare forward pass over a volume, channels last."""
    network.eval().to(device)
    channels_last(network)
    volume = torch.randn((1, 1, *shape), device=device)

    def run() -> object:
        """Run it."""
        with torch.inference_mode(), autocast(device):
            return network(volume)

    return run


def bare(model: ModelBundle, shape: tuple[int, int, int], device: torch.device) -> Work:
    """Return the work of our three networks on one tile, nothing around them."""
    network, networks = model.info.network, model.networks
    volume = torch.randn((1, network.inputs, *shape), device=device)
    sites = (n // f for n, f in zip(shape, network.factor, strict=True))
    noise = torch.randn((1, network.latent_channels, *sites), device=device)
    sigma = model.info.consistency.sigma_max

    def run() -> object:
        """Run them."""
        with torch.inference_mode(), autocast(device):
            latent = refine(
                networks.denoiser,
                torch.zeros_like(noise),
                noise,
                networks.conditioned(volume),
                sigma,
            )
            return networks.decode(latent, volume)

    return run


def diffusion_of(model: ModelBundle, device: torch.device) -> ModelBundle:
    """Return a latent diffusion model of the same networks, not trained."""
    info = model.info.model_copy(update={"method": "diffusion", "familiarity": None})
    networks = StainerNetworks(info.network, info.consistency, "diffusion").eval().to(device)
    channels_last(networks)
    return ModelBundle(info, networks, "benchmark")


def flop_per_voxel(make: Callable[[torch.device], Work]) -> float:
    """Return the floating-point operations (two for each multiplication) for each voxel.

    Parameters
    ----------
    make : callable
        Returns the work of a network on a device, over a volume of `_COUNTED` voxels. It is counted
        on torch's device of shapes alone: nothing is computed.
    """
    from torch.utils.flop_counter import FlopCounterMode

    work = make(torch.device("meta"))
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / prod(_COUNTED)


def flop_of_network(make: Callable[[], nn.Module]) -> float:
    """Return the arithmetic of a rival for each voxel."""
    return flop_per_voxel(lambda device: forward(make(), _COUNTED, device))


def flop_of_ours(model: ModelBundle) -> float:
    """Return the arithmetic of our three networks for each voxel of a volume in one piece."""
    info = model.info
    networks = StainerNetworks(info.network, info.consistency, info.method)
    shapes = ModelBundle(info, networks.to("meta"), model.source)
    return flop_per_voxel(lambda device: bare(shapes, _COUNTED, device))
