"""A network that is told what microscope a stack is of: by its optics, or by what is measured.

Is the shape of nuclei missed since the microscope has to be guessed from the stack?
`train_universal.py train --told optics` gives the network the true optics of each simulated stack,
more than any user knows; `--told stack` what a stack as a whole tells of them: spectra within
planes, likeness of planes, shape of the histogram. What is told is added to the features of the
phase encoder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_llcm.specimen import Specimen
from napari_llcm.specimen.modalities import MODALITIES

_NOISE = {"noise:none": 0.0, "noise:weak": 0.5, "noise:strong": 1.0}
_LAGS = (1, 2, 3, 4, 6, 8)
OPTICS, STACK = len(MODALITIES) + 17, 2 * 12 + 2 * len(_LAGS) + 3


def optics_of(specimen: Specimen) -> np.ndarray:
    """Return what a microscope's maker knows of a stack, in units of voxels: (OPTICS,) float32."""
    about = specimen.qpi.metadata
    name = about["modality"]
    o = about.get("optics") or vars(MODALITIES[name].optics)
    z, y, _ = specimen.qpi.spacing or about["voxel_um"]
    aperture, wave = o["numerical_aperture"], o["wavelength"]
    deep = o["index"] - np.sqrt(max(o["index"] ** 2 - aperture**2, 0.01))
    noise = [_NOISE[tag] for tag in about["tags"] if tag in _NOISE]
    known = [
        aperture * y / wave,
        deep * z / wave,
        o["illumination_aperture"] / aperture,
        o["illumination_inner"] / aperture,
        o["ring"][1] / aperture,
        o["ring_transmittance"],
        o["polarity"],
        np.log(z / y),
        abs(o["shear"][0]) / y,
        abs(o["shear"][1]) / y,
        o["bias"],
        abs(o["oblique"][0]),
        abs(o["oblique"][1]),
        3 * o["spherical"],
        50 * o["absorption"],
        about.get("planes", 40) / 40,
        noise[0] if noise else 0.3,
    ]
    kind = [float(name == other) for other in MODALITIES]
    return np.array([*kind, *known], np.float32)


def stack_figures(x: Tensor) -> Tensor:
    """Return what patches (B, 1, Z, Y, X) tell of their microscope: (B, STACK)."""
    x = x[:, 0].float()
    x = x - x.mean((1, 2, 3), keepdim=True)
    deviation = x.std((1, 2, 3), keepdim=True).clamp_min(1e-3)
    x = x / deviation
    fine = x - F.avg_pool2d(x, 5, 1, 2)
    figures = []
    for image in (x, x.diff(dim=1)):  # within planes, and what changes from plane to plane
        power = torch.fft.rfft2(image).abs().square().mean(1)
        ny, nx = image.shape[-2:]
        radius = (torch.fft.fftfreq(ny)[:, None].square() + torch.fft.rfftfreq(nx).square()).sqrt()
        bins = torch.bucketize(radius, torch.logspace(-1.5, -0.3, 11))
        inside = torch.stack([bins == k for k in range(12)]).to(power)
        share = inside / inside.sum((1, 2), keepdim=True).clamp_min(1)
        figures.append((torch.einsum("byx,kyx->bk", power, share) / (ny * nx) + 1e-5).log() / 3)
    for image in (x, fine):
        scale = image.square().mean((1, 2, 3)).clamp_min(1e-6)
        alike = [(image[:, k:] * image[:, :-k]).mean((1, 2, 3)) / scale for k in _LAGS]
        figures.append(torch.stack(alike, 1))
    moments = [x.pow(3).mean((1, 2, 3)).clamp(-5, 5) / 2, x.pow(4).mean((1, 2, 3)).clamp(0, 20) / 5]
    figures.append(torch.stack([*moments, deviation.flatten().log()], 1))
    return torch.cat(figures, 1)


class Told(nn.Module):
    """An encoder of inputs whose features have a part for all sites alike, of what is told.

    Parameters
    ----------
    encoder : Module
        The phase encoder.
    features : int
        Its channels.
    how : {"optics", "stack"}
        Of further constant channels of the input, or of the input itself.
    """

    def __init__(self, encoder: nn.Module, features: int, how: str) -> None:
        super().__init__()
        self.encoder, self.how, self.halo = encoder, how, encoder.halo
        count = OPTICS if how == "optics" else STACK
        self.mlp = nn.Sequential(
            nn.LayerNorm(count) if how == "stack" else nn.Identity(),
            nn.Linear(count, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(),
        )  # fmt: skip
        self.last = nn.Linear(128, features)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return features of inputs (B, 1 + told, Z, Y, X)."""
        told = inputs[:, 1:, 0, 0, 0] if self.how == "optics" else stack_figures(inputs[:, :1])
        with torch.autocast(inputs.device.type, enabled=False):
            added: Any = self.last(self.mlp(told.float()))
        features: Tensor = self.encoder(inputs[:, :1])
        return features + added[:, :, None, None, None].to(features)
