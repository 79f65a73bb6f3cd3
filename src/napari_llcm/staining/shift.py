"""One connection's work on a volume: regions are given out, tiles are taken in."""

from __future__ import annotations

import asyncio
import copy
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..cluster.sending import Frozen, Packed, Sent
from ..events import Job, Meter, Notice, UserError
from ..models.bundle import ModelBundle
from .job import StainJob, Stopped
from .memory import Tiling
from .remote import stain_region
from .tiled import make_pipeline
from .tiling import Box, distance, shared, size, tiles
from .travelling import Travelling, shared_stack

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")
_PERIOD = 0.1  # s between two looks at the workers
_COUNT = 2.0  # s between two counts of the workers
_FOR_EACH_WORKER = 2  # regions given out, so that no worker waits
_TILES = 8  # that wait at the scheduler; workers wait beyond
_TRIES = 3  # of a region, without a tile in between
_ABSENT = 60.0  # s that the scheduler may be without workers


class Lost(Exception):
    """The connection to the scheduler, or what it knew."""


@dataclass
class Work:
    """What other machines are to stain.

    Parameters
    ----------
    job : StainJob
        The job.
    shape : tuple of int
        Size in latent sites of what is stained.
    tile : tuple of int
        Size of a tile.
    left : dict of Box to Box
        The tiles that have not come, and the voxels of the result of each.
    region : tuple of int, optional
        Size of the parts that are given out.
    """

    job: StainJob
    shape: tuple[int, ...]
    tile: tuple[int, ...]
    left: dict[Box, Box]
    region: tuple[int, ...] | None = None
    meter: Meter = field(init=False)
    total: float = field(init=False)

    def __post_init__(self) -> None:
        self.total = float(sum(map(size, self.left)))
        self.meter = Meter(self.total)

    def done(self) -> float:
        """Return how many latent sites have been stained."""
        return self.total - sum(map(size, self.left))


