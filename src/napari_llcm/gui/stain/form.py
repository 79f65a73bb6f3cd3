"""The controls of the Stain panel, and nothing of what they do."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ...events import UserError, duration
from ...staining.fit import spacing_ratio
from ...staining.options import StainOptions
from ...tasks import Task
from ...tasks.registry import STAIN
from ..config_form import DEVICES, field_widget, set_values
from ..form import figures, form_layout, tab_order, words
from ..jobs.job_bar import JobBar
from ..jobs.runner import Runner
from ..layers.axes_row import AxesRow
from ..layers.combo import LayerCombo
from ..layers.spacing_row import SpacingRow
from ..layers.stack import LayerStack
from ..session import Session
from ..settings import preferences, recall, remember
from . import pace
from .batch import BatchBox
from .cluster_choice import CHOICE, ClusterChoice
from .further_inputs import FurtherInputs
from .model_picker import ModelPicker
from .region import RegionChoice
from .teach_button import TeachButton
from .verdict_line import VerdictLine
from .width_row import WidthRow

# what leads on from a result, by what it is judged by
_CHECKS = {
    "nuclei": (
        "Check against the real DAPI",
        "Compare the nuclei of this stain with those of the real DAPI, or, where there is none, "
        "see which to trust: in the Check panel.",
    ),
    "restoration": (
        "Check against thin slices",
        "Where the same field was also taken in thin slices: how near the result comes to them, "
        "beside plain interpolation, in the Check panel.",
    ),
}


class StainForm(QWidget):
    """Stack, model, device, region and buttons.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers can be chosen.
    session : Session
        Tells of new models.
    runner : Runner
        Whose jobs the bar shows.
    """

    def __init__(self, viewer: Any, session: Session, runner: Runner) -> None:
        super().__init__()
        known = recall("stain")
        self.stack = LayerCombo(viewer, prefer="qpi phase qobm label-free brightfield")
        self.stack.setToolTip("The label-free stack to be stained.")
        self.about = words(tip="Planes × rows × columns, and the size of a voxel.")
        self.axes_row = AxesRow(viewer)
        self.spacing = SpacingRow(viewer)
        self.further = FurtherInputs(viewer)
        self.times = QComboBox()
        self.times.addItems(["The time point on screen", "All time points"])
        self.times.setToolTip("A series takes a stain for each time point.")
        self.model = ModelPicker(session)
        self.bar = JobBar()
        self.bar.attach(runner)
        self.width_row = WidthRow(runner, self.bar)
        compute_on = field_widget(StainOptions, "device", {**DEVICES, **CHOICE})
        set_values({"device": preferences().device} | known, compute_on)
        self.device = compute_on.native
        self.cluster = ClusterChoice(self.device)
        self.free = QPushButton("Free GPU")
        self.free.setToolTip(
            "Take the model out of the graphics card's memory, for Cellpose or another program."
        )
        self.free.hide()  # until it is known that there is one
        self.region = RegionChoice(viewer)
        self.spread = QCheckBox("Spread layer, from")
        self.spread.setChecked(bool(known.get("spread", False)))
        self.spread.setToolTip(
            "Stain several times with different noise: the mean is shown, and a second layer tells "
            "how far the samples differ, relative to the brightness (0.05: by a twentieth of it; "
            "brightest from a fifth on). Where it is dark, all samples agree; whether they are "
            "right, Check tells."
        )
        self.samples = QSpinBox()
        self.samples.setRange(2, 32)
        self.samples.setValue(int(known.get("samples", 4)))
        self.samples.setSuffix(" samples")
        self.samples.setToolTip("How often to stain: more takes longer and tells more.")
        self.verdict = VerdictLine()
        self.teach = TeachButton(viewer, self)
        self.start = QPushButton()
        self.start.setDefault(True)
        self.start.setToolTip("Begins where you look, and goes on outwards.")
        self.live = QPushButton("Live preview")
        self.live.setCheckable(True)
        self.live.setToolTip("While it is on, whatever comes on screen is computed at once.")
        self.time = words(tip="From how fast the last stain by this model went on this device.")
        self.check = QPushButton()
        self.check.hide()  # until there is a stain
        self.batch = BatchBox(viewer)

        form = form_layout()
        form.addRow("Stack", self.stack)
        form.addRow(self.further)
        form.addRow("", self.about)
        form.addRow(self.axes_row)
        form.addRow(self.spacing)
        form.addRow("Time", self.times)
        form.addRow("Model", self.model)
        form.addRow(self.width_row.label, self.width_row)
        device = QHBoxLayout()
        device.addWidget(self.device, 1)
        device.addWidget(self.free)
        form.addRow(compute_on.label, device)
        form.addRow("Region", self.region)
        samples = QHBoxLayout()
        samples.addWidget(self.spread)
        samples.addWidget(self.samples, 1)
        form.addRow(samples)
        buttons = QHBoxLayout()
        buttons.addWidget(self.start, 2)
        buttons.addWidget(self.live, 1)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(self.verdict)
        column.addWidget(self.time)
        column.addLayout(buttons)
        column.addWidget(self.bar)
        column.addWidget(self.check)
        column.addWidget(self.batch)
        column.addStretch(1)
        self._layout = form
        tab_order(
            self.stack, self.further, self.axes_row.combo, self.axes_row.button,
            self.axes_row.split, *self.spacing.boxes, self.spacing.button, self.times,
            self.model.combo, self.model.card, self.model.add,
            self.width_row.box, self.width_row.button, self.device, self.free,
            self.region.combo, self.region.shapes, self.spread,
            self.samples, self.verdict.check, self.teach, self.start, self.live,
            self.bar.cancel, self.bar.details, self.check,
        )  # fmt: skip

    def describe(self, layer: Any, stack: LayerStack | None, problem: str = "") -> None:
        """Show what is known of the chosen stack, and ask for what is not.

        Parameters
        ----------
        layer : napari.layers.Image or None
            The chosen layer.
        stack : LayerStack or None
            What it holds, if it is a stack.
        problem : str
            Why it is none.
        """
        self.axes_row.ask_for(layer)
        said = f"⚠ {problem}" if problem and not self.axes_row.asks else ""
        self.about.setText(said if stack is None else self._about(stack))
        self.spacing.ask_for(stack)
        self.region.fit(stack)
        self._layout.setRowVisible(self.times, stack is not None and stack.times > 1)

    def remember(self) -> None:
        """Keep what is chosen for the next session."""
        remember(
            "stain",
            device=self.device.currentData(),
            samples=self.samples.value(),
            spread=self.spread.isChecked(),
            model=self.model.combo.currentData() or "",
        )

    def choose(self, stack: Any, model: str, width: float | None = None) -> None:
        """Choose a layer, a model, and the width of nuclei: none, if none is given."""
        self.stack.choose(stack)
        self.model.fill(model)
        self.width_row.box.setValue(width or 0.0)

    @property
    def task(self) -> Task:
        """What the chosen model does; staining, where there is none."""
        with suppress(UserError):
            return self.model.info.task
        return STAIN

    def fit_model(self, stack: LayerStack | None) -> None:
        """Ask for what the chosen model needs, and call things as its task does."""
        task, model = self.task, None
        with suppress(UserError):
            model = self.model.info
        first, *further = task.inputs
        self.further.offer(tuple(further))
        self._layout.setRowVisible(self.further, bool(further))
        label = self._layout.labelForField(self.stack)
        label.setText(first.title.capitalize() if further else "Stack")
        if stack is not None:
            self.about.setText(self._about(stack))
        self.start.setText(task.verb)
        self.batch.set_verb(task.verb)
        counts = task.judge == "nuclei"
        self._layout.setRowVisible(self.width_row, counts)
        self.verdict.setVisible(counts)
        text, tip = _CHECKS[task.judge]
        self.check.setText(text)
        self.check.setToolTip(tip)
        self.width_row.fit(stack, model)

    def estimate(self, stack: LayerStack | None) -> None:
        """Say how long a stack takes, where it is known how fast the model is here."""
        seconds = None
        if stack is not None and self.region.whole:
            samples = self.samples.value() if self.spread.isChecked() else 1
            with suppress(UserError):
                ratio, _ = spacing_ratio(stack.volume, self.model.info, self.width_row.width)
                voxels = float(np.prod(stack.shape) / np.prod(ratio)) * samples
                seconds = pace.seconds(self.model.path, self.device.currentData(), voxels)
        self.time.setText("" if seconds is None else f"About {duration(seconds)} for this stack.")
        self.time.setVisible(seconds is not None)

    def _about(self, stack: LayerStack) -> str:
        size, planes = f"{figures(stack.shape)} (z, y, x)", self.task.planes
        if stack.times > 1:
            size = f"{stack.times} time points of {size}"
        spacing = stack.volume.spacing
        if spacing is not None:
            size = f"{size} · {figures(spacing)} µm"
        if planes > 1:
            size = f"{size}, will be {planes * stack.shape[0]} slices"
            size += "" if spacing is None else f", {spacing[0] / planes:.4g} µm apart"
        return size
