"""How busy the networks keep the arithmetic unit: FLOP/s against those of a matrix product."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch

from ...models.device import precision
from .clock import Work, in_turns
from .networks import bare, flop_of_ours

if TYPE_CHECKING:
    from .bench import Bench

_SIDES = {"cpu": (1024, 2048), "cuda": (4096, 8192), "mps": (2048, 4096)}  # of square matrices
_PRODUCTS = 4  # in a row
_LARGEST = {"cpu": 4 * 2**20, "cuda": 16 * 2**20, "mps": 4 * 2**20}  # voxels of the bare tile


def against_peak(bench: Bench) -> dict[str, Any]:
    """Return the share of the matrix product's FLOP/s that a job and its bare networks reach.

    Halos count as time, not as work: what is counted is the arithmetic of the volume in one piece.
    """
    device = bench.device
    shape = bench.affordable(0.1, cost=2.5 * (bench.repeats + 1))
    products = [_product(side, device) for side in _SIDES.get(device.type, _SIDES["cpu"])]
    works = [bench.job(bench.volume(shape)), bare(bench.model, _tile(bench, shape), device)]
    works += [work for work, _ in products]
    job, networks, *matrices = in_turns(works, bench.repeats, device)
    peak = max(flop / s for (_, flop), s in zip(products, matrices, strict=True))
    each = flop_of_ours(bench.model)
    tile = prod(_tile(bench, shape))
    return {
        "matmul_fraction": each * prod(shape) / job / peak,
        "matmul_fraction_bare_networks": each * tile / networks / peak,
        "chunking_efficiency": (networks / tile) / (job / prod(shape)),
        "arithmetic": {
            "matrix_product_flops": peak,
            "flop_per_voxel": each,
            "job_shape": shape,
            "bare_shape": _tile(bench, shape),
            "job_seconds": job,
            "bare_seconds": networks,
        },
    }


def _product(side: int, device: torch.device) -> tuple[Work, float]:
    """Return the work of a product of square matrices, several times, and its FLOP."""
    a, b = (torch.randn((side, side), device=device).to(precision(device)) for _ in range(2))
    out = torch.empty_like(a)

    def run() -> object:
        """Multiply."""
        with torch.inference_mode():
            for _ in range(_PRODUCTS):
                torch.mm(a, b, out=out)
        return out

    return run, _PRODUCTS * 2.0 * side**3


def _tile(bench: Bench, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the shape of a tile that the bare networks run on: one of the sizes, or the volume."""
    largest = _LARGEST.get(bench.device.type, _LARGEST["cpu"])
    return max((s for s in [*bench.sizes, shape] if prod(s) <= min(largest, prod(shape))), key=prod)
