"""The way on from a stack that the model cannot read: teach the model its microscope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QPushButton

from ...training.jobs import FINE_TUNING
from ..panel import show_panel

if TYPE_CHECKING:
    from .form import StainForm

_OFFERED = ("unlike", "unreadable")  # verdicts that leave something to be learned


class TeachButton(QPushButton):
    """Opens the Train panel with stack, model and nucleus width of the Stain panel filled in.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose panels.
    form : StainForm
        What is chosen; the button is shown beside its verdict.
    """

    def __init__(self, viewer: Any, form: StainForm) -> None:
        minutes = f"{FINE_TUNING['max_minutes']:g}"
        super().__init__(f"Teach it this microscope:\none stained volume, about {minutes} minutes")
        self._viewer, self._form = viewer, form
        self.setToolTip(
            "The model goes on learning from this stack and its real DAPI, if that is open: the "
            "Train panel opens with both chosen, and you start it there."
        )
        self.hide()
        self.clicked.connect(self.teach)
        form.verdict.place(self)
        form.verdict.changed.connect(lambda value: self.setVisible(value in _OFFERED))

    def teach(self) -> None:
        """Go to the Train panel."""
        form = self._form
        model = form.model.combo.currentData()
        if form.stack.layer is not None and model:
            train = show_panel(self._viewer, "Train")
            train.teach(form.stack.layer, model, form.width_row.width)