class Shift:
    """Work by the machines of one connection.

    Parameters
    ----------
    work : Work
        What is left of it.
    client : distributed.Client
        Connected.
    """

    def __init__(self, work: Work, client: Any) -> None:
        self._work, self._client, self._job = work, client, work.job
        self._pipeline = make_pipeline(work.job)
        self._running: dict[Any, Box] = {}
        self._failures: dict[Box, int] = {}
        assert work.region is not None
        regions = tiles(work.shape, work.region)
        self._waiting = [r for r in regions if any(shared(r, t) for t in work.left)]
        self._told = ""
        self._seen_workers, self._counted, self._workers = time.monotonic(), 0.0, 0
        z, y, x = (n * f for n, f in zip(work.tile, self._pipeline.factor, strict=True))
        tiling = Tiling((z, y, x), (z, y, x), (z, y, x))  # every worker computes the same
        self._options = work.job.options.model_copy(update={"tiling": tiling, "scratch": None})

    def events(self) -> Job:
        """Give out regions, and keep the tiles that come.

        Raises
        ------
        Lost
            If the connection is.
        Stopped
            If the user has asked for it.
        UserError
            If a region fails again and again.
        """
        from distributed import Queue

        work, job = self._work, self._job
        name = f"napari-llcm-{uuid.uuid4().hex}"
        self._home = _asked(lambda: Queue(name, client=self._client, maxsize=_TILES))
        self._name = name
        # a card of this computer is none of theirs
        networks = copy.deepcopy(job.model.networks).cpu()
        model = Frozen.of(ModelBundle(job.model.info, networks, job.model.source))
        self._model = Sent(self._client, model, everywhere=True)
        source = None if job.source is None else Path(job.source)
        stack = shared_stack(job.inputs, source)
        self._stack = None if stack is None else Sent(self._client, stack, everywhere=True)
        self._bricks = Travelling(self._client, job.inputs)
        try:
            while work.left:
                if job.should_stop is not None and job.should_stop():
                    raise Stopped
                _asked(self._give_out)
                ended = [f for f in self._running if f.done()]
                came = _asked(partial(self._home.get, batch=True))
                for region, box, data, shape, dtype in came:
                    self._failures.pop(region, None)
                    yield from self._keep(box, Packed(data, shape, dtype).array())
                for future in ended:  # whose tiles have come
                    self._settle(future, self._running.pop(future))
                if self._told:
                    yield Notice(text=self._told, warning=False)
                    self._told = ""
                if not came:
                    time.sleep(_PERIOD)
        finally:
            for future in self._running:
                future.release()  # a worker stops when nobody waits for its region

    def _give_out(self) -> None:
        """Give every worker its regions, nearest first."""
        if self._client.status != "running":
            raise Lost("the connection has ended")
        now = time.monotonic()
        if now - self._counted > _COUNT:
            self._workers = len(self._client.scheduler_info(n_workers=-1)["workers"])
            self._counted = now
        workers = self._workers
        self._seen_workers = now if workers else self._seen_workers
        if now - self._seen_workers > _ABSENT:
            raise Lost("no worker is left")
        while self._waiting and len(self._running) < _FOR_EACH_WORKER * workers:
            region = self._nearest()
            wanted = {v for t, v in self._work.left.items() if shared(t, region)}
            if wanted:
                self._running[self._submitted(region, wanted)] = region

    def _nearest(self) -> Box:
        """Remove and return the waiting region nearest to where the user looks."""
        grid, centre = self._job.grid, self._job.focus.centre
        point = centre() if centre else [n / 2 for n in grid.output_shape]
        steps = [r * f for r, f in zip(grid.output_ratio, self._pipeline.factor, strict=True)]
        sites = [p / s for p, s in zip(point, steps, strict=True)]
        waiting = self._waiting
        return waiting.pop(min(range(len(waiting)), key=lambda i: distance(waiting[i], sites)))

    def _submitted(self, region: Box, wanted: set[Box]) -> Any:
        window = self._window(region)
        given, packed = (self._stack.future(), []) if self._stack else self._bricks.region(window)
        run = partial(stain_region, options=self._options, tile=self._work.tile, home=self._name)
        return self._client.submit(
            run, self._model.future(), given, packed, region, wanted, pure=False
        )

    def _window(self, region: Box) -> Box:
        """Return the voxels of the padded grid that a region needs."""
        sites = self._pipeline.features_window(self._pipeline.region_block(region))
        return self._pipeline.input_window(sites)

    def _keep(self, box: Box, data: np.ndarray) -> Job:
        """Keep a tile, unless it has come already: a lost worker's region is begun anew."""
        tile = next((t for t, voxels in self._work.left.items() if voxels == box[-3:]), None)
        if tile is not None:
            yield self._job.keep(box, data)
            del self._work.left[tile]
            yield self._work.meter.at(self._work.done())

    def _settle(self, future: Any, region: Box) -> None:
        """Let go of a region that is done; else let it wait again.

        Raises
        ------
        UserError
            If it has failed too often.
        """
        if not any(shared(t, region) for t in self._work.left):
            if self._stack is None:
                self._bricks.keep([self._window(r) for r in (*self._running.values(),)])
            return
        self._waiting.append(region)
        if future.status == "finished" and _asked(future.result) == "not here":
            if self._stack is not None:
                self._told = f"{self._job.source} is not to be seen there: its voxels are sent."
            self._stack = None
            return
        if future.status == "cancelled":  # what it needed was lost with a worker, and is sent anew
            return
        error = _asked(future.exception) if future.status == "error" else None
        if isinstance(error, UserError):
            raise error
        self._failures[region] = self._failures.get(region, 0) + 1
        if self._failures[region] >= _TRIES:
            raise UserError(
                f"A part of the volume has failed {_TRIES} times on the machines that compute "
                f"({_told(error)}). What is done is kept: see that napari-llcm is as "
                "new there as here, and that they have memory left."
            ) from error


def _asked(ask: Callable[[], T]) -> T:
    """Return what the scheduler answers.

    Raises
    ------
    Lost
        If it does not.
    """
    try:
        return ask()
    except (Lost, UserError):
        raise
    except (Exception, asyncio.CancelledError) as error:
        raise Lost(_told(error)) from error


def _told(error: BaseException | None) -> str:
    """Return what an error says of itself."""
    return "without a word" if error is None else f"{type(error).__name__}: {error}".strip(": ")
