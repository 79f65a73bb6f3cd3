"""How wide the nuclei of the stack are, where they are not as wide as the model's."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QWidget

from ...models import ModelInfo
from ...staining.options import StainOptions
from ..config_form import field_widget
from ..layers.stack import LayerStack


class WidthRow(QWidget):
    """A width in µm, or in pixels where the stack has no voxel size; by voxel size if none.

    Parameters
    ----------
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

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        made = field_widget(
            StainOptions, "nucleus_um", annotation=float, min=0, step=0.5, value=0.0
        )
        self.label, self.box = made.label, made.native
        self._tip = self.box.toolTip()
        self.box.setSpecialValueText("as the model's")
        self.box.setSuffix(" µm")
        self._made = made  # magicgui's part of the widget goes with it
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(0, 0, 0, 0)
        self.row.addWidget(self.box, 1)
        self.box.valueChanged.connect(self.changed)

    @property
    def width(self) -> float | None:
        """What is set; None where nothing is, or the model cannot be scaled."""
        return (self.box.value() or None) if self.box.isEnabled() else None

    def fit(self, stack: LayerStack | None, model: ModelInfo | None) -> None:
        """Take the unit of a stack, and let a width be set where the model can be scaled.

        A width in µm is none in pixels: it is forgotten where the unit changes.
        """
        if stack is not None:
            unit = " µm" if stack.volume.spacing is not None else " pixels"
            if unit != self.box.suffix():
                self.box.setValue(0.0)
                self.box.setSuffix(unit)
        known = model is not None and model.nucleus_um is not None
        self.box.setEnabled(known)
        self.box.setToolTip(
            f"{self._tip} The model's are {model.nucleus_um:g} µm wide."
            if known and model is not None
            else "The chosen model does not tell how wide the nuclei are that it knows."
        )
