"""Ask what the axes of a layer are where it does not tell, and split its channels."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ...events import UserError
from ..form import words
from .axes import AxesUnknown, SeveralChannels, choices
from .conversion import channels_of
from .stack import stack_of
from .viewport import undisturbed

_SPLIT = "napari_llcm_split"  # where a layer's metadata names the layers of its channels


class AxesRow(QWidget):
    """A drop-down and a button; shown where the axes of a layer are not known, or hold channels.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose layers they are.
    parent : QWidget, optional
        The form.

    Attributes
    ----------
    given : Signal()
        A layer has got its axes, or was split into its channels.
    """

    given = Signal()

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Any = None
        self.question = words()
        self.combo = QComboBox()
        self.combo.setToolTip(
            "What the axes of the layer are, from the first to the last. It is written into the "
            "labels of its axes."
        )
        self.button = QPushButton("Set")
        self.button.setToolTip("Give the layer these axes.")
        self.button.clicked.connect(self._set)
        self.split = QPushButton("Split into channels")
        self.split.setToolTip("Add a layer for each channel, and hide this one.")
        self.split.clicked.connect(self._split)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.combo, 1)
        row.addWidget(self.button)
        row.addWidget(self.split)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.question)
        column.addLayout(row)
        self.hide()

    @property
    def asks(self) -> bool:
        """Whether something must be said of a layer."""
        return self._layer is not None

    def ask_for(self, *layers: Any) -> None:
        """Show itself for the first layer of which something must be said."""
        for layer in layers:
            if layer is None:
                continue
            try:
                stack_of(layer)
            except AxesUnknown as unknown:
                self._ask(layer, unknown)
                return
            except SeveralChannels as several:
                self._offer_split(layer, several)
                return
            except UserError:
                continue  # it is said where the layer is used
        self._layer = None
        self.hide()

    def _offer_split(self, layer: Any, several: SeveralChannels) -> None:
        names = {one.name for one in self._viewer.layers}
        parts = [name for name in layer.metadata.get(_SPLIT, ()) if name in names]
        self._show(layer, str(several), channels=True)
        if parts:
            self.question.setText(f"{layer.name} was split: choose one of {', '.join(parts)}.")
            self.split.hide()

    def _ask(self, layer: Any, unknown: AxesUnknown) -> None:
        shape = (layer.data[0] if layer.multiscale else layer.data).shape
        self.combo.clear()
        for text, axes in choices(shape, unknown.likely).items():
            self.combo.addItem(text, axes)
        self._show(layer, str(unknown), channels=False)

    def _show(self, layer: Any, question: str, channels: bool) -> None:
        self._layer = layer
        self.question.setText(f"⚠ {question}")
        self.combo.setVisible(not channels)
        self.button.setVisible(not channels)
        self.split.setVisible(channels)
        self.show()

    def _set(self) -> None:
        layer, axes = self._layer, self.combo.currentData()
        if layer is not None and layer in self._viewer.layers:
            old = layer.axis_labels
            layer.axis_labels = [a if a != "?" else b for a, b in zip(axes, old, strict=True)]
            self.given.emit()

    def _split(self) -> None:
        from napari.layers import Layer

        layer = self._layer
        if layer is None or layer not in self._viewer.layers:
            return
        with undisturbed(self._viewer):
            made = [self._viewer.add_layer(Layer.create(*one)).name for one in channels_of(layer)]
        layer.metadata = {**layer.metadata, _SPLIT: made}
        layer.visible = False
        self.given.emit()
