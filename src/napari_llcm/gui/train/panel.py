"""The Train panel: choose pairs, train on them in a child process, keep the model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QPushButton, QVBoxLayout

from ...events import Finished, UserError
from ...training.jobs import make_job, save_job
from ...training.new_run import free_name, new_run
from ...training.runs import Run
from ...worker import READER, Elsewhere
from ..jobs.child_process import ChildRunner
from ..jobs.closing import AskBeforeClosing, ask
from ..jobs.runner import Runner
from ..panel import Panel
from ..theme import text_colour
from .earlier import EarlierRuns
from .form import TrainForm
from .pairs import PairChoice
from .preflight import Preflight
from .run_jobs import discarding, reading, saving, settling
from .run_view import RunView, translation
from .run_watcher import RunWatcher
from .teaching import MINUTES, NO_PARTNER, READY, Learned, name_for, stain_again

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent


class TrainPanel(Panel):
    """Train a model on pairs, watch it learn, stop it, and go on with it.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer whose layers may be learned from.
    runner : Runner, optional
        What runs the short jobs; a thread by default.

    Attributes
    ----------
    child : ChildRunner
        Trains.
    watcher : RunWatcher
        Follows a run that another program trains.
    view : RunView
        Shows the run.
    further : dict
        Fields of the job that the form does not show.
    ask : callable
        Asks the user a question; see `closing.ask`.
    """

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        super().__init__(napari_viewer, runner)
        self._run: Run | None = None
        self._failure: tuple[str, str] | None = None  # how a training ended, until it is settled
        self._stack: Any = None  # the open stack that is learned from
        self._learned: Learned | None = None
        self._after = self._settle  # what is done with a run that has ended
        self.ask, self.further = ask, dict[str, Any]()
        self.child, self.watcher = ChildRunner(self), RunWatcher(self)
        self._closing = AskBeforeClosing(self, self._session.window)
        self._lay_out()
        self._connect()
        self.list_runs()
        self._buttons()

    def _lay_out(self) -> None:
        self.pairs, self.form = PairChoice(self._viewer), TrainForm()
        self.pairs.set_task(self.form.task)
        self.preflight = Preflight(self.pairs, self.form, self)
        self.train = QPushButton("Train")
        self.train.setToolTip(
            "Start to learn. napari stays usable meanwhile; what is learned is saved every minute."
        )
        self.earlier, self.view = EarlierRuns(), RunView()
        self.resume = QPushButton("Resume")
        self.resume.setToolTip("Go on from where this training was stopped or interrupted.")
        self.discard = QPushButton("Discard")
        self.discard.setToolTip("End this training and delete all that it has made.")
        self.again = QPushButton("Stain again with it")
        self.again.setToolTip("Stain the stack that it has learned from by the new model.")
        for button in (self.again, self.resume, self.discard):
            self.view.buttons.addWidget(button)
        column = QVBoxLayout(self)
        for part in (self.pairs, self.form, self.train, self.earlier, self.view):
            column.addWidget(part)
        column.addStretch()

    def _connect(self) -> None:
        self.view.bar.attach(self.runner)
        self.view.bar.attach(self.watcher)
        self.view.bar.attach(self.child)  # the last one is what its button stops
        for runner in (self.child, self.watcher):
            runner.event.connect(self.view.see)
            runner.running_changed.connect(self._buttons)
        self.runner.running_changed.connect(self._buttons)
        self.train.clicked.connect(self.start)
        self.resume.clicked.connect(self.go_on)
        self.discard.clicked.connect(self.throw_away)
        self.again.clicked.connect(self.stain_again)
        self.earlier.wanted.connect(self.open)
        self.form.task_changed.connect(lambda: self.pairs.set_task(self.form.task))
        self._session.model_added.connect(self.form.fill_models)
        self._viewer.events.theme.connect(self._dress)

    def showEvent(self, event: QShowEvent) -> None:
        """Look at the pairs and the earlier trainings when the panel comes to the front."""
        super().showEvent(event)
        self._dress()
        self.list_runs()
        self.preflight.look_soon()

    @property
    def busy(self) -> bool:
        """Whether a training is going on that this panel started, or begins or ends just now."""
        return self.child.running or self.runner.running

    def start(self) -> None:
        """Train what the form says."""
        try:
            told = {"task": self.form.task, **self.further}
            job = new_run(self.form.options(), self.pairs.folder(), **told)
            volumes = self.pairs.volumes() if self.pairs.folder() is None else None
        except UserError as error:
            self.view.bar.clear()
            self.view.bar.fail(str(error))
            return
        self.form.remember()
        self.preflight.stop()
        self.watcher.stop()
        self._stack = self.pairs.qpi.layer if volumes and job.task.thick is None else None
        self._show(Run(job.out, job, "new", ()))
        if volumes is None:
            self._launch()
        else:
            save = Elsewhere(partial(saving, volumes, job.task, job.out), READER)
            self.runner.start(save, "saving pairs", then=self._saved, otherwise=self._refused)

    def go_on(self) -> None:
        """Resume the run that is shown."""
        if self._run is not None and not self.busy:
            self._launch()

    def throw_away(self) -> None:
        """Discard the run that is shown, after asking."""
        run = self._run
        if run is None or not self.ask(
            self, f"Discard {run.path.name}?", "All that this training has made is deleted.",
            "Discard",
        ):  # fmt: skip
            return
        if self.child.running:
            self._after = self._delete
            self.child.kill()
        elif not self.runner.running:
            self._delete(run.path)

    def open(self, path: Path) -> None:
        """Look at an earlier run, or at one that another program trains."""
        if not self.busy:
            self.watcher.stop()
            self.runner.start(lambda _: reading(path), f"reading {path.name}", then=self._opened)

    def teach(self, stack: Any, model: str, width: float | None = None) -> None:
        """Fill in what teaches a model the microscope of an open stack; the user starts it.

        Parameters
        ----------
        stack : napari.layers.Image
            The label-free stack.
        model : str
            Name or path of the model to start from.
        width : float, optional
            Of the stack's nuclei; in µm, or in pixels where the stack has no voxel size.
        """
        if self.busy:
            self.view.bar.say("A training is going on: come back when it has ended.")
            return
        found = self.pairs.teach(stack)
        self.form.go_on_from(model, MINUTES, width, free_name(name_for(stack)))
        self.view.bar.clear()
        tell, text = (self.view.bar.say, READY) if found else (self.view.bar.refuse, NO_PARTNER)
        tell(text.format(model=model, stack=stack.name, minutes=MINUTES))

    def stain_again(self) -> None:
        """Stain the stack that the new model has learned from by that model."""
        if self._learned is not None:
            stain_again(self._viewer, self._learned)

    def list_runs(self) -> None:
        """Offer the earlier runs."""
        self.earlier.fill(None if self._run is None else self._run.path)

    def _launch(self) -> None:
        run = self._run
        assert run is not None
        job = run.job.model_copy(update={"out": run.path})  # where it is now: it may be a copy
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            save_job(job, run.path / "job.yaml")
        except OSError as error:
            self.view.bar.fail(f"{run.path} cannot be written: choose another disk.", str(error))
            return
        self.view.set_state(run.path.name, "running")
        arguments = ["train", str(run.path / "job.yaml"), "--resume", "--events", "-"]
        self._after = self._settle
        told = translation(run, self.form.expected)
        self.child.start_child(arguments, told, self._ended, self._failed, tries=2)

    def _show(self, run: Run) -> None:
        self._run, self._learned = run, None
        self.view.open(run)
        self._buttons()

    def _saved(self, event: Finished) -> None:
        if event.value is not None:  # else it was stopped
            self._launch()

    def _refused(self, sentence: str, detail: str) -> None:
        """Show no run where its pairs do not fit: it has not begun, and its name is free."""
        self._show_none()
        self.view.bar.fail(sentence, detail)

    def _opened(self, event: Finished) -> None:
        run, self._stack = event.value, None
        self._show(run)
        if run.state == "running":
            self._after = self._settle
            self.watcher.watch(run.path, run.end, translation(run), self._ended, self._failed)
        self._tell(run, event.result["sentence"])

    def _ended(self, *_: Any) -> None:
        """Go on when the child, or the other program that was watched, has ended."""
        if self._run is not None and not self.runner.running:
            self._after(self._run.path)

    def _failed(self, sentence: str, detail: str) -> None:
        self._failure = sentence, detail
        self._ended()

    def _settle(self, path: Path) -> None:
        self.runner.start(lambda _: settling(path), "keeping the model", then=self._settled)

    def _settled(self, event: Finished) -> None:
        run = event.value
        self._run = run
        self._tell(run, event.result["sentence"])
        if self._failure is not None:  # told again, as a job that begins forgets what was said
            self.view.bar.fail(*self._failure)
        self._failure = None
        if event.result["model"]:
            better = event.result["better"]
            self._session.add_model(event.result["model"], choose=better)
            if better and self._stack in self._viewer.layers:
                self._learned = Learned(self._stack, event.result["model"], run.job.nucleus_um)
                self.again.show()
            self.form.name.setText(free_name(run.job.name or run.path.name))

    def _tell(self, run: Run, sentence: str) -> None:
        self.view.set_state(run.path.name, run.state)
        if sentence:
            self.view.bar.say(sentence)
        self.list_runs()
        self._buttons()

    def _delete(self, path: Path) -> None:
        self.runner.start(lambda _: discarding(path), "deleting the training", then=self._discarded)

    def _discarded(self, event: Finished) -> None:
        self._show_none()
        self.view.bar.say("Discarded.")

    def _show_none(self) -> None:
        self._run = None
        self.view.open(Run(Path(), make_job(pairs=[], out=Path()), "new", ()))
        self.view.title.setText("")
        self.list_runs()
        self._buttons()

    def _buttons(self, *_: Any) -> None:
        run, busy, watched = self._run, self.busy, self.watcher.running
        self.preflight.paused = busy
        for part in (self.pairs, self.form, self.train):
            part.setEnabled(not busy)
            part.setVisible(not (self.child.running or watched))  # room for the curves
        self.earlier.setEnabled(not busy)
        self.view.bar.cancel.setVisible(self.child.running)
        self.again.setVisible(self._learned is not None and not busy)
        self.resume.setVisible(run is not None and run.can_resume and not busy and not watched)
        self.discard.setVisible(run is not None and not watched and not self.runner.running)

    def _dress(self, *_: Any) -> None:
        self.view.curves.set_text_colour(text_colour(self._viewer))
