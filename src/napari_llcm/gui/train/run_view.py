"""How a run looks in the Train panel: progress, time left, memory, curves and preview."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ...events import Event, Preview
from ...models.library import DEFAULT_MODEL
from ...models.methods import PHASES
from ...training.clock import RunClock
from ...training.runs import Run
from ..jobs.job_bar import JobBar
from .curves import Curves
from .preview import PreviewView

_STATES = {
    "new": "not started yet",
    "running": "going on",
    "finished": "finished",
    "stopped": "stopped, and kept",
    "failed": "ended by an error",
    "interrupted": "interrupted",
}


class RunView(QWidget):
    """Shows the events of a run, those of the past at once.

    Parameters
    ----------
    parent : QWidget, optional
        The panel.

    Attributes
    ----------
    title : QLabel
        Name and state of the run.
    bar : JobBar
        Progress and sentences.
    curves : Curves
        Losses and validation.
    preview : PreviewView
        What the model makes of a held-out patch.
    memory : QLabel
        How much memory the training holds.
    buttons : QHBoxLayout
        Place for what can be done with the run, above the curves.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._path, self._live = Path(), False
        self.title = QLabel()
        self.title.setToolTip("The training that is shown below.")
        self.title.setWordWrap(True)
        self.bar = JobBar()
        self.bar.cancel.setText("Stop and keep")
        self.bar.cancel.setToolTip(
            "End the training and keep the model as it is now; you can go on with it later."
        )
        self.memory = QLabel()
        self.memory.setToolTip("Memory that the training holds on the device it computes on.")
        self.memory.hide()
        self.curves = Curves()
        self.preview = PreviewView()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.buttons = QHBoxLayout()
        for part in (self.title, self.bar, self.memory):
            column.addWidget(part)
        column.addLayout(self.buttons)
        # the picture first: it tells more, and must be in sight on a small screen
        column.addWidget(self.preview)
        column.addWidget(self.curves)

    def open(self, run: Run) -> None:
        """Show a run with everything that it has told so far."""
        self._path = run.path
        self.set_state(run.path.name, run.state)
        self.bar.clear()
        self.curves.clear()
        self.curves.reference = Path(run.job.init or DEFAULT_MODEL).name
        self.preview.clear()
        self.preview.tell(run.job.task)
        self.memory.clear()
        previews = [e for e in run.events if isinstance(e, Preview)]
        for event in run.events:
            if not isinstance(event, Preview):  # the file holds the last one only
                self.see(event)
        for event in previews[-1:]:
            self.see(event)

    def set_state(self, name: str, state: str) -> None:
        """Say which run is shown and how it stands."""
        self.title.setText(f"<b>{name}</b>: {_STATES.get(state, state)}")
        self._live = state == "running"
        self.memory.setVisible(self._live and bool(self.memory.text()))

    def see(self, event: Event) -> None:
        """Show an event."""
        self.curves.see(event)
        if self.curves.history.memory_gb is not None:
            self.memory.setText(f"Memory in use: {self.curves.history.memory_gb:.1f} GB")
            self.memory.setVisible(self._live)
        if isinstance(event, Preview) and event.path:
            # by its place in this folder: the run may have been made elsewhere and copied
            phase = PHASES[event.phase].short
            self.preview.show_file(
                self._path / Path(event.path).name, f"Preview after step {event.step} of {phase}"
            )


def translation(run: Run, expected: dict[str, float] | None = None) -> Callable[[Event], Event]:
    """Return what turns the progress of phases into progress of the run.

    Parameters
    ----------
    run : Run
        The run.
    expected : dict, optional
        Seconds of each phase, where they were measured.
    """
    clock = RunClock(run.job, expected)
    for event in run.events:
        clock.see(event)
    return clock.see
