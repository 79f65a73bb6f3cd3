"""The typed events that every long job yields, and the one error that a user may see.

A job is a generator of events. The terminal draws them as a progress bar, a thread hands them to
the viewer, a child process prints each as one line of JSON: one implementation, three listeners.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator, Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

ShouldStop = Callable[[], bool]


class UserError(Exception):
    """Something the user can mend; its text is one sentence that says what to do."""


class _Event(BaseModel):
    # NaN and infinity as strings: JSON has no numbers for them, and null would be no number
    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, ser_json_inf_nan="strings")

    def to_json(self) -> str:
        """Return the event as one line of JSON (arrays are left out)."""
        return self.model_dump_json()


class Started(_Event):
    """A job has begun; `total` counts `unit` where it is known."""

    kind: Literal["started"] = "started"
    job: str
    total: float | None = None
    unit: str = "steps"
    settings: dict[str, Any] = {}


class Progress(_Event):
    """How far a job is; `elapsed` and `eta` (time left) in seconds."""

    kind: Literal["progress"] = "progress"
    done: float
    total: float
    elapsed: float = 0.0
    eta: float | None = None
    text: str = ""


class Tile(_Event):
    """A finished part of a volume; `slices` are (start, stop) per axis, `data` the voxels.

    A preview is not finished: it is shown until the tile comes that takes its place.
    """

    kind: Literal["tile"] = "tile"
    slices: tuple[tuple[int, int], ...]
    data: Any = Field(default=None, exclude=True)
    preview: bool = False


class Step(_Event):
    """One logged step of training with its figures."""

    kind: Literal["step"] = "step"
    phase: str
    step: int
    values: dict[str, float]


class Preview(_Event):
    """Images to look at while training: name to 3D array; `path` where they were saved."""

    kind: Literal["preview"] = "preview"
    phase: str
    step: int
    path: str | None = None
    images: dict[str, Any] = Field(default={}, exclude=True)


class Checkpoint(_Event):
    """A state from which the job can be resumed is on disk."""

    kind: Literal["checkpoint"] = "checkpoint"
    path: str


class Notice(_Event):
    """A sentence that the user should read; the job goes on.

    A warning bears on whether the result can be believed, and stays in sight; what is no warning
    tells how the job goes about its work.
    """

    kind: Literal["notice"] = "notice"
    text: str
    warning: bool = True


class Finished(_Event):
    """The job is done; `result` is its summary as JSON, `value` its result in this process."""

    kind: Literal["finished"] = "finished"
    result: dict[str, Any] = {}
    value: Any = Field(default=None, exclude=True)


class Failed(_Event):
    """The job could not be done; `sentence` says what to do, `detail` is for a bug report."""

    kind: Literal["failed"] = "failed"
    sentence: str
    detail: str = ""


Event = Started | Progress | Tile | Step | Preview | Checkpoint | Notice | Finished | Failed
Job = Generator[Event, None, None]

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


def parse_event(line: str) -> Event:
    """Return the event that one line of JSON holds.

    Raises
    ------
    UserError
        If the line is no event.
    """
    try:
        return _ADAPTER.validate_json(line)
    except ValueError as error:
        raise UserError(f"This line is not an event of napari-llcm: {line[:80]!r}.") from error


class Meter:
    """Measures a job's pace and makes its `Progress` events.

    Parameters
    ----------
    total : float
        How much there is to do.
    done : float
        How much was done before (a resumed job), which does not count for the pace.
    """

    def __init__(self, total: float, done: float = 0.0) -> None:
        self.total = total
        self._before = done
        self._start = time.monotonic()

    def at(self, done: float, text: str = "") -> Progress:
        """Return the progress event for `done` of the total."""
        elapsed = time.monotonic() - self._start
        fresh = done - self._before
        eta = elapsed / fresh * max(self.total - done, 0.0) if fresh > 0 else None
        return Progress(done=done, total=self.total, elapsed=elapsed, eta=eta, text=text)


def duration(seconds: float) -> str:
    """Return seconds as people say them: 45 s, 3 min, 2 h 10 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def guarded(job: Iterable[Event]) -> Job:
    """Yield the events of `job`; an exception becomes its last event, `Failed`."""
    try:
        yield from job
    except UserError as error:
        yield Failed(sentence=str(error), detail=traceback.format_exc())
    except Exception as error:
        yield Failed(
            sentence=f"Something went wrong that napari-llcm did not expect ({error}). "
            "Please report it with the details.",
            detail=traceback.format_exc(),
        )


def relay(job: Iterable[Event], text: str = "") -> Generator[Event, None, Any]:
    """Yield the events of a job inside another one, and return its value.

    Its `Started` and `Finished` are held back: the outer job has its own. `text` is put before
    the text of its progress.

    Raises
    ------
    UserError
        If the inner job yields `Failed`.
    """
    value: Any = None
    for event in job:
        if isinstance(event, Finished):
            value = event.value
        elif isinstance(event, Failed):
            raise UserError(event.sentence)
        elif isinstance(event, Progress) and text:
            yield event.model_copy(update={"text": f"{text} {event.text}".strip()})
        elif not isinstance(event, Started):
            yield event
    return value


def noting(job: Iterable[Event], notices: list[str]) -> Job:
    """Yield the events of a job, keep what its warnings say, and say each sentence once.

    Parameters
    ----------
    job : iterable of Event
        The job.
    notices : list of str
        Gets each new sentence. A job puts them into its result, so that a warning which decides
        whether the result can be believed is not lost with the window that showed it.
    """
    for event in job:
        if isinstance(event, Notice) and event.warning:
            if event.text in notices:
                continue
            notices.append(event.text)
        yield event


def result_of(job: Iterable[Event], listen: Callable[[Event], None] | None = None) -> Any:
    """Run a job to its end and return the value of its `Finished` event.

    Parameters
    ----------
    job : iterable of Event
        The job.
    listen : callable, optional
        Called with each event as it comes.

    Raises
    ------
    UserError
        If the job yields `Failed`.
    """
    value: Any = None
    for event in job:
        if listen is not None:
            listen(event)
        if isinstance(event, Finished):
            value = event.value
        elif isinstance(event, Failed):
            raise UserError(event.sentence)
    return value
