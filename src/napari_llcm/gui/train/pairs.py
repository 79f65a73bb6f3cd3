"""The part of the Train panel that chooses the pairs: from a folder, or from open layers."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from ...events import UserError
from ...training.pairs import NamedPair
from ..layers.axes_row import AxesRow
from ..layers.combo import LayerCombo, layers_of, volume_of, when_layers_change
from ..layers.planes import stack_or_plane
from ..layers.stack import stack_of
from .teaching import partner_of


class PairChoice(QGroupBox):
    """Pairs of a label-free stack and its DAPI.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose layers are offered.
    parent : QWidget, optional
        The panel.

    Attributes
    ----------
    changed : Signal()
        Other pairs are chosen.
    verdict : QLabel
        What the registration check says.
    """

    changed = Signal()

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__("Pairs to learn from", parent)
        self._viewer = viewer
        self._added: list[tuple[Any, Any]] = []
        self.from_layers = QRadioButton("Open layers")
        self.from_layers.setToolTip("Learn from stacks that are open in this window.")
        self.from_folder = QRadioButton("A folder")
        self.from_folder.setToolTip(
            "Learn from files: a folder with the folders qpi and dapi, whose files have the same "
            "names, or a CSV or YAML list of pairs."
        )
        self.from_layers.setChecked(True)
        which = QHBoxLayout()
        which.addWidget(self.from_layers)
        which.addWidget(self.from_folder)
        which.addStretch()

        self.qpi = LayerCombo(viewer, prefer="qpi phase label-free transmission")
        self.qpi.setToolTip("The label-free (phase) stack.")
        self.dapi = LayerCombo(viewer, prefer="dapi hoechst nuclei fluorescence", avoid="virtual")
        self.dapi.setToolTip(
            "The real DAPI of the same field, on the same grid: a stack, or one plane, which the "
            "projection of the stain is trained to be like."
        )
        self.add = QPushButton("Add another pair")
        self.add.setToolTip("Keep this pair, and choose one more. More fields teach more.")
        self.add.clicked.connect(self._add)
        self.remove = QPushButton("Remove")
        self.remove.setToolTip("Take the chosen pair out of the list.")
        self.remove.clicked.connect(self._remove)
        self.list = QListWidget()
        self.list.setToolTip("The pairs that will be learned from.")
        self.list.setMaximumHeight(70)
        buttons = QHBoxLayout()
        buttons.addWidget(self.add)
        buttons.addWidget(self.remove)
        layers = QWidget()
        form = QFormLayout(layers)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Label-free", self.qpi)
        form.addRow("Real DAPI", self.dapi)
        self.axes_row = AxesRow(viewer)
        form.addRow(self.axes_row)
        form.addRow(buttons)
        form.addRow(self.list)

        self.path = QLineEdit()
        self.path.setPlaceholderText("folder with qpi/ and dapi/")
        self.path.setToolTip(self.from_folder.toolTip())
        self.browse = QPushButton("Browse…")
        self.browse.setToolTip("Choose the folder.")
        self.browse.clicked.connect(self._browse)
        folder = QWidget()
        row = QHBoxLayout(folder)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.path, 1)
        row.addWidget(self.browse)

        self._layers, self._folder = layers, folder
        self.verdict = QLabel()
        self.verdict.setWordWrap(True)
        self.verdict.setToolTip(
            "Whether label-free stack and DAPI show the same place. Nothing can be learned from "
            "pairs that do not lie on each other."
        )
        column = QVBoxLayout(self)
        column.addLayout(which)
        column.addWidget(layers)
        column.addWidget(folder)
        column.addWidget(self.verdict)
        self.from_layers.toggled.connect(self._switch)
        self.path.editingFinished.connect(self.changed)
        self.qpi.chosen.connect(self.changed)
        self.dapi.chosen.connect(self.changed)
        for combo in (self.qpi, self.dapi):
            combo.altered.connect(self.changed)
            combo.altered.connect(self._ask_for_axes)
        for tell in (self.qpi.chosen, self.dapi.chosen, self.axes_row.given):
            tell.connect(self._ask_for_axes)
        self.axes_row.given.connect(self.changed)
        when_layers_change(viewer, self, self._follow)
        self._ask_for_axes()
        self._show_list()
        self._switch()

    def folder(self) -> Path | None:
        """Return the folder or list that is chosen; None where layers are."""
        text = self.path.text().strip()
        return Path(text).expanduser() if self.from_folder.isChecked() and text else None

    def set_folder(self, folder: Path | str) -> None:
        """Choose a folder."""
        self.from_folder.setChecked(True)
        self.path.setText(str(folder))
        self.changed.emit()

    def teach(self, stack: Any) -> bool:
        """Choose an open stack and its real DAPI; tell whether there is one."""
        self.from_layers.setChecked(True)
        self._added.clear()
        self._show_list()
        self.qpi.choose(stack)
        layers = layers_of(self._viewer, ("Image",))
        partner = partner_of(stack, layers, self.dapi.is_named, self.qpi.is_named)
        if partner is not None:
            self.dapi.choose(partner)
        self.changed.emit()
        return partner is not None

    def width_unit(self) -> str:
        """Return what widths of nuclei are in: pixels, where no open stack tells its voxel size."""
        if self.from_layers.isChecked():
            stacks = [qpi for qpi, _ in self._added] or [self.qpi.layer]
            with suppress(UserError):
                if all(s and stack_of(s).volume.spacing is None for s in stacks):
                    return " pixels"
        return " µm"

    def volumes(self) -> list[NamedPair]:
        """Return the pairs that are chosen among the layers, for time series the one on screen.

        Raises
        ------
        UserError
            If layers are missing, or cannot be learned from.
        """
        pairs = self._added or [(self.qpi.layer, self.dapi.layer)]
        result = []
        for qpi, dapi in pairs:
            if qpi is None or dapi is None:
                raise UserError(
                    "Open a label-free stack and its real DAPI first, or choose a folder of pairs."
                )
            if qpi is dapi:
                raise UserError("Choose two different layers: a label-free stack and its DAPI.")
            both = volume_of(qpi, self._viewer), stack_or_plane(dapi, self._viewer)
            result.append((qpi.name, *both))
        return result

    def chosen(self) -> bool:
        """Tell whether there is anything to look at yet."""
        if self.from_folder.isChecked():
            return self.folder() is not None
        both = self.qpi.layer is not None and self.dapi.layer is not None
        return bool(self._added) or (both and self.qpi.layer is not self.dapi.layer)

    def _switch(self) -> None:
        self._layers.setVisible(self.from_layers.isChecked())
        self._folder.setVisible(self.from_folder.isChecked())
        self.changed.emit()

    def _browse(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "Folder of pairs", self.path.text())
        if found:
            self.set_folder(found)

    def _add(self) -> None:
        pair = (self.qpi.layer, self.dapi.layer)
        if None not in pair and pair[0] is not pair[1] and pair not in self._added:
            self._added.append(pair)
            self._show_list()
            self.changed.emit()

    def _remove(self) -> None:
        row = self.list.currentRow()
        if 0 <= row < len(self._added):
            del self._added[row]
            self._show_list()
            self.changed.emit()

    def _ask_for_axes(self) -> None:
        self.axes_row.ask_for(self.qpi.layer, self.dapi.layer)

    def _follow(self) -> None:
        """Show new names; a pair goes with its layers."""
        layers = list(self._viewer.layers)
        left = [p for p in self._added if all(layer in layers for layer in p)]
        gone, self._added = len(left) < len(self._added), left
        self._show_list()
        if gone:
            self.changed.emit()

    def _show_list(self) -> None:
        row = self.list.currentRow()
        self.list.clear()
        self.list.addItems([f"{qpi.name} + {dapi.name}" for qpi, dapi in self._added])
        self.list.setCurrentRow(min(row, len(self._added) - 1))
        self.list.setVisible(bool(self._added))
        self.remove.setVisible(bool(self._added))
