"""Staining on many machines: regions of the volume go out to dask workers, tiles come back.

Every worker gets its region's part of the input with the halo that the networks need, so the
result is the one that a single machine gives, and no file need be shared. One worker with one
thread for each device is best.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..events import Job, Meter, Notice, UserError
from ..models.bundle import ModelBundle
from ..models.device import pick_device
from ..volumes import Volume
from .inputs import StackInputs
from .job import StainJob, Stopped
from .options import StainOptions
from .setup import ready
from .tiled import TiledRun, make_pipeline, pending_tiles, tile_sizes
from .tiling import Box, halves, shared, size

_PATIENCE = 0.1  # seconds between two looks at the workers
_FOR_EACH_WORKER = 2  # regions, so that a fast worker helps a slow one


class CollectedTiles:
    """The tiles of a region, to be sent back.

    Parameters
    ----------
    tile : sequence of int
        Tile size in latent sites.
    wanted : set of Box
        Input voxels of the tiles that are not done yet.
    """

    notice: str | None = None
    watched = False

    def __init__(self, tile: Sequence[int], wanted: set[Box]) -> None:
        self.tile: tuple[int, ...] | None = tuple(tile)
        self.wanted = wanted
        self.parts: list[tuple[Box, np.ndarray]] = []

    def is_done(self, box: Box) -> bool:
        """Return whether a tile is not wanted."""
        return box not in self.wanted

    def start(self, tile: Sequence[int]) -> None:
        """Do nothing: the tile size is given."""

    def put(self, box: Box, data: np.ndarray, part: bool = False) -> None:
        """Keep the voxels of a box to be sent back."""
        self.parts.append((box, data))

    def finish(self, stopped: bool, metadata: dict[str, Any]) -> Volume | None:
        """Return None: the result is put together where the job was started."""
        return None


def run_distributed(job: StainJob, scheduler: str) -> Job:
    """Stain on the workers of a dask scheduler.

    Parameters
    ----------
    job : StainJob
        With local networks and one step.
    scheduler : str
        Address, such as "tcp://host:8786".

    Raises
    ------
    UserError
        If dask.distributed is not installed, the scheduler does not answer, it has no workers,
        or the model or the settings cannot be distributed.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError(
            'To stain on many machines, run: pip install "napari-llcm[cluster]"'
        ) from error
    if job.steps > 1 or not job.model.info.local:
        raise UserError("Many machines stain with local networks and in one step only.")
    try:
        client = Client(scheduler, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(f"No dask scheduler answers at {scheduler}.") from error
    with client:
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            raise UserError(f"The dask scheduler at {scheduler} has no workers: start some.")
        tile, block, _ = tile_sizes(job)
        job.output.start(tile)
        pending = pending_tiles(job, tile)
        regions = _regions(pending, tile, block, _FOR_EACH_WORKER * workers)
        yield Notice(
            text=f"Workers at {scheduler}: {workers}; parts of the volume: {len(regions)}."
        )
        work = partial(_stain_region, options=job.options, tile=tile)
        model = client.scatter(job.model, broadcast=True)
        pipeline = make_pipeline(job)
        waiting, running = list(regions), dict[Any, Box]()
        meter, done = Meter(float(sum(size(r) for r in regions))), 0.0
        while waiting or running:
            while waiting and len(running) < _FOR_EACH_WORKER * workers:
                region = waiting.pop()
                sites = pipeline.features_window(pipeline.region_block(region))
                part = job.inputs.cut(pipeline.input_window(sites))
                boxes = {job.outputs(t) for t in pending if shared(t, region)}
                running[client.submit(work, model, part, region, boxes, pure=False)] = region
            if job.should_stop is not None and job.should_stop():
                client.cancel(list(running))
                raise Stopped
            time.sleep(_PATIENCE)
            for future in [f for f in running if f.done()]:
                for box, data in future.result():
                    yield job.keep(box, data)
                done += size(running.pop(future))
                yield meter.at(done)


def _regions(
    pending: list[Box], tile: Sequence[int], block: Sequence[int], count: int
) -> list[Box]:
    """Return boxes of whole tiles, no larger than a block, if possible at least `count`."""
    if not pending:
        return []
    ends = [max(t[axis][1] for t in pending) for axis in range(3)]
    regions: list[Box] = [tuple((0, n) for n in ends)]
    largest_allowed = int(np.prod(block))
    while len(regions) < count or size(regions[-1]) > largest_allowed:
        parts = halves(regions[-1], tile)
        if len(parts) < 2:
            break
        regions = sorted(regions[:-1] + parts, key=size)
    return [r for r in regions if any(shared(r, t) for t in pending)]


def _stain_region(
    model: ModelBundle,
    inputs: StackInputs,
    region: Box,
    wanted: set[Box],
    *,
    options: StainOptions,
    tile: Sequence[int],
) -> list[tuple[Box, np.ndarray]]:
    """Return the boxes and voxels of a region's tiles; runs on a worker."""
    device = pick_device(options.device)
    ready(model, device)
    output = CollectedTiles(tile, wanted)
    with tempfile.TemporaryDirectory() as folder:
        job = StainJob(model, device, inputs, options, 1, output, Path(folder))
        for _ in TiledRun(job, region).events():
            pass
    return output.parts
