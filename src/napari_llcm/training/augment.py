"""Random views of input patches: other optics, light, noise and sampling of the same nuclei.

On batches, on whatever device they lie: each patch draws its own. In the order in which a stack
comes about: optics, contrast, light, camera, sampling along z, standardisation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..tasks.normalise import HOT


@dataclass(frozen=True)
class Augmentation:
    """How far patches are changed, in units of standardised stacks, whose deviation is about 1.

    Parameters
    ----------
    gain, offset : float
        Largest change, either way, of the factor 1 and of the offset 0; four patches in five.
    noise : float
        Largest deviation of white noise; half of the patches.
    coloured, striped : float
        The same of noise that is alike in neighbouring voxels, and of noise that is constant along
        rows or columns of a plane; a third of the patches.
    band : float
        Deviation of the logarithm of the gain of a band of in-plane frequencies: blur, sharpening,
        more or less background. Four patches in five; the patch keeps its deviation.
    gamma : float
        Largest logarithm of an exponent of intensities; half of the patches.
    inversion : float
        Share of the patches whose contrast is inverted, where a modality has both signs.
    background : float
        Largest height of slowly varying light, added and multiplied; half of the patches.
    coarse_z : int
        Most planes of which one is taken, those between being interpolated; a third of the patches.
    """

    gain: float = 0.0
    offset: float = 0.0
    noise: float = 0.0
    coloured: float = 0.0
    striped: float = 0.0
    band: float = 0.0
    gamma: float = 0.0
    inversion: float = 0.0
    background: float = 0.0
    coarse_z: int = 1


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(),
    # blur or more noise would hide the texture that tells a nucleus of this microscope from its
    # cytoplasm
    "gentle": Augmentation(gain=0.3, offset=0.3, noise=0.04),
    # for a model of many microscopes, of which none shows what another does
    "strong": Augmentation(
        gain=0.3,
        offset=0.3,
        noise=0.25,
        coloured=0.25,
        striped=0.15,
        band=0.5,
        gamma=0.4,
        inversion=0.25,
        background=0.8,
        coarse_z=3,
    ),
}
_BANDS = 5  # even in log from 2 / 64 cycles per voxel or below to the finest
_COARSEST = 1 / 32  # cycles per voxel


def augmented(qpi: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Return a random view of patches.

    Parameters
    ----------
    qpi : Tensor
        (B, 1, Z, Y, X), standardised.
    how : Augmentation
        How far it may differ.
    generator : torch.Generator
        Source of all that is random, on the device of the patches or on the CPU.
    """
    draw = _Draw(qpi, generator)
    x = qpi
    if how.band:
        x = _like(torch.where(draw.some(0.8), _filtered(x, how.band, draw), x), qpi)
    if how.gamma:
        curved = _curved(x, (how.gamma * draw.either()).exp())
        x = torch.where(draw.some(0.5), _like(curved, x), x)
    if how.inversion:
        x = torch.where(draw.some(how.inversion), -x, x)
    if how.background:
        lit = x * (1 + 0.5 * how.background * draw.light()) + how.background * draw.light()
        x = torch.where(draw.some(0.5), lit, x)
    if how.noise:
        x = x + how.noise * draw.some(0.5) * draw.upto() * draw.normal(x.shape)
    if how.coloured:
        x = x + how.coloured * draw.some(1 / 3) * draw.upto() * _smooth(draw.normal(x.shape))
    if how.striped:
        along_x, along_y = (
            draw.normal((*x.shape[:-1], 1)),
            draw.normal((*x.shape[:-2], 1, x.shape[-1])),
        )
        stripes = torch.where(draw.some(0.5), along_x, along_y)
        x = x + how.striped * draw.some(1 / 3) * draw.upto() * stripes
    if how.coarse_z > 1:
        x = torch.where(draw.some(1 / 3), _coarse(x, how.coarse_z, draw), x)
    x = x * (1 + how.gain * draw.some(0.8) * draw.either())
    x = x + how.offset * draw.some(0.8) * draw.either()
    return x.clamp(-HOT, HOT)


