"""How much of the networks' bare speed a staining job keeps, and how fast the rivals stain.

For each volume size: voxels per second of the three networks on one tile, without anything
around them, and of a whole staining job (reading, checking, scaling, tiles with halo, noise,
output in memory). Then the whole job by each method, against one step of the LLCM. What is compared
runs in turns in the same run, so that a loaded machine slows all alike. Speed does not depend on
the weights: no network is trained.

    python benchmarks/staining_speed.py --size 48,192,192 --size 13,1024,1024
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from napari_llcm.events import result_of
from napari_llcm.models import ConsistencyConfig, ModelBundle, ModelInfo, NetworkConfig
from napari_llcm.models.config import MethodName
from napari_llcm.models.consistency import refine
from napari_llcm.models.device import autocast, pick_device, precision
from napari_llcm.models.stainer import StainerNetworks
from napari_llcm.staining import StainOptions, Tiling, stain
from napari_llcm.tasks.normalise import Scaling
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
    model = _untrained("llcm", device)
    tiling = None
    if options.tile or options.block:
        tiling = Tiling(
            _size(options.tile or "9999,9999,9999"), _size(options.block or "9999,9999,9999")
        )

    table = Table("volume", "tiles", "bare Mvoxel/s", "job Mvoxel/s", "job / bare")
    for text in options.size or ["48,192,192", "13,512,512"]:
        shape = _size(text)
        volume = _noise(shape)
        results: list[dict[str, float]] = []

        def job() -> None:
            result_of(
                stain(volume, model, StainOptions(device=str(device), tiling=tiling)),  # noqa: B023
                lambda e: results.append(e.result) if e.kind == "finished" else None,  # noqa: B023
            )

        works = [lambda: _bare(model.networks, device), job]
        bare, whole = _in_turns(works, options.repeats, device)
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
    console.print(_rivals(device, options.repeats))


def _rivals(device: torch.device, repeats: int) -> Table:
    """Return the seconds that each method takes for the same volume."""
    volume = _noise(BARE)
    methods: list[tuple[MethodName, int | None]] = [
        ("llcm", 1), ("llcm", 2), ("llcm", 4), ("regression", None), ("pix2pix", None),
        ("resshift", None), ("diffusion", 20), ("diffusion", 50),
    ]  # fmt: skip
    models = {method: _untrained(method, device) for method, _ in methods}

    def work(method: MethodName, steps: int | None) -> Callable[[], None]:
        options = StainOptions(device=str(device), steps=steps)
        return lambda: result_of(stain(volume, models[method], options))

    seconds = _in_turns([work(*chosen) for chosen in methods], repeats, device)
    table = Table("method", "steps", "s / megavoxel", "of one LLCM step")
    for (method, steps), taken in zip(methods, seconds, strict=True):
        count = models[method].info.steps(steps)
        each = taken / np.prod(BARE) * 1e6
        table.add_row(method, str(count), f"{each:.2f}", f"{taken / seconds[0]:.1f}")
    return table


def _untrained(method: MethodName, device: torch.device) -> ModelBundle:
    config = NetworkConfig()
    networks = StainerNetworks(config, ConsistencyConfig(), method).eval().to(device)
    networks.to(memory_format=torch.channels_last_3d)  # as a staining job does
    info = ModelInfo(
        name=method, method=method, network=config, scalings={"dapi": Scaling(low=0, high=1)}
    )
    return ModelBundle(info, networks, "benchmark")


def _noise(shape: tuple[int, int, int]) -> Volume:
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return Volume(data, name="noise")


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
    works: Sequence[Callable[[], None]], repeats: int, device: torch.device
) -> list[float]:
    """Return the shortest seconds of each, measured in turns after one warm-up."""
    seconds: list[list[float]] = [[] for _ in works]
    for i in range(repeats + 1):
        for work, times in zip(works, seconds, strict=True):
            start = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if i:
                times.append(time.perf_counter() - start)
    return [min(times) for times in seconds]


def _size(text: str) -> tuple[int, int, int]:
    z, y, x = (int(n) for n in text.split(","))
    return (z, y, x)


if __name__ == "__main__":
    main()
