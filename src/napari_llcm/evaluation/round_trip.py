"""What is left of a volume that goes through an autoencoder and back, before any staining."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..models.device import autocast
from ..tasks.normalise import dapi_scaling, stabilise, unstabilise
from ..volumes import Volume

if TYPE_CHECKING:
    import torch

    from ..models.autoencoders.networks import Autoencoder
    from ..models.bundle import ModelBundle

_OVERLAP = 0.25  # of windows, which Gaussian weights blend


@dataclass
class LatentSums:
    """Sums over latents, from which their mean and deviation follow, for each channel."""

    count: int = 0
    sums: list[Any] = field(default_factory=lambda: [0.0, 0.0])

    def add(self, latent: torch.Tensor) -> None:
        """Count a latent (B, C, z, y, x) in."""
        flat = latent.detach().double().transpose(0, 1).flatten(1).cpu()
        self.count += flat.shape[1]
        self.sums = [self.sums[0] + flat.sum(1), self.sums[1] + flat.square().sum(1)]

    @property
    def mean(self) -> list[float]:
        """Mean of each channel."""
        return [float(m) for m in self.sums[0] / self.count]

    @property
    def std(self) -> list[float]:
        """Deviation of each channel."""
        variance = self.sums[1] / self.count - (self.sums[0] / self.count) ** 2
        return [float(v) ** 0.5 for v in variance.clamp_min(1e-12)]


def through(
    autoencoder: Autoencoder,
    x: np.ndarray,
    multiple: Sequence[int],
    device: torch.device,
    window: Sequence[int] | None = None,
    sums: LatentSums | None = None,
) -> np.ndarray:
    """Return a volume (z, y, x), about 0 to 1, through an autoencoder and back.

    Parameters
    ----------
    autoencoder : Autoencoder
        On `device`.
    x : ndarray
        Any size: it is padded to a multiple.
    multiple : sequence of int
        Of which sizes (z, y, x) have to be multiples.
    device : torch.device
        Where to compute.
    window : sequence of int, optional
        Size (z, y, x), a multiple, of windows that are blended; the whole in one piece if none.
    sums : LatentSums, optional
        Where latents are counted in.
    """
    import torch
    from monai.inferers import sliding_window_inference

    pads = [-n % m for n, m in zip(x.shape, multiple, strict=True)]
    around = (0, pads[2], 0, pads[1], 0, pads[0])
    start = torch.from_numpy(np.ascontiguousarray(x, np.float32))[None, None]
    padded = torch.nn.functional.pad(start, around, mode="replicate")

    def there_and_back(part: torch.Tensor) -> torch.Tensor:
        """Return a part, encoded and decoded."""
        with autocast(device):
            latent = autoencoder.encode(part)[0]
            if sums is not None:
                sums.add(latent)
            return autoencoder.decode(latent).float()

    with torch.inference_mode():
        if window is None:
            y = there_and_back(padded.to(device)).cpu()
        else:
            y = sliding_window_inference(  # type: ignore[assignment]
                padded,
                window,
                1,
                there_and_back,
                overlap=_OVERLAP,
                mode="gaussian",
                sw_device=device,
                device="cpu",
            )
    return np.asarray(y[0, 0][tuple(slice(n) for n in x.shape)].numpy())


def round_trip(model: ModelBundle, dapi: Volume) -> Volume:
    """Return a DAPI volume through a model's autoencoder and back, in its own unit."""
    networks, info = model.networks, model.info
    device = next(networks.parameters()).device
    root = info.scalings[info.task.outputs[0].name].root
    scaling = dapi_scaling(dapi.data).model_copy(update={"root": root})
    x = stabilise(dapi.numpy(), scaling)
    y = through(networks.autoencoder, x, info.network.multiple, device)
    return dapi.replace(data=unstabilise(y, scaling), name=f"{dapi.name} round trip")
