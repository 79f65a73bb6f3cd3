"""Choose which part of a stack is stained."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget
from superqt import QLabeledRangeSlider

from ...events import UserError
from ..layers.combo import LayerCombo
from ..layers.stack import Box, LayerStack, finer
from ..layers.viewport import View, shapes_box

WHOLE, SCREEN, PLANES, SHAPES = "Whole stack", "What is on screen", "Some planes", "A drawn region"
_TIPS = (
    "Every voxel; what you look at comes first.",
    "The field of view, through all planes.",
    "The planes between the two handles.",
    "The box around the shapes drawn in a Shapes layer (or around the selected ones).",
)


class RegionChoice(QWidget):
    """Whole stack, field of view, planes, or a drawn region.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose Shapes layers.
    parent : QWidget, optional
        The form.
    """

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.combo = QComboBox()
        for i, (name, tip) in enumerate(zip((WHOLE, SCREEN, PLANES, SHAPES), _TIPS, strict=True)):
            self.combo.addItem(name, name)
            self.combo.setItemData(i, tip, Qt.ItemDataRole.ToolTipRole)
        self.combo.setToolTip("Which part of the stack to stain; the rest can follow later.")
        self.planes = QLabeledRangeSlider(Qt.Orientation.Horizontal)
        self.planes.setToolTip("First and last plane to stain.")
        self.planes.setRange(0, 1)
        self.shapes = LayerCombo(viewer, kinds=("Shapes",))
        self.shapes.setToolTip("The Shapes layer in which you drew the region.")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.combo, self.planes, self.shapes):
            column.addWidget(part)
        self.combo.currentIndexChanged.connect(self._show)
        self._show()

    @property
    def whole(self) -> bool:
        """Whether all of the stack is wanted."""
        return self.combo.currentData() == WHOLE

    def fit(self, stack: LayerStack | None) -> None:
        """Offer the planes of a stack; at first, those around the one on screen."""
        if stack is None:
            return
        last = stack.shape[0] - 1
        if self.planes.maximum() != last:
            self.planes.setRange(0, last)
            here = View(self._viewer, stack).centre()[0]
            self.planes.setValue((max(round(here) - 4, 0), min(round(here) + 4, last)))

    def box(self, stack: LayerStack, view: View) -> Box | None:
        """Return the chosen voxels (z, y, x) of the result, as the view counts; None for all.

        Raises
        ------
        UserError
            If a drawn region is wanted and there is none, or what is wanted lies outside.
        """
        choice = self.combo.currentData()
        _, y, x = stack.shape
        if choice == WHOLE:
            return None
        if choice == SCREEN and not view.on_screen:
            raise UserError(
                f"Nothing of {stack.layer.name} is on screen: move the view to what you want to "
                "stain, or choose another region."
            )
        if choice == SCREEN:
            # through all planes, or whatever axis is the one in depth
            spans = zip(view.box, view.shape, strict=True)
            return tuple((0, n) if b - a == 1 else (a, b) for (a, b), n in spans)
        if choice == PLANES:
            first, last = self.planes.value()
            return finer(((int(first), int(last) + 1), (0, y), (0, x)), view.planes)
        shapes = self.shapes.layer
        if shapes is None or not len(shapes.data):
            raise UserError(
                "No region is drawn: add a Shapes layer, draw a rectangle around what you want "
                "to stain, and choose that layer."
            )
        return finer(shapes_box(self._viewer, shapes, stack), view.planes)

    def _show(self) -> None:
        self.planes.setVisible(self.combo.currentData() == PLANES)
        self.shapes.setVisible(self.combo.currentData() == SHAPES)
