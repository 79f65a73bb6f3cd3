"""The latents that are trained on: of the 8 views of each volume, encoded or read from disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .latents_info import Moments
from .reading import PLANES

if TYPE_CHECKING:
    from ..models.stainer import StainerNetworks

VARIANTS = 8  # flips of y and x, and the transposition of both; z is kept, light comes along it
LATENTS = "latents"  # of an item of a dataset: the `PreparedViews` of its latents
_FOR_STATISTICS = 32  # volumes that the latents' mean and deviation are taken from
Box = tuple[slice, ...]


def variant(x: Tensor, index: int) -> Tensor:
    """Return view `index` (0 to 7) of x (..., y, x): flipped along y, along x, transposed."""
    if index & 4:
        x = x.transpose(-1, -2)
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if index & bit]
    return x.flip(axes) if axes else x


def seen_in(box: Sequence[slice], index: int, shape: Sequence[int]) -> Box:
    """Return which box of a volume a box of its view `index` shows.

    Parameters
    ----------
    box : sequence of slice
        (..., y, x) in the view, with starts and stops.
    index : int
        Which view (0 to 7).
    shape : sequence of int
        Of the volume (..., y, x).
    """
    *rest, y, x = box
    height, width = (shape[-1], shape[-2]) if index & 4 else (shape[-2], shape[-1])
    if index & 1:
        x = slice(width - x.stop, width - x.start)
    if index & 2:
        y = slice(height - y.stop, height - y.start)
    return (*rest, x, y) if index & 4 else (*rest, y, x)


def mean_and_std(moments: Sequence[Moments]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel over several latents, float32."""
    count = sum(one.sites for one in moments)
    total, squares = (
        torch.tensor([one[i] for one in moments], dtype=torch.double).sum(0) for i in (1, 2)
    )
    mean = total / count
    variance = (squares - count * mean.square()) / max(count - 1, 1)
    return mean.float(), variance.clamp_min(0).sqrt().float().clamp_min(1e-6)


@torch.no_grad()
def encoded(
    item: dict[str, Any], view: int, networks: StainerNetworks, device: Any, amp: Any
) -> Tensor:
    """Return the latent (C, z, y, x) of one view, as it leaves the encoder, float32 on the CPU.

    Parameters
    ----------
    item : dict
        "inputs" and "outputs" of a whole pair.
    view : int
        Which view (0 to 7).
    networks : StainerNetworks
        Their autoencoder encodes.
    device : torch.device
        Where they are.
    amp : callable
        Returns the autocast context.
    """
    outputs, inputs = (
        variant(item[key][:], view)[None].to(device) for key in ("outputs", "inputs")
    )
    with amp():
        return networks.autoencoder.encode(networks.coded(outputs, inputs))[0][0].float().cpu()


def encoder_fingerprint(networks: StainerNetworks) -> str:
    """Return a hash of all that a latent depends on beside the volume: the encoder and its code.

    The decoder has no part in it: a decoder that was trained further has the same latents.
    """
    network, autoencoder = networks.network, networks.autoencoder
    decoding = {id(p) for p in autoencoder.decoding().parameters()}
    digest = hashlib.sha256(
        repr(
            (
                network.autoencoder.model_dump(mode="json"),
                network.factor,
                network.latent_channels,
                network.outputs,
                network.residual,
            )
        ).encode()
    )
    for name, value in [*autoencoder.named_parameters(), *autoencoder.named_buffers()]:
        if id(value) not in decoding:
            digest.update(f"{name} {tuple(value.shape)}".encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class Latents:
    """Standardised latents of the 8 views of each volume, encoded once, when first needed.

    A strided encoder does not commute with flips, so each view is encoded on its own. Items that
    come with prepared latents (see `latent_dataset`) are not encoded.

    Parameters
    ----------
    dataset : sequence
        Whole pairs.
    networks : StainerNetworks
        Its autoencoder, which must not change any more; the statistics of its latents are set.
    device : torch.device
        Where the networks are.
    amp : callable
        Returns the autocast context.
    measured : bool
        Whether the statistics of the latents are measured; else those of the networks stay.
    """

    def __init__(
        self,
        dataset: Any,
        networks: StainerNetworks,
        device: Any,
        amp: Any,
        measured: bool = True,
    ) -> None:
        self.dataset, self.networks, self.device, self.amp = dataset, networks, device, amp
        self._known: dict[tuple[int, int], Tensor] = {}
        known = [i for i in range(len(dataset)) if PLANES not in dataset[i]]
        # planes have no latents: those of the start stay as they are scaled
        if measured and known:
            chosen = np.linspace(0, len(known) - 1, min(len(known), _FOR_STATISTICS))
            mean, std = mean_and_std([self._moments(known[int(i)]) for i in chosen.round()])
            if not networks.network.autoencoder.learned:
                # of an orthonormal transform: a distance of latents stays one of voxels, in which
                # noise, alike in all coefficients, counts no more than it does
                std = std.square().mean().sqrt().expand_as(std)
            networks.latent_mean.copy_(mean.view_as(networks.latent_mean))
            networks.latent_std.copy_(std.view_as(networks.latent_std))
        self._mean, self._std = (
            x.detach().cpu()[0] for x in (networks.latent_mean, networks.latent_std)
        )

    def at(self, index: int, view: int, box: Any = slice(None)) -> Tensor:
        """Return the latent (C, z, y, x) of one view of one volume, float32, on the CPU.

        Parameters
        ----------
        index : int
            Which volume.
        view : int
            Which view (0 to 7).
        box : tuple of slice
            Which part of it, of one that is on disk the only one that is read; all if not given.
        """
        return (self._raw(index, view)[box] - self._mean) / self._std

    def forget(self) -> None:
        """Let what was encoded go: it is encoded again where it is needed."""
        self._known.clear()

    def _raw(self, index: int, view: int) -> Any:
        """Return a latent as it leaves the encoder: a tensor, or an array that is read by boxes."""
        key = (index, view)
        if key in self._known:
            return self._known[key]
        item = self.dataset[index]
        if LATENTS in item:
            return item[LATENTS].views[view]
        self._known[key] = self._encode(index, view)
        return self._known[key]

    def _moments(self, index: int) -> Moments:
        item = self.dataset[index]
        return item[LATENTS].moments if LATENTS in item else Moments.of(self._raw(index, 0))

    def _encode(self, index: int, view: int) -> Tensor:
        return encoded(self.dataset[index], view, self.networks, self.device, self.amp)
