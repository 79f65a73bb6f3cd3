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
from ...tasks import Task
from ...tasks.registry import STAIN
from ..layers.axes_row import AxesRow
from ..layers.combo import LayerCombo, layers_of, volume_of, when_layers_change
from ..layers.planes import stack_or_plane
from ..layers.stack import stack_of
from .run_jobs import Named
from .teaching import partner_of

_FOLDERS = {  # placeholder and tip, of pairs and of thin volumes
    False: (
        "folder with {}",
        "Learn from files: a folder with the folders {}, whose files have the same names, or a "
        "CSV or YAML list of pairs.",
    ),
    True: (
        "folder of thin volumes",
        "Learn from files: a folder of thin volumes. The thick slices are made of them.",
    ),
}


class PairChoice(QGroupBox):
    """Pairs of a label-free stack and its DAPI, or what else a task is learned from.

    A task that makes its inputs of its outputs is learned from thin volumes alone.

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
        self._added: list[tuple[Any, ...]] = []  # layers that belong together
        self._task = STAIN
        self.from_layers = QRadioButton("Open layers")
        self.from_layers.setToolTip("Learn from stacks that are open in this window.")
        self.from_folder = QRadioButton("A folder")
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
        self.thin = LayerCombo(viewer, prefer="thin ct stack", avoid="virtual thick")
        self.thin.setToolTip("A stack of thin slices: the thick ones are made of it.")
        self.add = QPushButton("Add another")
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
        form.addRow("Thin volume", self.thin)
        self._rows = form
        self.axes_row = AxesRow(viewer)
        form.addRow(self.axes_row)
        form.addRow(buttons)
        form.addRow(self.list)

        self.path = QLineEdit()
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
        self.thin.chosen.connect(self.changed)
        for combo in (self.qpi, self.dapi, self.thin):
            combo.altered.connect(self.changed)
            combo.altered.connect(self._ask_for_axes)
        for tell in (self.qpi.chosen, self.dapi.chosen, self.thin.chosen, self.axes_row.given):
            tell.connect(self._ask_for_axes)
        self.axes_row.given.connect(self.changed)
        when_layers_change(viewer, self, self._follow)
        self._show_list()
        self.set_task(STAIN)
        self._switch()

    def set_task(self, task: Task) -> None:
        """Ask for what a task is learned from."""
        if bool(task.thick) != bool(self._task.thick):
            self._added.clear()
            self._show_list()
        self._task, thin = task, task.thick is not None
        self.setTitle("Thin volumes to learn from" if thin else "Pairs to learn from")
        for combo, channel in ((self.qpi, task.inputs[0]), (self.dapi, task.outputs[0])):
            label, title = self._rows.labelForField(combo), channel.title
            label.setText(title[:1].upper() + title[1:])
            self._rows.setRowVisible(combo, not thin)
        self._rows.setRowVisible(self.thin, thin)
        placeholder, tip = _FOLDERS[thin]
        kinds = " and ".join(f"{kind}/" for kind in task.channels.names)
        self.path.setPlaceholderText(placeholder.format(kinds))
        for widget in (self.from_folder, self.path):
            widget.setToolTip(tip.format(kinds))
        several = not thin and len(task.channels.names) > 2
        self.from_layers.setEnabled(not several)
        if several:  # than a pair of layers
            self.from_folder.setChecked(True)
        self._ask_for_axes()
        self.changed.emit()

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
            stacks = [layers[0] for layers in self._added] or [self._now()[0]]
            with suppress(UserError):
                if all(s and stack_of(s).volume.spacing is None for s in stacks):
                    return " pixels"
        return " µm"

    def volumes(self) -> list[Named]:
        """Return what is chosen among the layers, for time series the one on screen.

        Raises
        ------
        UserError
            If layers are missing, or cannot be learned from.
        """
        return [self._volumes(layers) for layers in self._added or [self._now()]]

    def _volumes(self, layers: tuple[Any, ...]) -> Named:
        if len(layers) == 1:
            if layers[0] is None:
                raise UserError("Open a stack of thin slices first, or choose a folder of them.")
            return layers[0].name, volume_of(layers[0], self._viewer)
        qpi, dapi = layers
        if qpi is None or dapi is None:
            raise UserError(
                "Open a label-free stack and its real DAPI first, or choose a folder of pairs."
            )
        if qpi is dapi:
            raise UserError("Choose two different layers: a label-free stack and its DAPI.")
        return qpi.name, volume_of(qpi, self._viewer), stack_or_plane(dapi, self._viewer)

    def chosen(self) -> bool:
        """Tell whether there is anything to look at yet."""
        if self.from_folder.isChecked():
            return self.folder() is not None
        return bool(self._added) or _apart(self._now())

    def _now(self) -> tuple[Any, ...]:
        """Return the layers that are chosen now."""
        thin = self._task.thick is not None
        return (self.thin.layer,) if thin else (self.qpi.layer, self.dapi.layer)

    def _switch(self) -> None:
        self._layers.setVisible(self.from_layers.isChecked())
        self._folder.setVisible(self.from_folder.isChecked())
        self.changed.emit()

    def _browse(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "Folder of pairs", self.path.text())
        if found:
            self.set_folder(found)

    def _add(self) -> None:
        layers = self._now()
        if _apart(layers) and layers not in self._added:
            self._added.append(layers)
            self._show_list()
            self.changed.emit()

    def _remove(self) -> None:
        row = self.list.currentRow()
        if 0 <= row < len(self._added):
            del self._added[row]
            self._show_list()
            self.changed.emit()

    def _ask_for_axes(self) -> None:
        self.axes_row.ask_for(*self._now())

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
        self.list.addItems([" + ".join(one.name for one in layers) for layers in self._added])
        self.list.setCurrentRow(min(row, len(self._added) - 1))
        self.list.setVisible(bool(self._added))
        self.remove.setVisible(bool(self._added))


def _apart(layers: tuple[Any, ...]) -> bool:
    """Tell whether layers are all there, and different ones."""
    return None not in layers and len({id(layer) for layer in layers}) == len(layers)
