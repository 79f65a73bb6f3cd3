"""The part of the Stain panel for several stacks: open layers, or the files of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from ...events import UserError
from ...volumes import ReadOptions
from ..layers.combo import layers_of, when_layers_change
from ..settings import recall, remember


class BatchBox(QCollapsible):
    """Ticks for open layers, and two folders.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers.
    parent : QWidget, optional
        The panel.

    Attributes
    ----------
    layers_wanted : Signal(list)
        These layers shall be stained.
    folder_wanted : Signal(object, object)
        The files of the first folder shall be stained into the second.
    """

    layers_wanted = Signal(list)
    folder_wanted = Signal(object, object)

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__("Several stacks", parent)
        self._viewer = viewer
        self._layers: list[Any] = []  # one for each entry of the list
        self.list = QListWidget()
        self.list.setToolTip("Tick the stacks that shall be computed one after another.")
        self.list.setMaximumHeight(90)
        self.stain_layers = QPushButton()
        self.stain_layers.setToolTip("Every ticked layer, one after another.")
        self.stain_layers.clicked.connect(self._want_layers)
        known = recall("batch")
        self.source, source = _folder(
            self,
            known.get("source", ""),
            "Folder with the stacks, one file for each; or a plate (OME-Zarr HCS).",
        )
        self.out, out = _folder(
            self,
            known.get("out", ""),
            "Folder for the results: one OME-Zarr for each stack; of a plate, a plate.",
        )
        self.channel = QLineEdit()
        self.channel.setPlaceholderText("as its name tells")
        self.channel.setToolTip(
            "Where the files, or the fields of a plate, hold several channels: which one is "
            "computed on, by its name or its number (the first is 0)."
        )
        self.stain_folder = QPushButton()
        self.stain_folder.setToolTip(
            "Every file of the first folder; results go into the second. Those that are there "
            "already stay, so a batch that was stopped can be started again."
        )
        self.stain_folder.clicked.connect(self._want_folder)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.list)
        column.addWidget(self.stain_layers)
        grid = QGridLayout()
        for row, (text, line, button) in enumerate(
            (("From", self.source, source), ("To", self.out, out))
        ):
            grid.addWidget(QLabel(text), row, 0)
            grid.addWidget(line, row, 1)
            grid.addWidget(button, row, 2)
        grid.addWidget(QLabel("Channel"), 2, 0)
        grid.addWidget(self.channel, 2, 1)
        column.addLayout(grid)
        column.addWidget(self.stain_folder)
        self.setContent(content)
        self.collapse(animate=False)
        self.toggleButton().setToolTip("Several open stacks, or all files of a folder.")
        when_layers_change(viewer, self, self._fill)
        self._fill()

    def ticked(self) -> list[Any]:
        """Return the ticked layers."""
        states = [self.list.item(i).checkState() for i in range(self.list.count())]
        checked = Qt.CheckState.Checked
        return [layer for layer, s in zip(self._layers, states, strict=True) if s == checked]

    def reading(self) -> ReadOptions:
        """Return how the files are read."""
        return ReadOptions(channel=self.channel.text().strip() or None)

    def set_verb(self, verb: str) -> None:
        """Call the buttons as the chosen model's task does."""
        self.stain_layers.setText(f"{verb}: all ticked layers")
        self.stain_folder.setText(f"{verb}: all files of the folder")

    def setEnabledForStart(self, enabled: bool) -> None:
        """Allow or forbid to start."""
        self.stain_layers.setEnabled(enabled)
        self.stain_folder.setEnabled(enabled)

    def _want_layers(self) -> None:
        self.layers_wanted.emit(self.ticked())

    def _want_folder(self) -> None:
        remember("batch", source=self.source.text(), out=self.out.text())
        self.folder_wanted.emit(self.source.text().strip(), self.out.text().strip())

    def _fill(self) -> None:
        ticked = {id(layer) for layer in self.ticked()}
        self.list.clear()
        self._layers = layers_of(self._viewer, ("Image",))
        for layer in self._layers:
            item = QListWidgetItem(layer.name)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            on = Qt.CheckState.Checked if id(layer) in ticked else Qt.CheckState.Unchecked
            item.setCheckState(on)
            self.list.addItem(item)


def checked_folders(source: str, out: str) -> tuple[Path, Path]:
    """Return both folders of a batch.

    Raises
    ------
    UserError
        If one is not given, the source is no folder, or both are the same.
    """
    if not source or not Path(source).is_dir():
        raise UserError("Choose the folder that holds the stacks, or a plate.")
    if not out:
        raise UserError("Choose a folder for the results.")
    if Path(source).resolve() == Path(out).resolve():
        raise UserError("Choose another folder for the results than that of the stacks.")
    return Path(source), Path(out)


def _folder(parent: QWidget, text: str, tip: str) -> tuple[QLineEdit, QPushButton]:
    line, button = QLineEdit(text), QPushButton("…")
    line.setToolTip(tip)
    button.setToolTip(tip)
    button.setMaximumWidth(32)

    def ask() -> None:
        """Let the user choose."""
        name = QFileDialog.getExistingDirectory(parent, tip, line.text())
        if name:
            line.setText(name)

    button.clicked.connect(ask)
    return line, button


def given_spacing() -> list[float] | None:
    """Return the voxel size that was given last, for files that do not tell theirs."""
    known = recall("spacing").get("last")
    return [float(v) for v in known] if known else None


def told_of_folder(result: dict[str, Any]) -> str:
    """Return in words what came of a folder of stacks."""
    left_out = f"; left out: {len(result['failed'])}" if result["failed"] else ""
    return f"Stacks written: {len(result['written'])}{left_out}. Folder: {result['out']}"
