"""Run a job in a worker; if the worker dies, start another, where the job goes on."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from ..events import Event, Failed, Finished, Job, Notice, ShouldStop, UserError
from .process import Died, MakeJob, Worker

T = TypeVar("T")
COMPUTER, READER = "computer", "reader"
_IDLE = {COMPUTER: 5 * 60.0, READER: 30 * 60.0}  # s without a job after which a worker ends
_TRIES = 2
_LOST = (
    "The process that computes was lost twice ({how}). What is done is kept: close other programs "
    "if memory is full, or choose a smaller region; if it happens again, report it with the "
    "details."
)


@dataclass(frozen=True)
class Elsewhere:
    """A maker of a job that runs in a worker.

    Parameters
    ----------
    make_job : callable
        As `Worker.run` takes it: `functools.partial` of a function that takes the stop hook last.
    where : str
        The worker: COMPUTER, which keeps torch and a model, or READER, which opens files.
    lost : str
        What the user is told if the job ends its process each time; "{how}" is put in.
    """

    make_job: MakeJob
    where: str = COMPUTER
    lost: str = _LOST

    def __call__(self, should_stop: ShouldStop) -> Job:
        """Yield the job's events."""
        return workers.run(self, should_stop)


class Workers:
    """The workers of this process: one of each kind, and another for a job that has lost its own.

    Parameters
    ----------
    idle : float, optional
        After how many seconds without a job a worker ends.
    """

    def __init__(self, idle: float | None = None) -> None:
        self._idle = idle
        self._lock = threading.Lock()
        self._shared: dict[str, Worker] = {}
        self._own: list[Worker] = []
        self._timers: dict[str, threading.Timer] = {}

    def run(self, job: Elsewhere, should_stop: ShouldStop) -> Job:
        """Yield the events of a job, which is begun again, by itself, when its worker dies.

        A job goes on from what it has kept: a canvas, a file, a run folder.

        Raises
        ------
        UserError
            If it ends its worker each time.
        """
        for attempt in range(_TRIES):
            worker = self.start(job.where) if attempt == 0 else self._one_more()
            try:
                yield from worker.run(job.make_job, should_stop)
                return
            except Died as died:
                if should_stop():
                    yield Finished(result={"stopped": True, "killed": True})
                    return
                how, detail = str(died), died.detail
                if attempt + 1 < _TRIES:
                    again = f"The {job.where} was lost ({how}): the job goes on in another one."
                    yield Notice(text=again, warning=False)
            finally:
                self._settle(job.where, worker)
        raise UserError(job.lost.replace("{how}", how)) from RuntimeError(detail)

    def call(self, where: str, function: Callable[[], T], lost: str = _LOST) -> T:
        """Return what a function returns in a worker.

        Raises
        ------
        UserError
            As the function, or if it ends its worker each time.
        """
        job = self.called(where, function, lost)
        while True:
            try:
                next(job)
            except StopIteration as end:
                value: T = end.value
                return value

    def called(
        self, where: str, function: Callable[[], T], lost: str = _LOST
    ) -> Generator[Event, None, T]:
        """Yield what there is to be told while a function is called in a worker, as `call`."""
        value: Any = None
        for event in self.run(Elsewhere(_Call(function), where, lost), lambda: False):
            if isinstance(event, Failed):
                raise UserError(event.sentence) from RuntimeError(event.detail)
            if isinstance(event, Finished):
                value = event.value
            else:
                yield event
        if isinstance(value, UserError):
            raise value
        result: T = value
        return result

    def start(self, where: str) -> Worker:
        """Return the worker of a kind, started if there is none: so it is ready when it is used."""
        with self._lock:
            if (timer := self._timers.pop(where, None)) is not None:
                timer.cancel()
            worker = self._shared.get(where)
            if worker is None or not worker.alive:
                worker = self._shared[where] = Worker()
            return worker

    def warm(self, where: str, function: Callable[[], Any] | None = None) -> None:
        """Start the worker of a kind, and let it import what takes long, without waiting.

        What goes wrong is told by the first job.
        """

        def work() -> None:
            """Call the function, or do nothing but be there."""
            with suppress(UserError):
                self.call(where, function or _nothing)

        threading.Thread(target=work, name=f"warming the {where}", daemon=True).start()

    def has(self, where: str) -> bool:
        """Return whether the worker of a kind is there."""
        worker = self._shared.get(where)
        return worker is not None and worker.alive

    def end(self, where: str) -> bool:
        """End the worker of a kind, and give its memory back; return False where it is at work."""
        with self._lock:
            worker = self._shared.get(where)
            if worker is not None and not worker.idle:
                return False
            self._shared.pop(where, None)
        if worker is not None:
            worker.end()
        return True

    def end_all(self) -> None:
        """End all workers, with what is done kept."""
        with self._lock:
            ending = [*self._shared.values(), *self._own]
            self._shared, self._own = {}, []
            for timer in self._timers.values():
                timer.cancel()
        for worker in ending:
            worker.end()
        for worker in ending:
            worker.wait(5)
            worker.kill()

    def _one_more(self) -> Worker:
        """Return a worker for one job alone: whichever of several killed theirs is then known."""
        with self._lock:
            worker = Worker()
            self._own.append(worker)
            return worker

    def _settle(self, where: str, worker: Worker) -> None:
        """End a worker that was for one job; and one without a job after some minutes."""
        with self._lock:
            if worker in self._own:
                self._own.remove(worker)
                shared = self._shared.get(where)
                if worker.alive and (shared is None or not shared.alive):
                    self._shared[where] = worker  # what it has loaded is kept
                else:
                    worker.end()
            if (timer := self._timers.pop(where, None)) is not None:
                timer.cancel()
            seconds = _IDLE[where] if self._idle is None else self._idle
            timer = self._timers[where] = threading.Timer(seconds, self.end, (where,))
            timer.daemon = True
            timer.start()


def _nothing() -> None:
    """Do nothing but be there."""


class _Call:
    """A job that calls a function; what the user can mend comes back as it was raised."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    def __call__(self, should_stop: ShouldStop) -> Job:
        """Call it."""
        try:
            yield Finished(value=self._function())
        except UserError as error:
            yield Finished(value=error)


workers = Workers()
atexit.register(workers.end_all)
