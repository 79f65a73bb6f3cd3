"""A layer for each further input of a task that takes several stacks of one field."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from ...tasks import Channel
from ..form import form_layout
from ..layers.combo import LayerCombo


class FurtherInputs(QWidget):
    """A row for each input but the first; none where there is no other.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose layers.
    parent : QWidget, optional
        The form.

    Attributes
    ----------
    chosen : Signal()
        Other layers are chosen.
    combos : list of LayerCombo
        In the order of the inputs.
    """

    chosen = Signal()

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._channels: tuple[Channel, ...] = ()
        self.combos: list[LayerCombo] = []
        self._form = form_layout(self)

    @property
    def layers(self) -> list[Any]:
        """The chosen layers, None where there is none."""
        return [combo.layer for combo in self.combos]

    def offer(self, channels: tuple[Channel, ...]) -> None:
        """Ask for these inputs; what was chosen stays where they are those of before."""
        if channels == self._channels:
            return
        self._channels, self.combos = channels, []
        while self._form.rowCount():
            self._form.removeRow(0)
        for channel in channels:
            combo = LayerCombo(self._viewer, prefer=f"{channel.name} {channel.title}")
            combo.setToolTip(
                f"The {channel.title} stack of the same field: as many voxels, in one place."
            )
            combo.chosen.connect(self.chosen)
            self._form.addRow(channel.title, combo)
            self.combos.append(combo)
        self.chosen.emit()
