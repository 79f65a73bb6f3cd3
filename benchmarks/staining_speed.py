"""How much of the networks' bare speed a staining job keeps.

For each volume size: voxels per second of the three networks on one tile, without anything
around them, and of a whole staining job (reading, checking, scaling, tiles with halo, noise,
output in memory). Both in turns in the same run, so that a loaded machine slows both alike.

    python benchmarks/staining_speed.py --size 48,192,192 --size 13,1024,1024
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from napari_llcm.events import result_of
from napari_llcm.models import ConsistencyConfig, ModelBundle, ModelInfo, NetworkConfig
from napari_llcm.models.consistency import refine
from napari_llcm.models.device import autocast, pick_device, precision
from napari_llcm.models.normalise import Scaling
from napari_llcm.models.stainer import StainerNetworks
from napari_llcm.staining import Tiling, stain
from napari_llcm.volumes import Volume

BARE = (48, 192, 192)  # voxels of the tile that the bare networks run on


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", action="append", help="Z,Y,X; repeat for more")
    parser.add_argument("--tile", help="Z,Y,X in place of the planned tile")
    parser.add_argument("--block", help="Z,Y,X in place of the planned block")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    device = pick_device(options.device)
    config = NetworkConfig()
    networks = StainerNetworks(config, ConsistencyConfig()).eval().to(device)
    networks.to(memory_format=torch.channels_last_3d)  # as a staining job does
    info = ModelInfo(name="untrained", network=config, dapi=Scaling(low=0, high=1))
    model = ModelBundle(info, networks, "benchmark")
    tiling = None
    if options.tile or options.block:
        tiling = Tiling(
            _size(options.tile or "9999,9999,9999"), _size(options.block or "9999,9999,9999")
        )

    table = Table("volume", "tiles", "bare Mvoxel/s", "job Mvoxel/s", "job / bare")
    for text in options.size or ["48,192,192", "13,512,512"]:
        shape = _size(text)
        data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        volume = Volume(data, name="noise")
        results: list[dict[str, float]] = []

        def job() -> None:
            result_of(
                stain(volume, model, device=str(device), tiling=tiling),  # noqa: B023
                lambda e: results.append(e.result) if e.kind == "finished" else None,  # noqa: B023
            )

        bare, whole = _in_turns(lambda: _bare(networks, device), job, options.repeats, device)
        speeds = np.prod(BARE) / bare / 1e6, np.prod(shape) / whole / 1e6
        table.add_row(
            text,
            str(results[-1]["tiles"]),
            *(f"{s:.2f}" for s in speeds),
            f"{speeds[1] / speeds[0]:.2f}",
        )
    console = Console()
    console.print(f"{device}, {precision(device)}, {torch.get_num_threads()} threads")
    console.print(table)


@torch.inference_mode()
def _bare(networks: StainerNetworks, device: torch.device) -> None:
    factor = networks.network.factor
    latent = [n // f for n, f in zip(BARE, factor, strict=True)]
    qpi = torch.zeros(1, 1, *BARE, device=device)
    noise = torch.zeros(1, networks.network.latent_channels, *latent, device=device)
    with autocast(device):
        condition = networks.condition(qpi)
        latents = refine(networks.denoiser, noise, noise, condition, 40.0)
        networks.decode(latents)


def _in_turns(
    one: Callable[[], None], other: Callable[[], None], repeats: int, device: torch.device
) -> tuple[float, float]:
    """Return the shortest seconds of each, measured in turns after one warm-up."""
    seconds: list[list[float]] = [[], []]
    for i in range(repeats + 1):
        for work, times in zip((one, other), seconds, strict=True):
            start = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if i:
                times.append(time.perf_counter() - start)
    return min(seconds[0]), min(seconds[1])


def _size(text: str) -> tuple[int, int, int]:
    z, y, x = (int(n) for n in text.split(","))
    return (z, y, x)


if __name__ == "__main__":
    main()
