"""Ask for the voxel size that a file does not tell, and remember it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ...events import UserError
from ...volumes import Spacing
from ...volumes.units import to_micron
from ..settings import recall, remember
from .conversion import KEY
from .stack import LayerStack, stack_of

_FORM = "spacing"


class SpacingRow(QWidget):
    """Three numbers and a button; shown where a layer has no voxel size, or a wrong one.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers get the voxel size.
    parent : QWidget, optional
        The form.

    Attributes
    ----------
    given : Signal()
        The layer has got a voxel size.
    """

    given = Signal()

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Any = None
        self.question = QLabel()
        self.question.setWordWrap(True)
        self.boxes = [QDoubleSpinBox() for _ in "zyx"]
        self.button = QPushButton("Set")
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        for axis, box in zip("zyx", self.boxes, strict=True):
            box.setRange(0.0, 1000.0)
            box.setDecimals(4)
            box.setSingleStep(0.05)
            box.setPrefix(f"{axis} ")
            box.setSpecialValueText(f"{axis} ?")
            box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
            box.valueChanged.connect(self._check)
            what = (
                "Distance between two planes" if axis == "z" else f"Width of a voxel along {axis}"
            )
            box.setToolTip(f"{what}, in µm. Your microscope's software tells it.")
            row.addWidget(box, 1)
        self.button.setToolTip("Give the stack this voxel size; it is remembered for this file.")
        self.button.clicked.connect(self._set)
        row.addWidget(QLabel("µm"))
        row.addWidget(self.button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.question)
        column.addLayout(row)
        self._check()
        self.hide()

    def ask_for(self, stack: LayerStack | None) -> None:
        """Show itself if the stack has no voxel size; one given before is set without asking."""
        self._layer = None if stack is None else stack.layer
        missing = stack is not None and stack.volume.spacing is None
        self.setVisible(missing)
        if stack is None or not missing:
            return
        given = recall(_FORM)
        for key in _keys(stack.layer):
            if key in given:
                for box, value in zip(self.boxes, given[key], strict=True):
                    box.setValue(float(value))
                break
        self.question.setText(f"⚠ {stack.layer.name} does not tell its voxel size. Give it, in µm:")

    def correct(self, stack: LayerStack) -> None:
        """Show itself with the voxel size that the stack has, to give another."""
        self._layer = stack.layer
        for box, value in zip(self.boxes, stack.volume.step, strict=True):
            box.setValue(value)
        self.question.setText(f"Voxel size of {stack.layer.name}, in place of the file's, in µm:")
        self.show()

    def recalled(self, layer: Any) -> bool:
        """Set the voxel size that was given for the same file before; return whether it was."""
        source = _keys(layer)[0]
        known = recall(_FORM).get(source) if source else None
        if known:
            set_spacing(self._viewer, layer, known)
        return bool(known)

    def _check(self) -> None:
        self.button.setEnabled(all(box.value() > 0 for box in self.boxes))

    def _set(self) -> None:
        if self._layer is None:
            return
        spacing = [box.value() for box in self.boxes]
        set_spacing(self._viewer, self._layer, spacing)
        remember(_FORM, **{key: spacing for key in _keys(self._layer) if key})
        self.hide()
        self.given.emit()


def set_spacing(viewer: Any, layer: Any, spacing: Sequence[float] | Spacing) -> None:
    """Give a layer, and others of its shape that have none, a voxel size in µm.

    A position with a unit stays; one without is so many voxels, and stays that.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers.
    layer : napari.layers.Layer
        The layer.
    spacing : sequence of float
        Voxel size (z, y, x).
    """
    shape, steps = stack_of(layer).shape, tuple(viewer.dims.current_step)
    for other in list(viewer.layers):
        try:
            stack = stack_of(other) if type(other).__name__ == "Image" else None
        except UserError:
            continue
        known = None if stack is None else stack.volume.spacing
        if stack is None or stack.shape != shape or (known is not None and other is not layer):
            continue
        step = dict(zip("zyx", spacing, strict=True))
        scale, translate = np.array(other.scale), np.array(other.translate)
        affine = np.array(other.affine.affine_matrix)
        for i, axis in enumerate(stack.axes):
            if axis in step:
                micron = to_micron(str(other.units[i]))
                factor = step[axis] / abs(scale[i]) if micron is None else micron
                translate[i] *= factor
                affine[i, -1] *= factor
                scale[i] = np.copysign(step[axis], scale[i])
        other.scale, other.translate, other.affine = scale, translate, affine
        other.units = ["micrometer" if a in step else "pixel" for a in stack.axes]
    viewer.dims.current_step = steps
    viewer.reset_view()  # the picture has changed its size in µm


def _keys(layer: Any) -> list[str]:
    """Return under which names a layer's voxel size is kept: its file, its folder, the last."""
    source = layer.metadata.get(KEY, {}).get("source") or layer.source.path
    return [str(source), str(Path(source).parent), "last"] if source else ["", "last"]
