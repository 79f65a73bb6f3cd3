"""How wide the nuclei of the stack are, where they are not as wide as the model's."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QWidget

from ...events import Finished, UserError
from ...models import ModelInfo
from ...staining.options import StainOptions
from ..config_form import field_widget
from ..jobs.job_bar import JobBar
from ..jobs.runner import Runner
from ..layers.stack import LayerStack
from .jobs import width_of
from .model_picker import ModelPicker


class WidthRow(QWidget):
    """A width in µm, or in pixels where the stack has no voxel size; by voxel size if none.

    Parameters
    ----------
    runner : Runner
        Runs the estimate.
    bar : JobBar
        Says what came of it.
    parent : QWidget, optional
        The form.

    Attributes
    ----------
    changed : Signal()
        Another width is set.
    label : str
        What to call it.
    """

    changed = Signal()

    def __init__(self, runner: Runner, bar: JobBar, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runner, self._bar = runner, bar
        self._stack: LayerStack | None = None
        self._by: tuple[ModelPicker, QComboBox] | None = None
        # magicgui's part of the widget has to live as long as Qt's
        self._made: Any = field_widget(
            StainOptions, "nucleus_um", annotation=float, min=0, step=0.5, value=0.0
        )
        self.label, self.box = self._made.label, self._made.native
        self._tip = self.box.toolTip()
        self.box.setSpecialValueText("as the model's")
        self.box.setSuffix(" µm")
        self.button = QPushButton("Estimate")
        self.button.setToolTip("Look at a few parts of the stack, and tell how wide nuclei are.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.box, 1)
        row.addWidget(self.button)
        self.box.valueChanged.connect(self.changed)
        self.button.clicked.connect(self._estimate)
        runner.running_changed.connect(self._running)

    @property
    def width(self) -> float | None:
        """What is set; None where nothing is, or the model cannot be scaled."""
        return (self.box.value() or None) if self.box.isEnabled() else None

    def fit(self, stack: LayerStack | None, model: ModelInfo | None) -> None:
        """Take the unit of a stack, and let a width be set where the model can be scaled.

        A width in µm is none in pixels: it is forgotten where the unit changes.

        Parameters
        ----------
        stack : LayerStack, optional
            The chosen stack.
        model : ModelInfo, optional
            The chosen model.
        """
        self._stack = stack
        if stack is not None:
            unit = " µm" if stack.volume.spacing is not None else " pixels"
            if unit != self.box.suffix():
                self.box.setValue(0.0)
                self.box.setSuffix(unit)
        known = model is not None and model.nucleus_um is not None
        self.box.setEnabled(known)
        self.button.setVisible(model is not None and model.width_model is not None)
        self.box.setToolTip(
            f"{self._tip} The model's are {model.nucleus_um:g} µm wide."
            if known and model is not None
            else "The chosen model does not tell how wide the nuclei are that it knows."
        )

    def use(self, model: ModelPicker, device: QComboBox) -> None:
        """Estimate by the model, and on the device, that is chosen in the form.

        Parameters
        ----------
        model, device
            Where they are chosen.
        """
        self._by = (model, device)

    def _estimate(self) -> None:
        if self._stack is None or self._by is None or self._runner.running:
            return
        stack, (model, device) = self._stack, self._by
        try:
            job = width_of(model.path, stack, device.currentData())
        except UserError as error:
            self._bar.refuse(str(error))
            return
        name = f"estimate of the width of nuclei in {stack.layer.name}"
        self._runner.start(job, name, then=partial(self._told, stack))

    def _told(self, stack: LayerStack, event: Finished) -> None:
        chosen = self._stack
        if event.value is not None and chosen is not None and chosen.layer is stack.layer:
            self.box.setValue(event.value.width)
        self._bar.say(str(event.result.get("sentence", "")))

    def _running(self, running: bool) -> None:
        self.button.setEnabled(not running)