class _Draw:
    """Random numbers, one (B, 1, 1, 1, 1) for each patch where no shape is given."""

    def __init__(self, like: Tensor, generator: torch.Generator) -> None:
        self.like, self.generator = like, generator
        self.each = (len(like), 1, 1, 1, 1)

    def upto(self) -> Tensor:
        """Return uniform numbers from 0 to 1."""
        drawn = torch.rand(self.each, generator=self.generator, device=self.generator.device)
        return drawn.to(self.like)

    def either(self) -> Tensor:
        """Return uniform numbers from -1 to 1."""
        return 2 * self.upto() - 1

    def some(self, share: float) -> Tensor:
        """Return True for a share of the patches."""
        return self.upto() < share

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Return standard normal numbers."""
        drawn = torch.randn(shape, generator=self.generator, device=self.generator.device)
        return drawn.to(self.like)

    def light(self) -> Tensor:
        """Return a slowly varying field (B, 1, 1, Y, X) from about -1 to 1."""
        *_, y, x = self.like.shape
        coarse = self.normal((len(self.like), 1, 3, 3)).clamp(-2, 2) / 2
        return F.interpolate(coarse, (y, x), mode="bicubic", align_corners=True)[:, :, None]


def _filtered(x: Tensor, deviation: float, draw: _Draw) -> Tensor:
    """Return patches through a random radial filter in the plane, smooth in log frequency."""
    z, (height, width) = x.shape[2], x.shape[-2:]
    margin = [min(size // 4, size - 1) for size in (width, width, height, height)]
    flat = F.pad(x.flatten(0, 2)[:, None], margin, mode="reflect")[:, 0]
    ny, nx = flat.shape[-2:]
    frequency = (torch.fft.fftfreq(ny)[:, None].square() + torch.fft.rfftfreq(nx).square()).sqrt()
    octaves = (frequency.clamp_min(_COARSEST) / _COARSEST).log2() / math.log2(0.5 / _COARSEST)
    place = (octaves.clamp(0, 1) * (_BANDS - 1)).to(x)
    knots = deviation * draw.normal((len(x), _BANDS, 1, 1))
    near = (1 - (place - torch.arange(_BANDS).to(x)[:, None, None]).abs()).clamp_min(0)
    gain = (knots * near).sum(1).exp().repeat_interleave(z, 0)
    flat = torch.fft.irfft2(torch.fft.rfft2(flat.float()) * gain, s=(ny, nx))
    inside = flat[:, margin[2] : margin[2] + height, margin[0] : margin[0] + width]
    return inside.reshape(x.shape).to(x)


def _curved(x: Tensor, exponent: Tensor) -> Tensor:
    """Return patches whose intensities, from least to most, are raised to a power."""
    least, most = x.amin((1, 2, 3, 4), keepdim=True), x.amax((1, 2, 3, 4), keepdim=True)
    return ((x - least) / (most - least).clamp_min(1e-6)) ** exponent


def _like(x: Tensor, other: Tensor) -> Tensor:
    """Return patches with the mean and the deviation of others, as standardisation would."""
    axes = (1, 2, 3, 4)
    mean, deviation = x.mean(axes, keepdim=True), x.std(axes, keepdim=True)
    wanted = other.std(axes, keepdim=True) / deviation.clamp_min(1e-6)
    return (x - mean) * wanted + other.mean(axes, keepdim=True)


def _smooth(noise: Tensor) -> Tensor:
    """Return noise (B, 1, Z, Y, X) averaged over 3 x 3 voxels of a plane, of deviation 1."""
    return 3 * F.avg_pool3d(noise, (1, 3, 3), 1, (0, 1, 1))


def _coarse(x: Tensor, most: int, draw: _Draw) -> Tensor:
    """Return patches of which only each 2nd, 3rd … plane is left, the others interpolated."""
    depth = x.shape[2]
    plane = torch.arange(depth).to(x)
    step = (2 + draw.upto() * (most - 1)).floor().clamp_max(most).view(-1, 1, 1)
    first = (draw.upto().view(-1, 1, 1) * step).floor()
    last = first + ((depth - 1 - first) / step).floor() * step
    at = torch.minimum(torch.maximum(plane[None, :, None], first), last)
    taken = (plane[None, None] - first) % step == 0
    weight = (1 - (at - plane[None, None]).abs() / step).clamp_min(0) * taken
    return torch.einsum("bij,bcjyx->bciyx", weight, x)
