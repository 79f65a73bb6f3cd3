"""The Stain panel: one click, and what the model makes fills in around what you look at."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout

from ...events import Event, Finished, Tile, UserError, duration
from ...worker import COMPUTER, workers
from ..form import place
from ..jobs.runner import Runner
from ..layers.stack import LayerStack
from ..layers.viewport import View
from ..panel import Panel, show_panel
from . import jobs as stain_jobs
from . import pace
from .batch import checked_folders, given_spacing, told_of_folder
from .chosen import Chosen
from .form import StainForm
from .input_check import InputCheck
from .model_picker import adding
from .painting import warm
from .stain_layer import StainLayer

_PREVIEW = "Preview: what is rough on screen is replaced by the exact stain; it is never kept."
_LOOK = 60  # ms between two looks at where the user is


class StainPanel(Panel):
    """Choose a stack, a model, a region; stain it, or let the stain follow you.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer.
    runner : Runner, optional
        What runs the jobs; a thread by default.
    """

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        super().__init__(napari_viewer, runner)
        self._active: list[tuple[StainLayer, View]] = []
        self._next: Callable[[], None] | None = None  # what takes over from a live preview
        self._following = False
        self._to_check: StainLayer | None = None  # the last stain
        self._stack_shown: LayerStack | None = None
        self.form = StainForm(self._viewer, self._session, self.runner)
        self._chosen = Chosen(self._viewer, self.form)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.form)
        self.bar = self.form.bar
        self.input_check = InputCheck(self.form, self.runner)
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK)
        self._timer.timeout.connect(self._look)
        self.runner.event.connect(self._show)
        self.runner.running_changed.connect(self._running)
        self._viewer.layers.events.removed.connect(self._removed)
        form = self.form
        stack = form.stack
        for signal in (stack.chosen, stack.altered, form.spacing.given, form.axes_row.given):
            signal.connect(self._describe)
        form.width_row.use(form.model, form.device)
        form.model.wanted.connect(self._add_model)
        form.free.clicked.connect(self._free)
        form.start.clicked.connect(self.stain)
        form.check.clicked.connect(self.check)
        form.verdict.check.clicked.connect(self.check_input)
        for signal in (form.model.changed, form.width_row.changed, form.spread.toggled):
            signal.connect(self._estimate)
        form.device.currentIndexChanged.connect(self._estimate)
        form.region.combo.currentIndexChanged.connect(self._estimate)
        form.samples.valueChanged.connect(self._estimate)
        form.live.toggled.connect(self._toggle_live)
        form.batch.layers_wanted.connect(self.stain_layers)
        form.batch.folder_wanted.connect(self.stain_folder)
        workers.warm(COMPUTER, warm)  # while the user chooses
        self._describe()

    @property
    def working(self) -> bool:
        """Whether a job is going on that makes no room for another, as a live preview does."""
        return self.runner.running and not self._following

    def stain(self) -> None:
        """Stain the chosen region of the chosen stack; what is done of it stays."""
        self.stain_layers([self.form.stack.layer])

    def check(self) -> None:
        """Check the stain that was made last, in the Check panel."""
        if (made := self._to_check) is not None:
            show_panel(self._viewer, "Check").check_stain(made.layers[0], made.stack.layer)

    def check_input(self) -> None:
        """Tell whether the chosen model can read the chosen stack, before it is stained."""
        stack = self._stack_shown
        if stack is None or self._waits(self.check_input):
            return
        try:
            self.input_check.start(stack, View(self._viewer, stack).now(), self._chosen.options())
        except UserError as error:
            self.bar.refuse(str(error))

    def stain_layers(self, layers: list[Any]) -> None:
        """Stain layers, one after another."""
        if self._waits(lambda: self.stain_layers(layers)):
            return
        try:
            parts, model = self._chosen.parts(layers), self.form.model.path
        except UserError as error:
            self.bar.refuse(str(error))
            return
        self._active = [(part.stain_layer, part.view) for part in parts]
        self.input_check.begin([part.stain_layer for part in parts])
        self.form.remember()
        self.runner.start(
            stain_jobs.stain_parts(model, parts, self._chosen.options()),
            f"{self._job} of {', '.join(layer.name for layer in layers)}",
            then=partial(self._stained, [part.stain_layer for part in parts]),
        )

    def stain_folder(self, source: str, out: str) -> None:
        """Stain the files of a folder into another."""
        if self._waits(lambda: self.stain_folder(source, out)):
            return
        try:
            folder, target = checked_folders(source, out)
            model, options = self.form.model.path, self._chosen.options()
            reading = self.form.batch.reading()
            job = stain_jobs.files(model, [folder], target, options, given_spacing(), reading)
        except UserError as error:
            self.bar.refuse(str(error))
            return
        self.form.remember()
        self.runner.start(
            job, f"{self._job} of the stacks in {folder.name}", then=self._stained_folder
        )

    @property
    def _job(self) -> str:
        return self.form.task.title.lower()

    def _waits(self, then: Callable[[], None]) -> bool:
        """Return whether a job is going on; a live preview makes room for what shall follow."""
        if not self.runner.running:
            return False
        if self._following:
            self._next = then
            self.form.live.setChecked(False)
            self.runner.stop()
        return True

    def _toggle_live(self, on: bool) -> None:
        if not on:
            if self._following:
                self.runner.stop()
            return
        if self.runner.running:
            self.form.live.setChecked(False)
            return
        try:
            if self.form.stack.layer is None:
                raise UserError("There is no stack: open one in the Load panel.")
            stain_layer, view = self._chosen.stain_layer(self.form.stack.layer)
            job = stain_jobs.follow(self.form.model.path, stain_layer, view, self._chosen.options())
        except UserError as error:
            self.form.live.setChecked(False)
            self.bar.refuse(str(error))
            return
        self._active, self._following = [(stain_layer, view)], True
        self.input_check.begin([stain_layer])
        self._next = None
        self.form.remember()
        self.runner.start(job, f"live preview of {self.form.stack.layer.name}", then=self._followed)
        self.bar.text.setText("Live: what comes on screen is computed at once.")

    def _look(self) -> None:
        for stain_layer, view in self._active:
            time = view.time
            view.look()
            stain_layer.catch_up()
            if self._following and view.time != time:
                self._next = lambda: self.form.live.setChecked(True)
                self.form.live.setChecked(False)

    def _show(self, event: Event) -> None:
        self.input_check.hear([stain_layer for stain_layer, _ in self._active])
        if isinstance(event, Tile):
            for stain_layer, _ in self._active:
                self._chosen.layers.show(stain_layer)
                stain_layer.repaint()
                self._tell(stain_layer)
            seen = any(stain_layer.previewing for stain_layer, _ in self._active)
            self.bar.tell_meanwhile(_PREVIEW if seen else "")

    def _tell(self, stain_layer: StainLayer) -> None:
        for layer in stain_layer.layers if stain_layer.changed() else ():
            self._session.stained.emit(layer)

    def _running(self, running: bool) -> None:
        for widget in (self.form.start, self.form.model, self.form.free):
            widget.setEnabled(not running or (self._following and widget is self.form.start))
        self.form.live.setEnabled(not running or self._following)
        self.form.batch.setEnabledForStart(not running)
        if running:
            self._timer.start()
            return
        self._timer.stop()
        active, self._active, self._following = self._active, [], False
        for stain_layer, _ in active:
            stain_layer.withdraw()
            stain_layer.repaint(now=True)
            stain_layer.note()
            self._tell(stain_layer)
        self._chosen.layers.let_go(empty=True)
        self.form.live.setChecked(False)

    def _stained(self, stain_layers: list[StainLayer], event: Finished) -> None:
        result = event.result
        if result.get("stopped"):
            return
        if result["tiles"]:
            self.bar.say(f"Done in {duration(result['seconds'])} on {place(result['device'])}.")
            device, planes = self.form.device.currentData(), self.form.task.planes
            pace.learn(self.form.model.path, device, result, planes)
            self._estimate()
        else:
            self.bar.say("All of it was there already.")
        on_card = result["device"].startswith(("cuda", "mps"))
        self.form.free.setVisible(on_card or self.form.free.isVisible())
        self._to_check = stain_layers[-1]
        self.form.check.show()

    def _stained_folder(self, event: Finished) -> None:
        result = event.result
        if not result.get("stopped"):
            self.bar.say(told_of_folder(result))

    def _followed(self, event: Finished) -> None:
        self.bar.forget_end()
        if self._next is not None:
            self._next()

    def _removed(self, event: Any) -> None:
        """Stop what works on a layer that the user has removed, and let go of its memory."""
        if any(not stain_layer.shown for stain_layer, _ in self._active):
            self.runner.stop()
        self._chosen.layers.let_go()

    def _add_model(self, path: Any) -> None:
        if not self.runner.running:
            self.runner.start(adding(path), f"adding the model {path.name}", then=self._added)

    def _added(self, event: Finished) -> None:
        self._session.add_model(str(event.value))
        self.bar.say(f"{event.value} is among your models now.")

    def _free(self) -> None:
        if workers.end(COMPUTER):
            self.bar.say("The model is out of memory; it is loaded again when you stain.")
        else:
            self.bar.say("Another panel is computing: wait until it is done, or cancel it.")

    def _describe(self) -> None:
        """Show what is known of the chosen stack."""
        layer, stack, problem = self.form.stack.layer, None, ""
        try:
            stack = None if layer is None else self._chosen.stack(layer)
        except UserError as error:
            problem = str(error)
        self._stack_shown = stack
        self.input_check.show()
        self.form.describe(layer, stack, problem)
        self._estimate()
        if self._following and not (stack and self._active[0][0].stack.layer is layer):
            self.form.live.setChecked(False)

    def _estimate(self, *_: Any) -> None:
        self.form.fit_model(self._stack_shown)
        self.form.estimate(self._stack_shown)
