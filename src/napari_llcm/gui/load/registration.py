"""The part of the Load panel that asks whether a pair fits, and mends a shift."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...volumes import Registration
from ..form import form_layout, words
from ..layers.combo import LayerCombo
from ..picture import Picture

_SIGNS = {"registered": "✓", "shifted": "⚠", "distorted": "⚠", "unclear": "?", "unrelated": "✗"}


class RegistrationBox(QGroupBox):
    """Two layers, a verdict in words, its figure, and a button that mends.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers.
    parent : QWidget, optional
        The panel.

    Attributes
    ----------
    check_wanted : Signal(object, object)
        The label-free layer and the DAPI layer shall be compared.
    shift_wanted : Signal(object, tuple)
        The DAPI layer shall be moved by so many voxels.
    """

    check_wanted = Signal(object, object)
    shift_wanted = Signal(object, object)

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__("Does a pair fit?", parent)
        self.setToolTip("Before you check or train: do DAPI and phase show the same place?")
        self._found: Registration | None = None
        self.qpi = LayerCombo(viewer, prefer="qpi phase qobm label-free")
        self.qpi.setToolTip("The label-free stack of the pair.")
        self.dapi = LayerCombo(viewer, prefer="dapi hoechst nuclei", avoid="virtual")
        self.dapi.setToolTip("The real DAPI stack of the same field.")
        self.by_stain = QCheckBox("Stain first")
        self.by_stain.setToolTip(
            "Compare the DAPI stack with the virtual stain of the label-free one, by the model "
            "that ships: slower, but it tells more where there are few nuclei."
        )
        self.check = QPushButton("Check registration")
        self.check.setToolTip("Measure by how much the DAPI stack is shifted, here and there.")
        self.shift = QPushButton("Apply shift")
        self.shift.setToolTip(
            "Add a copy of the DAPI stack that is moved onto the label-free one. Yours stays."
        )
        self.shift.setEnabled(False)
        self.verdict = words(tip="What the comparison says.")
        self.figure = Picture()
        self.figure.setToolTip(
            "Middle plane: label-free in magenta, DAPI in green. Arrows, enlarged, show how DAPI "
            "must move; yellow ones are sure. Click to see it larger."
        )
        self.figure.mousePressEvent = self._enlarge  # type: ignore[assignment,method-assign]
        form = form_layout()
        form.addRow("Phase", self.qpi)
        form.addRow("DAPI", self.dapi)
        row = QHBoxLayout()
        row.addWidget(self.by_stain)
        row.addWidget(self.check)
        row.addWidget(self.shift)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addLayout(row)
        column.addWidget(self.verdict)
        column.addWidget(self.figure)
        self.verdict.hide()
        self.figure.hide()
        self.check.clicked.connect(lambda: self.check_wanted.emit(self.qpi.layer, self.dapi.layer))
        self.shift.clicked.connect(self._want_shift)
        for combo in (self.qpi, self.dapi):
            combo.chosen.connect(self.forget)

    def show_result(self, found: Registration, png: bytes) -> None:
        """Show what was found."""
        self._found = found
        self.verdict.setText(f"{_SIGNS[found.verdict]} {found.sentence}")
        picture = QPixmap()
        picture.loadFromData(png)
        self.verdict.show()
        self.figure.show()
        self.figure.show_picture(picture)
        self.shift.setEnabled(found.verdict in ("shifted", "unclear"))

    def forget(self) -> None:
        """Hide what was found of another pair."""
        self._found = None
        self.shift.setEnabled(False)
        self.verdict.hide()
        self.figure.hide()

    def _want_shift(self) -> None:
        if self._found is not None:
            self.shift_wanted.emit(self.dapi.layer, self._found.shift)

    def _enlarge(self, event: Any = None) -> None:
        window = QLabel(self.window())
        window.setWindowFlag(Qt.WindowType.Window)
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        window.setWindowTitle("Registration")
        window.setPixmap(self.figure.whole)
        window.show()
