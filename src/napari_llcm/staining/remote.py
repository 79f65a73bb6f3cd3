"""What a worker does of a staining job: one region, whose tiles go home as they are made."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cluster.sending import Frozen, Packed
from ..cluster.serving import DEVICE
from ..models.bundle import ModelBundle
from ..models.device import pick_device
from ..volumes import Volume
from .job import StainJob, Stopped, interruptible
from .options import StainOptions
from .setup import ready
from .tiled import TiledRun
from .tiling import Box
from .travelling import Bricks, NotHere, SharedStack, arrived

if TYPE_CHECKING:
    import numpy as np

_PATIENCE = 2.0  # s between two looks whether a tile is still waited for


class CollectedTiles:
    """The tiles of a region, to be sent home.

    Parameters
    ----------
    tile : sequence of int
        Tile size in latent sites.
    wanted : set of Box
        Voxels of the tiles that are not done yet.
    """

    notice: str | None = None
    watched = False
    region: tuple[int, ...] | None = None

    def __init__(self, tile: Sequence[int], wanted: set[Box]) -> None:
        self.tile: tuple[int, ...] | None = tuple(tile)
        self.wanted = wanted
        self.parts: list[tuple[Box, np.ndarray]] = []

    def is_done(self, box: Box) -> bool:
        """Return whether a tile is not wanted."""
        return box not in self.wanted

    def start(self, tile: Sequence[int], region: Sequence[int] | None = None) -> None:
        """Do nothing: the sizes are given."""

    def put(self, box: Box, data: np.ndarray, part: bool = False) -> None:
        """Keep the voxels of a box to be sent home."""
        self.parts.append((box, data))

    def finish(self, stopped: bool, metadata: dict[str, Any]) -> Volume | None:
        """Return None: the result is put together where the job was started."""
        return None


def stain_region(
    frozen: Frozen,
    given: SharedStack | Bricks,
    packed: Sequence[Packed],
    region: Box,
    wanted: set[Box],
    *,
    options: StainOptions,
    tile: Sequence[int],
    home: str,
) -> str:
    """Stain the tiles of a region that are wanted; runs on a worker.

    Parameters
    ----------
    frozen : Frozen
        The model: a `ModelBundle` of local networks.
    given : SharedStack or Bricks
        The stack.
    packed : sequence of Packed
        Its bricks.
    region : Box
        Latent sites, whole tiles.
    wanted : set of Box
        Voxels of the result's tiles.
    options : StainOptions
        With sizes of tiles, so that every worker computes the same.
    tile : sequence of int
        Tile size in latent sites.
    home : str
        Name of dask's queue in which tiles go home.

    Returns
    -------
    str
        "done", or "not here" where this worker does not see the file.
    """
    import dask
    from distributed import Queue, get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def cancelled() -> bool:
        """Return whether nobody waits for this region any more."""
        task = worker.state.tasks.get(key)
        return task is None or task.state not in ("executing", "long-running")

    def put(*values: Any) -> None:
        """Wait for room in the queue, but not for one whom nobody empties any more."""
        while True:
            try:
                return queue.put(values, timeout=_PATIENCE)
            except TimeoutError:
                if cancelled():
                    raise Stopped from None

    def send() -> None:
        """Send home what has been made; the scheduler takes no more than plain values."""
        while output.parts:
            box, data = output.parts.pop(0)
            made = Packed.of(data)
            put(region, box, made.data, made.shape, made.dtype)

    try:
        with dask.config.set(scheduler="synchronous"):
            inputs = arrived(given, packed)
    except NotHere:
        return "not here"
    model: ModelBundle = frozen.value()
    device = pick_device(os.environ.get(DEVICE, options.device))
    ready(model, device)
    output = CollectedTiles(tile, wanted)
    queue = Queue(home)
    with (
        dask.config.set(scheduler="synchronous"),  # lazy voxels are read here, not by other tasks
        tempfile.TemporaryDirectory() as folder,
        interruptible(model.networks, cancelled),
    ):
        job = StainJob(model, device, inputs, options, 1, output, Path(folder))
        for _ in TiledRun(job, region).events():
            send()
        send()
    return "done"
