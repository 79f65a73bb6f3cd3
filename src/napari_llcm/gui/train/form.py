"""The part of the Train panel that says what shall be trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QGroupBox, QSpinBox, QWidget

from ...events import UserError, duration
from ...models.bundle import read_info
from ...models.library import DEFAULT_MODEL, find_model
from ...models.methods import METHODS
from ...tasks import TASKS, Task
from ...training.config import TrainOptions
from ...training.jobs import FINE_TUNING
from ...training.new_run import PRESETS, free_name, starts
from ..config_form import DEVICES, add_rows, field_widget, set_values
from ..form import place, words
from ..layers.combo import narrow
from ..settings import preferences, recall, remember

_FORM = "train"


class TrainForm(QGroupBox):
    """Method, start, thoroughness, device and name.

    Parameters
    ----------
    parent : QWidget, optional
        The panel.

    Attributes
    ----------
    changed : Signal()
        Something was set that the estimate depends on.
    task_changed : Signal()
        Another task is chosen.
    estimate : QLabel
        How long it will take and how much memory.
    """

    changed = Signal()
    task_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Model to train", parent)
        self._starts: dict[str, Task] = {}
        self._tasks: list[Task] = [*TASKS.values()]  # one for each entry
        self.which = QComboBox()
        self.which.addItems([task.title for task in self._tasks])
        self.which.setToolTip(
            "What the model shall do. A model to go on from has its task already: those of another "
            "one are not offered below."
        )
        self._told: dict[str, Any] = {}
        field = TrainOptions.model_fields
        methods = {method.name: method.title for method in METHODS.values()}
        made = [
            field_widget(TrainOptions, "method", methods),
            field_widget(TrainOptions, "preset", PRESETS),
            field_widget(TrainOptions, "device", DEVICES),
            field_widget(TrainOptions, "name", value=free_name()),
            field_widget(TrainOptions, "nucleus_um", annotation=float, min=0, step=0.5, value=0.0),
            field_widget(TrainOptions, "control"),
        ]
        self._fields = {widget.name: widget for widget in made}
        self.method, self.preset, self.device, self.name, self.nucleus, self.control = (
            widget.native for widget in made
        )
        self.nucleus.setSpecialValueText("not given")
        self.nucleus.setSuffix(" µm")
        self.minutes = QSpinBox()  # magicgui's knows no suffix
        self.minutes.setRange(0, 100_000)
        self.minutes.setToolTip(field["max_minutes"].description)
        self.minutes.setSuffix(" min")
        self.init = QComboBox()  # what it offers depends on the method
        self.init.setToolTip(field["init"].description)
        narrow(self.init)
        self.estimate = words(tip="Measured on this computer by training a few steps.")
        form = QFormLayout(self)
        self._rows = form
        form.addRow("Task", self.which)
        add_rows(form, *made)
        form.insertRow(2, field["init"].title, self.init)
        form.insertRow(4, field["max_minutes"].title, self.minutes)
        form.addRow(self.estimate)
        self.fill_models()
        self._recall()
        self._another_task()
        self.method.currentIndexChanged.connect(self.fill_models)
        self.which.currentIndexChanged.connect(self._another_task)
        self.init.currentIndexChanged.connect(self._tell_limit)
        for box in (self.method, self.init, self.device):
            box.currentIndexChanged.connect(self._forget_estimate)
        self.control.toggled.connect(self._forget_estimate)
        self.preset.currentIndexChanged.connect(self._show_estimate)
        self.minutes.valueChanged.connect(self._show_estimate)

    def fill_models(self, *_: Any) -> None:
        """Offer the models of the task that the method can start from, the shipped one first."""
        before = self.init.currentData()
        self._starts = starts(self._fields["method"].value)
        for task in self._starts.values():
            self._index(task)
        self.init.blockSignals(True)
        self.init.clear()
        for name in (n for n, task in self._starts.items() if task == self.task):
            self.init.addItem(f"{name} (shipped)" if name == DEFAULT_MODEL else name, name)
        self.init.addItem("nothing", None)
        self.init.setCurrentIndex(max(self.init.findData(before) if before else 0, 0))
        self.init.blockSignals(False)
        self._tell_limit()

    def go_on_from(self, model: str, minutes: int, width: float | None, name: str) -> None:
        """Set what fine-tunes a model for some minutes on nuclei of some width."""
        info = read_info(find_model(model))
        self.which.setCurrentIndex(self._index(info.task))
        self.fill_models()
        if self.init.findData(model) < 0:  # of another method, or in a folder elsewhere
            self._fields["method"].value = info.method
            if self.init.findData(model) < 0:
                self.init.insertItem(0, Path(model).name, model)
        self.init.setCurrentIndex(self.init.findData(model))
        self.minutes.setValue(minutes)
        self.nucleus.setValue(width or 0.0)
        self.name.setText(name)

    def width_in(self, unit: str) -> None:
        """Take the unit of nucleus widths; a width in another one is forgotten."""
        if unit != self.nucleus.suffix():
            self.nucleus.setValue(0.0)
            self.nucleus.setSuffix(unit)

    @property
    def task(self) -> Task:
        """What the model shall do; what the model that it starts from does."""
        return self._tasks[self.which.currentIndex()]

    def _index(self, task: Task) -> int:
        """Return the entry of a task; one that is not known yet gets one."""
        if task not in self._tasks:
            self._tasks.append(task)
            self.which.addItem(task.title)
        return self._tasks.index(task)

    def _another_task(self, *_: Any) -> None:
        self.fill_models()
        for widget in (self.nucleus, self._rows.labelForField(self.nucleus)):
            widget.setVisible(self.task.judge == "nuclei")
        self.task_changed.emit()
        self._forget_estimate()

    def options(self) -> TrainOptions:
        """Return what is set."""
        chosen = {name: widget.value for name, widget in self._fields.items()}
        chosen |= {
            "init": self.init.currentData(),
            "max_minutes": self.minutes.value() or None,
            "name": chosen["name"].strip(),
            "nucleus_um": (chosen["nucleus_um"] or None) if self.task.judge == "nuclei" else None,
            "control": chosen["control"] and self.control.isEnabled(),
        }
        return TrainOptions(**chosen)

    def remember(self) -> None:
        """Keep what is set for the next session, and offer a fresh name."""
        told = self.options().model_dump(exclude={"name", "nucleus_um"})
        remember(_FORM, task=self.which.currentText(), **told)

    def tell(self, estimate: dict[str, Any]) -> None:
        """Show an estimate: what `training.estimate` finds."""
        self._told = estimate
        self._show_estimate()

    @property
    def expected(self) -> dict[str, float] | None:
        """Seconds of each phase, where they were measured."""
        return self._told["seconds"][self._fields["preset"].value] if self._told else None

    def _tell_limit(self) -> None:
        """Say what is done without a limit, and what can be: a fine-tuning has one of its own."""
        self.control.setEnabled(self._can_branch())
        own = FINE_TUNING["max_minutes"] if self.init.currentData() else None
        self.minutes.setSpecialValueText(f"{own:g} min, as usual" if own else "no limit")

    def _can_branch(self) -> bool:
        """Return whether a branch can be trained beside the model to start from."""
        method, start = self._fields["method"].value, self.init.currentData()
        try:
            same = start is not None and read_info(find_model(start)).method == method
        except UserError:
            return False
        return same and METHODS[method].latent

    def _forget_estimate(self) -> None:
        self._told = {}
        self.changed.emit()

    def _show_estimate(self) -> None:
        if not self._told:
            return
        seconds = self._told["seconds"][self._fields["preset"].value]["all"]
        own = FINE_TUNING["max_minutes"] if self.init.currentData() else 0
        limit = (self.minutes.value() or own) * 60
        time = duration(min(seconds, limit) if limit else seconds)
        if limit and limit < seconds:
            time += f" (all of it would take about {duration(seconds)})"
        memory = self._told["memory_bytes"] / 1e9
        self.estimate.setText(
            f"About {time} and {memory:.1f} GB of memory on {place(self._told['device'])}."
        )

    def _recall(self) -> None:
        kept = {"device": preferences().device, "preset": "quick"} | recall(_FORM)
        set_values(kept, *self._fields.values())
        self.minutes.setValue(int(kept.get("max_minutes") or 0))
        self.which.setCurrentIndex(max(self.which.findText(str(kept.get("task", ""))), 0))
        self.fill_models()
        if "init" in kept:
            self.init.setCurrentIndex(max(self.init.findData(kept["init"]), 0))
