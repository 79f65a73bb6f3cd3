"""A drop-down of the viewer's layers that follows what is added, removed and renamed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QWidget

from ...volumes import Volume
from .stack import stack_of
from .viewport import View


class LayerCombo(QComboBox):
    """Chooses a layer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose layers.
    labels : bool
        Whether labels layers may be chosen beside images.
    none : str
        Text of the entry for no layer; there is no such entry if it is empty.
    prefer : str
        Words separated by blanks: a layer with one of them in its name is chosen first, those
        with an earlier word before those with a later one.
    avoid : str
        Words of names that are not chosen by themselves.
    parent : QWidget, optional
        The form.

    Attributes
    ----------
    chosen : Signal()
        Another layer is chosen.
    """

    chosen = Signal()

    def __init__(
        self,
        viewer: Any,
        labels: bool = False,
        none: str = "",
        prefer: str = "",
        avoid: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._labels, self._none = viewer, labels, none
        self._prefer, self._avoid = prefer.lower().split(), avoid.lower().split()
        self._picked = False  # by the user, whose choice is kept
        self._names: list[str] = []
        narrow(self)
        self.activated.connect(self._pick)
        self.currentIndexChanged.connect(self.chosen)
        layers = viewer.layers.events
        for event in (layers.inserted, layers.removed, layers.reordered):
            event.connect(self._fill)
        self._fill()

    @property
    def layer(self) -> Any:
        """The chosen layer, or None."""
        name = self.currentData()
        if name not in self._viewer.layers:  # a list of layers, which has no "get"
            return None
        return self._viewer.layers[name]

    def choose(self, layer: Any) -> None:
        """Choose a layer; None where that is offered."""
        self._picked = True
        self.setCurrentIndex(0 if layer is None else self.findData(layer.name))

    def _pick(self) -> None:
        self._picked = True

    def _fill(self, event: Any = None) -> None:
        if not isalive(self):  # its panel was closed, and napari has not forgotten it yet
            return
        kinds = ("Image", "Labels") if self._labels else ("Image",)
        before = self.currentData()
        with _quiet(self):
            self.clear()
            if self._none:
                self.addItem(self._none, None)
            for layer in self._viewer.layers:
                if type(layer).__name__ in kinds and not layer.metadata.get("napari_llcm_shown"):
                    self.addItem(layer.name, layer.name)
                    layer.events.name.disconnect(self._fill)
                    layer.events.name.connect(self._fill)
            none = 0 if self._none else -1
            kept = (none if before is None else self.findData(before)) if self._picked else -1
            self.setCurrentIndex(kept if kept >= 0 else self._guess())
        if self.currentData() != before:
            self.chosen.emit()

    def _guess(self) -> int:
        names = {i: self.itemText(i).lower() for i in range(self.count()) if self.itemData(i)}
        free = {i: n for i, n in names.items() if not any(word in n for word in self._avoid)}
        for word in self._prefer:
            for i, name in free.items():
                if word in name:
                    return i
        return 0 if self.count() else -1


def narrow(box: QComboBox) -> None:
    """Let a long entry be cut, rather than make the whole panel wider than its dock."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(10)


@contextmanager
def _quiet(widget: QWidget) -> Iterator[None]:
    before = widget.blockSignals(True)
    try:
        yield
    finally:
        widget.blockSignals(before)


def volume_of(layer: Any, viewer: Any) -> Volume:
    """Return the stack that a layer shows: of a time series, the time point on screen.

    Raises
    ------
    UserError
        If the layer is no stack.
    """
    stack = stack_of(layer)
    if stack.volume.axes == "tzyx":
        return stack.volume.select(time=View(viewer, stack).now())
    return stack.volume
