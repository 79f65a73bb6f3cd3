"""Haar wavelets as an autoencoder: exact, and nothing to be learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..blocks import DepthToSpace, SpaceToDepth
from .config import Factor
from .networks import Autoencoder, Moments

_LOG_VARIANCE = -20.0  # none: it is what autoencoders that learn are limited to


class WaveletAutoencoder(Autoencoder):
    """Blocks of voxels to as many coefficients, by an orthonormal transform, and back.

    Along an axis of factor 2 they are mean and difference of two voxels; of 4, those of these
    (wavelet packets), and so on.

    Parameters
    ----------
    factor : tuple of int
        Voxels (z, y, x) of a block; powers of two.
    channels : int
        Of the volumes.
    """

    def __init__(self, factor: Factor, channels: int) -> None:
        super().__init__()
        one = torch.ones(1, 1)
        for size in factor:
            one = torch.kron(one, _haar(size))
        # each channel's voxels lie side by side behind `SpaceToDepth`
        matrix = torch.block_diag(*[one] * channels)
        self.encoder = nn.Sequential(SpaceToDepth(factor), _Mixed(matrix))
        self.decoder = WaveletDecoder(factor, matrix.T)

    def encode(self, x: Tensor) -> Moments:
        """Return the coefficients (B, C, z, y, x) of x (B, outputs, Z, Y, X), and no variance."""
        mean = self.encoder(x)
        return mean, torch.full_like(mean, _LOG_VARIANCE)

    def decode(self, z: Tensor, skip: Tensor | None = None) -> Tensor:
        """Return the volume (B, outputs, Z, Y, X) of coefficients; it takes no skip."""
        return self.decoder(z)


class WaveletDecoder(nn.Sequential):
    """Coefficients to voxels; `halo` is how many sites beyond its own a voxel sees: none."""

    halo = (0, 0, 0)

    def __init__(self, factor: Factor, matrix: Tensor) -> None:
        super().__init__(_Mixed(matrix), DepthToSpace(factor))


class _Mixed(nn.Module):
    """Channels times a matrix, in float32: exact both ways."""

    matrix: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix.contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the channels of x (B, C, z, y, x), mixed."""
        with torch.autocast(x.device.type, enabled=False):
            return torch.einsum("oc,bczyx->bozyx", self.matrix, x.float())


def _haar(size: int) -> Tensor:
    """Return the orthonormal matrix (size, size) along one axis; a power of two."""
    matrix = torch.ones(1, 1)
    pair = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
    while len(matrix) < size:
        matrix = torch.kron(pair, matrix)
    return matrix
