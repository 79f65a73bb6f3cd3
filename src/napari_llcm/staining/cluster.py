"""Staining on other machines: regions of the volume go to dask workers, tiles come back.

Every region is computed with the halo that the networks need, so the result is the one that a
single machine gives. The sizes of tiles and regions are noted with a result on disk: a job that
goes on, on however many machines, computes what it would have computed. One worker with one thread
for each device is best.
"""

from __future__ import annotations

import math
import time

from ..cluster import connect
from ..cluster.connection import Absent, workers_of
from ..cluster.started import QUEUE, STARTED
from ..events import Job, Notice, UserError
from .job import StainJob, Stopped
from .shift import Lost, Shift, Work
from .tiled import pending_tiles, tile_sizes
from .tiling import shared

_LARGEST = 2**21  # latent sites of a region: 8 GiB for the U-Net, as on one machine
_PATIENCE = 180.0  # s that lost machines have to come back
_PAUSE = 3.0  # s between two tries


def run_distributed(job: StainJob) -> Job:
    """Stain on other machines, nearest regions first.

    What a lost worker has not sent home goes to another one; a lost scheduler is waited for.

    Parameters
    ----------
    job : StainJob
        With local networks and one step; its options say which machines.

    Raises
    ------
    UserError
        If dask.distributed is not installed, nobody answers, there are no workers, the model or
        the settings cannot be distributed, or what was lost does not come back.
    """
    if job.steps > 1 or not job.model.info.local:
        raise UserError("Other machines stain with local networks and in one step only.")
    work = _work(job)
    lost_at: float | None = None
    while True:
        before = len(work.left)
        try:
            with connect(job.options) as client:
                queued = QUEUE if job.options.cluster in STARTED else None
                workers = workers_of(client, queued, job.should_stop)
                if work.region is None:
                    work.region = job.output.region or region_size(work, len(workers))
                    job.output.start(work.tile, work.region)
                job.where = ", ".join(sorted(str(w["name"]) for w in workers.values()))
                yield Notice(text=f"Computing there: {job.where}.", warning=False)
                yield from Shift(work, client).events()
                return
        except (Lost, UserError) as error:
            if isinstance(error, Absent) and job.should_stop is not None and job.should_stop():
                raise Stopped from error
            if isinstance(error, UserError) and (lost_at is None or not isinstance(error, Absent)):
                raise
            if lost_at is None or len(work.left) < before:
                lost_at = time.monotonic()
            if time.monotonic() - lost_at > _PATIENCE:
                raise UserError(
                    "The machines that compute were lost, and did not come back within "
                    f"{_PATIENCE / 60:.0f} minutes ({error}). What is done is kept: start it again "
                    "when they are there."
                ) from error
            if isinstance(error, Lost):
                text = f"The machines that compute were lost ({error}): trying again."
                yield Notice(text=text, warning=False)
        _pause(job)


def region_size(work: Work, workers: int) -> tuple[int, ...]:
    """Return a size in latent sites, whole tiles, that gives every worker a region if it can.

    Parameters
    ----------
    work : Work
        What is to be stained.
    workers : int
        How many there are.
    """
    counts = [-(-n // t) for n, t in zip(work.shape, work.tile, strict=True)]
    units = list(counts)  # tiles of a region

    def extent(axis: int) -> int:
        """Return the size of a region along an axis."""
        return min(units[axis] * work.tile[axis], work.shape[axis])

    while max(units) > 1:
        number = math.prod(-(-c // u) for c, u in zip(counts, units, strict=True))
        if number >= workers and math.prod(map(extent, range(3))) <= _LARGEST:
            break
        # the longest axis is cut: its halo weighs least
        axis = max((i for i in range(3) if units[i] > 1), key=extent)
        units[axis] = -(-units[axis] // 2)
    return tuple(u * t for u, t in zip(units, work.tile, strict=True))


def _work(job: StainJob) -> Work:
    tile, *_ = tile_sizes(job)
    pending = pending_tiles(job, tile)
    if job.focus.region is not None:
        wanted = job.focus.region()
        pending = [t for t in pending if shared(job.outputs(t), wanted)]
    factor = job.model.info.network.factor
    shape = tuple(-(-n // f) for n, f in zip(job.grid.shape, factor, strict=True))
    return Work(job, shape, tile, {t: job.outputs(t) for t in pending})


def _pause(job: StainJob) -> None:
    until = time.monotonic() + _PAUSE
    while time.monotonic() < until:
        if job.should_stop is not None and job.should_stop():
            raise Stopped
        time.sleep(0.1)
