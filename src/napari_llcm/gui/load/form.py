"""The controls of the Load panel, and nothing of what they do."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ...volumes import ReadOptions
from ..form import form_layout, tab_order, words
from ..jobs.job_bar import JobBar
from ..jobs.runner import Runner
from ..layers.axes_row import AxesRow
from ..layers.combo import LayerCombo
from ..layers.spacing_row import SpacingRow
from ..settings import recall
from .plate_browser import PlateBrowser
from .registration import RegistrationBox

_PATTERNS = "*.tif *.tiff *.nii *.nii.gz *.czi *.lif *.nd2 *.png *.jpg *.bmp"
FILES = f"Stacks ({_PATTERNS});;All files (*)"


class LoadForm(QWidget):
    """Open, describe, check.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layers can be chosen.
    runner : Runner
        Whose jobs the bar shows.
    """

    def __init__(self, viewer: Any, runner: Runner) -> None:
        super().__init__()
        known = recall("load")
        self.file = QPushButton("Open stack…")
        self.file.setToolTip(
            "TIFF, OME-TIFF, NIfTI, CZI, LIF or ND2: phase, DAPI, or both in channels. Large files "
            "are read plane by plane as you look at them."
        )
        self.folder = QPushButton("Open folder…")
        self.folder.setToolTip(
            "An OME-Zarr, a plate (OME-Zarr HCS), a folder of numbered planes, a DICOM series, a "
            "folder of stacks (positions), or a folder with pairs in qpi/ and dapi/."
        )
        self.times = QComboBox()
        self.times.addItems(["all time points", "one time point"])
        self.times.setToolTip("What to open of a time series.")
        self.time = QSpinBox()
        self.time.setRange(0, 100_000)
        self.time.setToolTip("The time point to open; the first is 0.")
        self.time.setVisible(False)
        self.times.currentIndexChanged.connect(lambda i: self.time.setVisible(i == 1))
        self.channel = QLineEdit()
        self.channel.setPlaceholderText("all channels")
        self.channel.setToolTip(
            "The one channel to open: its name, or its number (the first is 0). All of them, as a "
            "layer each, if empty."
        )
        self.axes = QLineEdit(str(known.get("axes", "")))
        self.axes.setPlaceholderText("as the file says")
        self.axes.setMaxLength(5)
        self.axes.setToolTip(
            "Only if a file opens with the wrong axes: a letter for each, in its order. t time, "
            "c channel, z plane, y row, x column; for example zyx or tzyx."
        )
        self.list = QListWidget()
        self.list.setToolTip("Double-click a stack, an image or a pair to open it.")
        self.list.setMaximumHeight(120)
        self.list.hide()
        self.open_chosen = QPushButton("Open chosen")
        self.open_chosen.setToolTip("Open the stack, image or pair that is marked in the list.")
        self.open_chosen.hide()
        self.plate = PlateBrowser()
        self.layer = LayerCombo(viewer, prefer="qpi phase qobm label-free")
        self.layer.setToolTip("The stack that is described below.")
        self.about = words(tip="Axes, size, voxel size and memory of the stack.")
        self.axes_row = AxesRow(viewer)
        self.spacing = SpacingRow(viewer)
        self.correct = QPushButton("Voxel size…")
        self.correct.setToolTip("Give another voxel size, if that of the file is wrong.")
        self.contrast = QPushButton("Contrast for phase")
        self.contrast.setToolTip(
            "Grey, as far below as above the background, so that cells stand out and dust does not "
            "matter."
        )
        self.bar = JobBar()
        self.bar.attach(runner)
        self.registration = RegistrationBox(viewer)

        opening = QGroupBox("Open")
        column = QVBoxLayout(opening)
        row = QHBoxLayout()
        row.addWidget(self.file)
        row.addWidget(self.folder)
        column.addLayout(row)
        form = form_layout()
        time = QHBoxLayout()
        time.addWidget(self.times, 1)
        time.addWidget(self.time)
        form.addRow("Series", time)
        form.addRow("Channel", self.channel)
        form.addRow("Axes", self.axes)
        column.addLayout(form)
        column.addWidget(self.list)
        column.addWidget(self.open_chosen, 0, Qt.AlignmentFlag.AlignRight)
        stack = QGroupBox("Stack")
        column = QVBoxLayout(stack)
        row = QHBoxLayout()
        row.addWidget(self.layer, 1)
        row.addWidget(self.contrast)
        column.addLayout(row)
        row = QHBoxLayout()
        row.addWidget(self.about, 1)
        row.addWidget(self.correct, 0, Qt.AlignmentFlag.AlignBottom)
        column.addLayout(row)
        column.addWidget(self.axes_row)
        column.addWidget(self.spacing)
        column = QVBoxLayout(self)
        for part in (opening, self.plate, self.bar, stack, self.registration):
            column.addWidget(part)
        column.addStretch(1)
        tab_order(
            self.file, self.folder, self.times, self.time, self.channel, self.axes, self.list,
            self.open_chosen, self.plate.grid, self.plate.fields, self.plate.keep,
            self.bar.cancel, self.layer, self.contrast, self.correct,
            *self.spacing.boxes, self.spacing.button,
            self.registration.qpi, self.registration.dapi, self.registration.check,
            self.registration.shift,
        )  # fmt: skip

    def reading(self) -> ReadOptions:
        """Return what the form says of how a file is read."""
        return ReadOptions(
            axes=self.axes.text().strip() or None,
            channel=self.channel.text().strip() or None,
            time=self.time.value() if self.times.currentIndex() == 1 else None,
        )
