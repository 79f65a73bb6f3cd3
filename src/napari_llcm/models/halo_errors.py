"""What a shorter halo makes wrong, and which one is enough in bfloat16: measured of a model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .reach import Reach, Sites, whole_halos

if TYPE_CHECKING:
    from torch import Tensor

    from .info import ModelInfo
    from .stainer import StainerNetworks

# Of the error by the rounding of weights and inputs to bfloat16, which is a third to half of what
# computing in bfloat16 makes (measured): a quarter of that, in its maximum and its mean square.
_SHARE = 0.5
_SURE = 4  # sites that the reference sees further than a halo that is told from it
_SEEN = 20  # sites beside the box that is looked at, for which it is made smaller
_BOX = (4, 16, 16)  # sites (z, y, x) that are looked at


@dataclass(frozen=True)
class HaloError:
    """What a halo makes wrong, as a share of the standard deviation of the right output.

    Parameters
    ----------
    halo : tuple of int
        Latent sites (z, y, x); the whole one along an axis that is too short to tell.
    largest, rms : float
        Largest error, and the root of the mean square.
    """

    halo: Sites
    largest: float
    rms: float

    def within(self, other: HaloError) -> bool:
        """Return whether it is well below another error."""
        return self.largest <= _SHARE * other.largest and self.rms <= _SHARE * other.rms


@dataclass(frozen=True)
class HaloErrors:
    """Of one network, by halo, the shortest first.

    Parameters
    ----------
    rounding : HaloError
        What rounding weights and inputs to bfloat16 makes wrong.
    halos : tuple of HaloError
        In float32.
    whole : tuple of int
        The halo without any error.
    """

    rounding: HaloError
    halos: tuple[HaloError, ...]
    whole: Sites

    @property
    def enough(self) -> Sites:
        """The first halo from which on all errors are well below that of rounding."""
        enough = self.whole
        for error in reversed(self.halos):
            if not error.within(self.rounding):
                break
            enough = error.halo
        return enough


def measure_reach(
    info: ModelInfo, networks: StainerNetworks, stacks: Sequence[Tensor]
) -> Reach | None:
    """Return how far local networks see on stacks that they were trained for.

    Parameters
    ----------
    info : ModelInfo
        The model.
    networks : StainerNetworks
        In eval mode; weights in float32.
    stacks : sequence of Tensor
        Normalised inputs (1, I, Z, Y, X), sizes multiples of `info.network.multiple`.

    Returns
    -------
    Reach or None
        The largest of all stacks; the whole halo along an axis along which a stack is too short to
        tell. None where the networks are not local, or there is no stack.
    """
    if not info.local:
        return None
    found = [[e.enough for e in halo_errors(info, networks, inputs)] for inputs in stacks]
    if not found:
        return None
    unet, decoder = (_largest(halos) for halos in zip(*found, strict=True))
    return Reach(unet=unet, decoder=decoder)


def halo_errors(
    info: ModelInfo, networks: StainerNetworks, inputs: Tensor
) -> tuple[HaloErrors, HaloErrors]:
    """Return the errors of the U-Net and of the decoder, by halo, on one stack.

    Parameters
    ----------
    info, networks : ModelInfo and StainerNetworks
        As for `measure_reach`.
    inputs : Tensor
        One stack.
    """
    import torch

    from .blocks import level_strides
    from .condition import Condition
    from .samplers import field_at, make_sampler

    rounded = copy.deepcopy(networks)
    for weights in rounded.parameters():
        weights.data = weights.data.bfloat16().float()
    whole_unet, whole_decoder = whole_halos(networks)
    factor, stride = info.network.factor, 2 ** (len(info.network.unet_widths) - 1)
    latent = tuple(n // f for n, f in zip(inputs.shape[2:], factor, strict=True))
    cells = [f // s for f, s in zip(factor, level_strides(factor)[0], strict=True)]
    noise = field_at(0, 0, info.network.latent_channels, (0, 0, 0), latent).to(inputs.device)

    def sampled(made_by: StainerNetworks, features: Tensor, box: Sequence[slice]) -> Tensor:
        """Return the latent of a window after the first step, which is the noisiest."""
        condition, start = made_by.unpacked(_cut(features, box)), _cut(noise, box)
        step = make_sampler(info, made_by).step
        return step(0, torch.zeros_like(start), start, condition).float()

    def decoded(made_by: StainerNetworks, latents: Tensor, box: Sequence[slice]) -> Tensor:
        """Return what a window of latents is decoded to; a skip has a halo of its own."""
        skip = None if skips is None else _cut(skips, _scaled(box, cells))
        return made_by.decode(_cut(latents, box), skip=skip).float()

    with torch.inference_mode():
        condition = networks.conditioned(inputs)
        features = condition.packed() if isinstance(condition, Condition) else condition
        skips = networks.skip(inputs) if info.network.decoder_skip else None
        whole = [slice(0, n) for n in latent]
        latents = sampled(networks, features, whole)
        once = sampled(rounded, features.bfloat16().float(), whole)
        of_unet = _errors(
            partial(sampled, networks, features), latents, once, whole_unet, stride, (1, 1, 1)
        )
        image = decoded(networks, latents, whole)
        once = decoded(rounded, latents.bfloat16().float(), whole)
        of_decoder = _errors(
            partial(decoded, networks, latents), image, once, whole_decoder, 1, factor
        )
    return of_unet, of_decoder


def _errors(
    work: Callable[[Sequence[slice]], Tensor],
    right: Tensor,
    rounded: Tensor,
    halo: Sites,
    stride: int,
    growth: Sequence[int],
) -> HaloErrors:
    """Return the errors of a network that works on windows of latent sites.

    Parameters
    ----------
    work : callable
        Returns the output of a window.
    right, rounded : Tensor
        The output of all sites, and that with rounded weights and inputs.
    halo : tuple of int
        The whole halo.
    stride : int
        Windows begin and end on multiples of it.
    growth : sequence of int
        Voxels of the output for each site.
    """
    sites = [n // g for n, g in zip(right.shape[2:], growth, strict=True)]
    given = zip(sites, _BOX, halo, strict=True)
    box = [_place(n, most, h + _SURE, stride) for n, most, h in given]
    inner = [slice(a, b) for a, b in box]
    want = _cut(right, _scaled(inner, growth))
    deviation = float(right.std())

    def error(got: Tensor, known: Sites) -> HaloError:
        """Return how far an output is from the right one."""
        wrong = (got - want).double() / max(deviation, 1e-12)
        return HaloError(known, float(wrong.abs().max()), float(wrong.square().mean().sqrt()))

    found = []
    for h in range(stride, max(halo), stride):
        tells = [n - b >= h + _SURE for n, (_, b) in zip(sites, box, strict=True)]
        if not any(tells):
            break
        window = [
            slice(max(a - h, 0), min(b + h, n)) if told else slice(0, n)
            for (a, b), n, told in zip(box, sites, tells, strict=True)
        ]
        starts = [w.start for w in window]
        within = [slice(a - s, b - s) for (a, b), s in zip(box, starts, strict=True)]
        got = _cut(work(window), _scaled(within, growth))
        z, y, x = (min(h, most) if told else most for told, most in zip(tells, halo, strict=True))
        found.append(error(got, (z, y, x)))
    rounding = error(_cut(rounded, _scaled(inner, growth)), (0, 0, 0))
    return HaloErrors(rounding, tuple(found), halo)


def _place(count: int, most: int, seen: int, stride: int) -> tuple[int, int]:
    """Return the sites of one axis that are looked at.

    In the middle, or where the stack is short, nearer to its start: one side sees far then.
    """
    size = max(min(most, (count - _SEEN) // stride * stride), stride)
    start = max(min((count - size) // 2, count - size - seen), 0) // stride * stride
    return start, min(start + size, count)


def _cut(x: Tensor, box: Sequence[slice]) -> Tensor:
    """Return the sites or voxels of a box, of all channels."""
    return x[(slice(None), slice(None), *box)]


def _scaled(box: Sequence[slice], growth: Sequence[int]) -> list[slice]:
    return [slice(s.start * g, s.stop * g) for s, g in zip(box, growth, strict=True)]


def _largest(given: Sequence[Sites]) -> Sites:
    z, y, x = (max(along) for along in zip(*given, strict=True))
    return (z, y, x)
