"""MONAI's `SlidingWindowInferer` around our own networks, at seams no worse than ours.

MONAI's windows know nothing of the halo that a network needs: overlapping results are blended. How
far a blended result is from that of the whole volume in one piece falls with the overlap. Compared
is the smallest overlap whose error is no larger than the rounding of the networks' precision.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch

from ...models.device import autocast
from ...models.samplers import predict
from ...staining import Tiling
from .clock import in_turns

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from .bench import Bench

OVERLAPS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75)


def against_windows(bench: Bench) -> dict[str, Any]:
    """Return how many times faster a staining job is than MONAI's windows, measured in turns."""
    shape = bench.affordable(0.15, cost=4.0 * (bench.repeats + 1) + 10)
    window = _window(bench, shape)
    seen = torch.from_numpy(_normalised(bench, shape))[None, None]
    whole = _in_windows(bench, seen, shape, 0.25)
    with torch.autocast(bench.device.type, enabled=False):
        exact = _in_windows(bench, seen, shape, 0.25, rounded=False)
    scale = float(exact.std())
    rounding = _seam(whole - exact) / scale
    errors: dict[float, float] = {}
    for overlap in OVERLAPS:
        errors[overlap] = _seam(_in_windows(bench, seen, window, overlap) - whole) / scale
        if errors[overlap] <= rounding:
            break
    tiling = Tiling(window, shape, window)
    tiled = bench.job(bench.volume(shape), tiling=tiling)
    planned = bench.job(bench.volume(shape))
    works = [planned, tiled, lambda: _in_windows(bench, seen, window, overlap)]
    ours, alike, theirs = in_turns(works, bench.repeats, bench.device)
    return {
        "ratio_vs_monai_window": theirs / ours,
        "windows": {
            "shape": shape,
            "window": window,
            "overlap": overlap,
            "equal": errors[overlap] <= rounding,
            "rounding": rounding,
            "error_by_overlap": {str(k): v for k, v in errors.items()},
            "voxels_per_second": prod(shape) / theirs,
            "ours_voxels_per_second": prod(shape) / ours,
            "ours_in_tiles_of_the_window": prod(shape) / alike,
            "ratio_at_tiles_of_the_window": theirs / alike,
        },
    }


def _window(bench: Bench, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return half of the volume in the plane, a multiple of what the networks need."""
    multiple = bench.model.info.network.multiple
    z, y, x = (max(n // d // m, 1) * m for n, d, m in zip(shape, (1, 2, 2), multiple, strict=True))
    return (z, y, x)


def _seam(error: Tensor) -> float:
    """Return the root mean square of an error (1, 1, z, y, x) in the plane where it is largest.

    A seam is a plane: over the whole volume it would be hidden among good voxels.
    """
    squares = error[0, 0].float().square()
    planes = (squares.mean((0, 2)), squares.mean((0, 1)))  # of constant y, and of constant x
    return float(torch.cat(planes).max().sqrt())


def _normalised(bench: Bench, shape: tuple[int, int, int]) -> np.ndarray:
    from ...volumes import NoData

    volume = bench.volume(shape)
    intensity = bench.model.info.task.inputs[0].intensity
    return intensity.apply(volume.numpy(), intensity.measure(volume.data, NoData()))


def _in_windows(
    bench: Bench, seen: Tensor, window: tuple[int, int, int], overlap: float, rounded: bool = True
) -> Tensor:
    """Return what MONAI makes of a normalised volume, on the processor, the noise one field."""
    from contextlib import nullcontext

    from monai.inferers import SlidingWindowInferer

    info, networks, device = bench.model.info, bench.model.networks, bench.device

    def one(part: Tensor, coordinates: list[list[slice]]) -> Tensor:
        """Stain a window."""
        spans = zip(coordinates[0][2:], info.network.factor, strict=True)
        start = tuple(s.start // f for s, f in spans)
        with autocast(device) if rounded else nullcontext():
            return predict(info, networks, part, start=start)

    infer = SlidingWindowInferer(window, 1, overlap, "gaussian", with_coord=True)
    with torch.inference_mode():
        return infer(seen.to(device), one).cpu()  # blended where it is computed: quickest
