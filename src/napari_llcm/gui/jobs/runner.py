"""Run a job off the main thread, and hear its events on it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from queue import Empty, Full, Queue
from typing import Any, Protocol

from qtpy.QtCore import QObject, QTimer, Signal

from ...events import Event, Failed, Finished, Job, Progress, ShouldStop, guarded
from ...volumes import ChoiceNeeded
from ...worker.phrases import choice_in_panel

MakeJob = Callable[[ShouldStop], Job]
Then = Callable[[Finished], None]
Otherwise = Callable[[str, str], None]

_PERIOD = 30  # ms between two looks at the queue
_BUDGET = 0.01  # s that events may take in one go: the window stays alive
_WAITING = 64  # events that may wait; beyond that the job waits for the viewer


class _Signals(QObject):
    happened = Signal(object)  # not "event", which is a method of every QObject
    failed = Signal(str, str)
    running_changed = Signal(bool)


class RunningJob(Protocol):
    """What can be seen of a job, and stopped; the signals are emitted on the main thread.

    Attributes
    ----------
    event : Signal(object)
        Each event of the job.
    failed : Signal(str, str)
        The sentence and the details of a job that failed.
    running_changed : Signal(bool)
        A job has begun, or is over; the latter comes before `failed` and before what `start` was
        told to call, so that these may start the next job.
    """

    event: Any
    failed: Any
    running_changed: Any

    @property
    def running(self) -> bool:
        """Whether a job is going on."""

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""

    def stop(self) -> None:
        """Ask the job to stop."""


class Runner(RunningJob, Protocol):
    """What panels need of a runner."""

    def start(
        self,
        make_job: MakeJob,
        name: str,
        then: Then | None = None,
        otherwise: Otherwise | None = None,
    ) -> None:
        """Start a job; `then` hears how it finished or was stopped, `otherwise` how it failed."""


class BaseRunner:
    """The signals, and how the end of a job is told."""

    def __init__(self, parent: QObject | None = None) -> None:
        self._signals = _Signals(parent)
        self.event = self._signals.happened
        self.failed = self._signals.failed
        self.running_changed = self._signals.running_changed
        self._running = self._stop = False
        self._last: Event = Finished()
        self._then: Then | None = None
        self._otherwise: Otherwise | None = None

    @property
    def running(self) -> bool:
        """Whether a job is going on."""
        return self._running

    @property
    def stopping(self) -> bool:
        """Whether the job that is going on was asked to stop."""
        return self._running and self._stop

    def stop(self) -> None:
        """Ask the job to stop; it ends by itself, with what is done kept."""
        self._stop = True

    def _begin(self, then: Then | None = None, otherwise: Otherwise | None = None) -> None:
        if self._running:
            raise RuntimeError("a job is running already: stop it first")
        self._running, self._stop, self._last = True, False, Finished()
        self._then, self._otherwise = then, otherwise
        self.running_changed.emit(True)

    def _deliver(self, event: Event) -> None:
        if isinstance(event, (Finished, Failed)):
            self._last = event
        self.event.emit(event)

    def _end(self) -> None:
        self._running = False
        then, otherwise = self._then, self._otherwise
        self._then = self._otherwise = None  # they may start the next job
        last = self._last
        self.running_changed.emit(False)
        if isinstance(last, Failed):
            self.failed.emit(last.sentence, last.detail)
            if otherwise is not None:
                otherwise(last.sentence, last.detail)
        elif isinstance(last, Finished) and then is not None:
            then(last)


class JobRunner(BaseRunner):
    """Runs one job at a time on a worker thread that napari knows as a task.

    napari asks before it closes while a task is running, and then has it stopped.

    Parameters
    ----------
    parent : QObject, optional
        When it is destroyed, the job is stopped.

    Attributes
    ----------
    event, failed, running_changed
        Signals, as in `Runner`.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue: Queue[Event | None] = Queue(_WAITING)
        self._worker: Any = None
        self._timer = QTimer(self._signals)
        self._timer.setInterval(_PERIOD)
        self._timer.timeout.connect(self._drain)
        self._signals.destroyed.connect(self.stop)

    def start(
        self,
        make_job: MakeJob,
        name: str,
        then: Then | None = None,
        otherwise: Otherwise | None = None,
    ) -> None:
        """Start a job.

        Parameters
        ----------
        make_job : callable
            Given the stop hook, returns the job; called on the worker thread, so it may import
            what takes long to import.
        name : str
            What napari calls it when it asks before closing: "staining of cells".
        then : callable, optional
            Called with the `Finished` event once the job is over, also where it was stopped.
        otherwise : callable, optional
            Called with the sentence and the details once the job has failed.
        """
        from napari.qt.threading import create_worker

        self._begin(then, otherwise)
        self._queue = Queue(_WAITING)
        self._worker = create_worker(_Work(name, make_job, self._queue, self._should_stop))
        self._worker.start()
        self._timer.start()

    def _should_stop(self) -> bool:
        # napari, when it closes, asks the worker to quit
        return self._stop or bool(self._worker is not None and self._worker.abort_requested)

    def _drain(self) -> None:
        """Deliver what has come in; of several progress events in a row the last is enough."""
        until = time.monotonic() + _BUDGET
        held: Progress | None = None
        while time.monotonic() < until:
            try:
                event = self._queue.get_nowait()
            except Empty:
                break
            if isinstance(event, Progress):
                held = event
                continue
            if held is not None:
                self._deliver(held)
                held = None
            if event is None:
                self._timer.stop()
                self._worker = None
                self._end()
                return
            self._deliver(event)
        if held is not None:
            self._deliver(held)


class SynchronousRunner(BaseRunner):
    """The same interface; the job runs to its end inside `start`. For tests and scripts.

    Parameters
    ----------
    parent : QObject, optional
        Owner of the signals.

    Attributes
    ----------
    event, failed, running_changed
        Signals, as in `Runner`.
    """

    def start(
        self,
        make_job: MakeJob,
        name: str,
        then: Then | None = None,
        otherwise: Otherwise | None = None,
    ) -> None:
        """Run a job; `stop` may be called by those who hear its events."""
        self._begin(then, otherwise)
        with ChoiceNeeded.phrased(choice_in_panel):
            for event in guarded(_made(make_job, lambda: self._stop)):
                self._deliver(event)
        self._end()


class _Work:
    """The function that the worker thread calls; napari shows it to the user by its name."""

    def __init__(
        self, name: str, make_job: MakeJob, queue: Queue[Event | None], should_stop: ShouldStop
    ) -> None:
        self._name, self._make_job = name, make_job
        self._queue, self._should_stop = queue, should_stop

    def __str__(self) -> str:
        return self._name

    def __call__(self) -> None:
        with warnings.catch_warnings():
            # napari would pop up each of the libraries' warnings; what matters is a Notice
            warnings.simplefilter("ignore")
            with ChoiceNeeded.phrased(choice_in_panel):
                for event in guarded(_made(self._make_job, self._should_stop)):
                    self._put(event)
        self._put(None)

    def _put(self, event: Event | None) -> None:
        while True:
            try:
                self._queue.put(event, timeout=0.5)
                return
            except Full:
                if self._should_stop():
                    return  # the window may be gone, and nobody listens any more


def _made(make_job: MakeJob, should_stop: ShouldStop) -> Job:
    """Make the job as its own first step, so that what goes wrong in making it is told too."""
    yield from make_job(should_stop)
