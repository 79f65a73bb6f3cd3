"""Several stacks in one job: the time points of a series, or any jobs one after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ..events import (
    Event,
    Finished,
    Job,
    Meter,
    Progress,
    ShouldStop,
    Started,
    noting,
)
from ..models.bundle import ModelBundle
from ..volumes import Volume
from .canvas import Canvas
from .job import Focus
from .options import StainOptions
from .stainer import stain
from .tiling import Box


def stain_times(
    volume: Volume,
    model: ModelBundle,
    canvases: Mapping[int, Canvas],
    options: StainOptions = StainOptions(),
    *,
    focus: Focus = Focus(),
    now: Callable[[], int] | None = None,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Stain time points of a series, nearest to the one that is looked at first.

    Parameters
    ----------
    volume : Volume
        Axes "tzyx", or "zyx" for a single stack.
    model : ModelBundle
        The stainer.
    canvases : mapping
        Time point to the canvas that takes its stain; 0 for a single stack.
    options : StainOptions
        How each is stained.
    focus : Focus
        What is stained first, or alone, of each.
    now : callable, optional
        Returns the time point that is looked at; asked again for each.
    should_stop : callable, optional
        Asked before every layer of the networks.

    Yields
    ------
    Event
        As `stain` does; progress is that of all time points together.

    Raises
    ------
    UserError
        If a stack cannot be stained.
    """
    left, count = sorted(canvases), len(canvases)
    yield Started(job="stain", unit="stacks", total=count)
    total = Total(count)
    while left and not total.stopped:
        point = min(left, key=lambda t: abs(t - (now() if now else 0)))
        left.remove(point)
        stack = volume.select(time=point) if "t" in volume.axes else volume
        text = f"time point {point} ({count - len(left)} of {count})" if count > 1 else ""
        here = focus if now is None else replace(focus, view=partial(_view, focus, point, now))
        job = stain(stack, model, options, out=canvases[point], focus=here, should_stop=should_stop)
        yield from total.part(job, text)
    yield total.finished()


def _view(focus: Focus, point: int, now: Callable[[], int]) -> Box | None:
    """Return the box on screen while a time point is looked at."""
    return focus.view() if focus.view is not None and now() == point else None


def in_turn(jobs: Iterable[tuple[str, Job]], count: int) -> Job:
    """Run staining jobs one after another as one job.

    Parameters
    ----------
    jobs : iterable of tuple
        What is put before the progress of each, and the job.
    count : int
        How many there are.

    Yields
    ------
    Event
        As `stain` does; progress is that of all jobs together.
    """
    yield Started(job="stain", unit="stacks", total=count)
    total = Total(count)
    for text, job in jobs:
        yield from total.part(job, text)
        if total.stopped:
            break
    yield total.finished()


class Total:
    """The progress, and the sums, of several jobs."""

    def __init__(self, count: int) -> None:
        self._meter, self._began = Meter(float(count)), time.monotonic()
        self.done, self.stopped = 0.0, False
        self._sums = {"tiles": 0, "voxels": 0}
        self._last: dict[str, Any] = {}
        self._notices: list[str] = []

    def part(self, job: Job, text: str, share: float = 1.0) -> Iterator[Event]:
        """Yield the events of one job as a part of the whole.

        Parameters
        ----------
        job : Job
            As `stain`.
        text : str
            What is put before its progress.
        share : float
            Of one of the things that are counted: how much of it the job does.
        """
        for event in noting(job, self._notices):
            if isinstance(event, Progress):
                done = self.done + share * event.done / event.total
                yield self._meter.at(done, " · ".join(t for t in (text, event.text) if t))
            elif isinstance(event, Finished):
                self._last = event.result
                self.stopped = event.result["stopped"]
                self._sums = {k: v + event.result[k] for k, v in self._sums.items()}
            elif not isinstance(event, Started):
                yield event
        self.done += share

    def finished(self, **more: Any) -> Finished:
        """Return the last event."""
        seconds = time.monotonic() - self._began
        result = {**self._last, **self._sums, "seconds": seconds, "stopped": self.stopped, **more}
        result["notices"] = self._notices
        return Finished(result={**result, "voxels_per_second": self._sums["voxels"] / seconds})
