"""The small network that ships: 2D, Cellpose's outputs, run and trained by Cellpose itself.

Cellpose 3 brings its own small U-Net, Cellpose 4 only transformers of 300 million weights and
more. This one is what both can run: both ask a network for no more than `nout`, `device`, `dtype`
and two outputs, the flows with the cell probability and a style vector of 256 numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets import UNet
from torch import Tensor, nn

STYLE = 256


class SmallCellpose(nn.Module):
    """A residual U-Net on half the grid, between a pixel-unshuffle and a pixel-shuffle.

    Parameters
    ----------
    channels : sequence of int
        Channels of the levels, from the finest (half the grid) to the coarsest.
    diameter : float
        Mean diameter of the nuclei it was trained on, in pixels.
    """

    nout = 3
    mkldnn = False

    def __init__(self, channels: Sequence[int] = (32, 48, 64), diameter: float = 12.0) -> None:
        super().__init__()
        levels = UNet(
            spatial_dims=2,
            in_channels=4,
            out_channels=4 * self.nout,
            channels=tuple(channels),
            strides=(2,) * (len(channels) - 1),
            num_res_units=2,
            # Batch statistics are constants at inference: the result cannot depend on the tile.
            norm="batch",
        )
        # Full-resolution convolutions would cost four times as much and add little here: the
        # shuffle keeps every pixel.
        self.net = nn.Sequential(nn.PixelUnshuffle(2), levels, nn.PixelShuffle(2))
        self.diam_mean = nn.Parameter(torch.tensor([float(diameter)]), requires_grad=False)
        self.diam_labels = nn.Parameter(torch.tensor([float(diameter)]), requires_grad=False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.diam_mean.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return self.diam_mean.dtype

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return flows along y and x (times 5) with the cell logit, and a style of ones.

        Parameters
        ----------
        x : Tensor
            Planes of shape (N, 1, Y, X), Y and X divisible by 16, background 0, bright nuclei 1.

        Returns
        -------
        tuple of Tensor
            Shapes (N, 3, Y, X) and (N, 256).
        """
        return self.net(x).float(), x.new_ones((x.shape[0], STYLE))
