"""Watch a run that another program trains: its events are read from its folder as they come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QObject, QTimer

from ...events import Event, Failed, Finished
from ...training.runs import new_events, run_state
from ..jobs.runner import BaseRunner, Otherwise, Then

_PERIOD = 1000  # ms between two looks


class RunWatcher(BaseRunner):
    """Tells the events of a run folder while somebody trains in it.

    Parameters
    ----------
    parent : QObject, optional
        When it is destroyed, watching ends; the run goes on.

    Attributes
    ----------
    event, failed, running_changed
        Signals, as in `Runner`.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._timer = QTimer(self._signals)
        self._timer.setInterval(_PERIOD)
        self._timer.timeout.connect(self._look)
        self._path, self._offset = Path(), 0
        self._translate: Callable[[Event], Event] = lambda event: event

    def watch(
        self,
        path: Path,
        offset: int,
        translate: Callable[[Event], Event],
        then: Then | None = None,
        otherwise: Otherwise | None = None,
    ) -> None:
        """Begin to watch.

        Parameters
        ----------
        path : Path
            The run folder.
        offset : int
            How many bytes of its log are known already.
        translate : callable
            Changes each event before it is told.
        then, otherwise : callable, optional
            Called when the other program has ended, as for `JobRunner.start`.
        """
        self._path, self._offset, self._translate = path, offset, translate
        self._begin(then, otherwise)
        self._timer.start()

    def stop(self) -> None:
        """Watch no longer; the run is not touched."""
        if self._running:
            self._timer.stop()
            self._end()

    def _look(self) -> None:
        # asked first: what was written before the end is then read below
        over = run_state(self._path) != "running"
        events, self._offset = new_events(self._path, self._offset)
        for event in events:
            self._deliver(self._translate(event))
        if over:
            self._timer.stop()
            if not isinstance(self._last, Failed) and not self._last.result:
                self._last = Finished(result={"stopped": True, "killed": True})
            self._end()
