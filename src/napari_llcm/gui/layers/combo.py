"""Lists of the viewer's layers that follow what is added, removed and renamed.

A list holds the layers themselves: a name can be changed, and given to another layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QWidget

from ...volumes import Volume
from .stack import stack_of
from .viewport import View


def layers_of(viewer: Any, kinds: Sequence[str]) -> list[Any]:
    """Return the layers of some kinds, such as "Image", without those that show a check."""
    return [
        layer
        for layer in viewer.layers
        if type(layer).__name__ in kinds and not layer.metadata.get("napari_llcm_shown")
    ]


def when_layers_change(viewer: Any, widget: QWidget, changed: Callable[[], None]) -> None:
    """Call back when layers are added, removed, moved or renamed, as long as a widget lives.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose layers.
    widget : QWidget
        What shows them; napari may tell of layers after its panel was closed.
    changed : callable
        Called without arguments.
    """

    def tell(_: Any = None) -> None:
        """Pass it on."""
        if isalive(widget):
            changed()

    layers = viewer.layers.events
    for event in (layers.inserted, layers.removed, layers.reordered, layers.renamed):
        event.connect(tell)


class LayerCombo(QComboBox):
    """Chooses a layer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose layers.
    kinds : sequence of str
        What may be chosen: "Image", "Labels", "Shapes".
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
    altered : Signal()
        The chosen layer has other data, another voxel size, or other axes.
    """

    chosen = Signal()
    altered = Signal()

    def __init__(
        self,
        viewer: Any,
        kinds: Sequence[str] = ("Image",),
        none: str = "",
        prefer: str = "",
        avoid: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._kinds, self._none = viewer, tuple(kinds), none
        self._prefer, self._avoid = prefer.lower().split(), avoid.lower().split()
        self._picked = False  # by the user, whose choice is kept
        self._layers: list[Any] = []  # one for each entry; None for no layer
        self._heard: list[Any] = []
        narrow(self)
        self.activated.connect(self._pick)
        self.currentIndexChanged.connect(self.chosen)
        self.chosen.connect(self._listen)
        when_layers_change(viewer, self, self._fill)
        self._fill()

    @property
    def layer(self) -> Any:
        """The chosen layer, or None."""
        index = self.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def choose(self, layer: Any) -> None:
        """Choose a layer; None where that is offered."""
        self._picked = True
        self.setCurrentIndex(self._index(layer))

    def is_named(self, layer: Any) -> bool:
        """Return whether a layer's name has a word that is preferred here, and none to avoid."""
        name = layer.name.lower()
        found = any(word in name for word in self._prefer)
        return found and not any(word in name for word in self._avoid)

    def _pick(self) -> None:
        self._picked = True

    def _listen(self) -> None:
        """Hear what happens to the chosen layer, and no longer to the one before."""
        for event in self._heard:
            event.disconnect(self._alter)
        layer, self._heard = self.layer, []
        if layer is not None:
            names = ("data", "scale", "units", "axis_labels")
            self._heard = [getattr(layer.events, name) for name in names]
        for event in self._heard:
            event.connect(self._alter)

    def _alter(self, event: Any = None) -> None:
        if isalive(self):
            self.altered.emit()

    def _index(self, layer: Any) -> int:
        """Return the entry of a layer, or of None; -1 where it is not offered."""
        return next((i for i, one in enumerate(self._layers) if one is layer), -1)

    def _fill(self) -> None:
        before, known = self.layer, self._layers
        offered = layers_of(self._viewer, self._kinds)
        self._layers = [*([None] if self._none else []), *offered]
        # a new name makes no other layer the better guess
        renamed = {id(layer) for layer in known} == {id(layer) for layer in self._layers}
        with _quiet(self):
            self.clear()
            self.addItems([self._none if one is None else one.name for one in self._layers])
            kept = self._index(before) if self._picked or renamed else -1
            self._picked = self._picked and kept >= 0  # a layer that is gone is no choice
            self.setCurrentIndex(kept if kept >= 0 else self._guess())
        if self.layer is not before:
            self.chosen.emit()

    def _guess(self) -> int:
        names = {i: one.name.lower() for i, one in enumerate(self._layers) if one is not None}
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
    if stack.volume.axes != "tzyx":
        return stack.volume
    now = View(viewer, stack).now()
    return stack.volume.select(time=now).replace(name=f"{layer.name}, time point {now}")
