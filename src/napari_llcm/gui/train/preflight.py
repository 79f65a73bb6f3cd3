"""What is known before a training: whether its pairs fit, how long it takes, how much memory."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, QTimer

from ...events import Finished, UserError
from ...training.jobs import make_job, save_job
from ...worker import READER, Elsewhere
from ..jobs.child_process import ChildRunner
from ..jobs.runner import JobRunner
from .form import TrainForm
from .pairs import PairChoice
from .run_jobs import looking

_PAUSE = 600  # ms without a change before pairs are looked at
_GOOD, _BAD = "✓", "⚠"


class Preflight(QObject):
    """Checks the pairs in the reader, then times a few steps in a child process.

    Parameters
    ----------
    pairs : PairChoice
        Says which pairs, and shows the verdict.
    form : TrainForm
        Says what model, and shows the estimate.
    parent : QObject
        The panel.

    Attributes
    ----------
    paused : bool
        While a training is going on, nothing is looked at: it has the computer to itself.
    """

    def __init__(self, pairs: PairChoice, form: TrainForm, parent: QObject) -> None:
        super().__init__(parent)
        self._pairs, self._form, self.paused = pairs, form, False
        self._folder = tempfile.TemporaryDirectory(prefix="napari-llcm-")
        self.checker, self.estimator = JobRunner(self), ChildRunner(self)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE)
        self._timer.timeout.connect(self._look)
        pairs.changed.connect(self.look_soon)
        pairs.changed.connect(lambda: form.width_in(pairs.width_unit()))
        form.changed.connect(self.look_soon)

    def look_soon(self) -> None:
        """Look when nothing has been changed for a moment."""
        self._timer.start()

    def stop(self) -> None:
        """Stop looking."""
        self._timer.stop()
        self.checker.stop()
        if self.estimator.running:
            self.estimator.kill()
            self._form.estimate.clear()

    def _look(self) -> None:
        if self.paused or not self._pairs.isVisible():
            return
        if not self._pairs.chosen():
            self.stop()
            self._pairs.verdict.clear()  # it was of others
            return
        if self.checker.running or self.estimator.running:  # for what is no longer chosen
            self.stop()
            self.look_soon()
            return
        try:
            source = self._pairs.folder() or self._pairs.volumes()
        except UserError as error:
            self._refused(str(error))
            return
        task = self._form.task
        self._pairs.verdict.setText(
            "Looking whether the pairs lie on each other…"
            if task.thick is None
            else "Looking at the volumes…"
        )
        self.checker.start(
            Elsewhere(partial(looking, source, task), READER),
            "check of the pairs",
            then=self._checked,
            otherwise=self._refused,
        )

    def _refused(self, sentence: str, detail: str = "") -> None:
        self._pairs.verdict.setText(f"{_BAD} {sentence}")
        self._pairs.verdict.setToolTip(detail or sentence)

    def _checked(self, event: Finished) -> None:
        if not event.result or self.paused:
            return
        if "sentence" in event.result:
            self._pairs.verdict.setText(f"{_GOOD} {event.result['sentence']}")
            self._time()
            return
        checked = event.result["checked"]
        bad = [c for c in checked if c["verdict"] != "registered"]
        if bad:
            more = f" ({len(bad)} of {len(checked)} looked at)" if len(checked) > 1 else ""
            self._pairs.verdict.setText(f"{_BAD} {bad[0]['name']}: {bad[0]['sentence']}{more}")
        elif event.result["pairs"] == 1:
            self._pairs.verdict.setText(f"{_GOOD} {checked[0]['sentence']}")
        else:
            self._pairs.verdict.setText(
                f"{_GOOD} {event.result['pairs']} pairs; the {len(checked)} that were looked at "
                "lie on each other."
            )
        self._time()

    def _time(self) -> None:
        options, folder = self._form.options(), self._pairs.folder()
        job = make_job(
            **options.model_dump(include={"method", "init", "device"}),
            task=self._form.task,
            pairs=[folder.absolute()] if folder else [],
            out=Path("estimate"),
        )
        path = Path(self._folder.name) / "job.yaml"
        save_job(job, path)
        self._form.estimate.setText("Timing a few steps, to tell how long it will take…")
        arguments = ["train", str(path), "--estimate", "--events", "-"]
        self.estimator.start_child(arguments, then=self._estimated, otherwise=self._not_timed)

    def _estimated(self, event: Finished) -> None:
        if "seconds" in event.result:
            self._form.tell(event.result)

    def _not_timed(self, sentence: str, detail: str = "") -> None:
        self._form.estimate.setText(f"{_BAD} {sentence}")
