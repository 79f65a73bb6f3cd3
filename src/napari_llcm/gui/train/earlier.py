"""The trainings that there were: on this computer, or in a folder from elsewhere."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel, QPushButton, QWidget

from ...training.runs import list_runs, run_state
from ..layers.combo import narrow

_OFFERED = 30


class EarlierRuns(QWidget):
    """Chooses an earlier training.

    Parameters
    ----------
    parent : QWidget, optional
        The panel.

    Attributes
    ----------
    wanted : Signal(object)
        The folder of a training that shall be looked at, as a `Path`.
    runs : QComboBox
        The trainings on this computer.
    """

    wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.runs = QComboBox()
        self.runs.setToolTip("Trainings on this computer: look at one, or go on with it.")
        narrow(self.runs)
        self.open_folder = QPushButton("Open folder…")
        self.open_folder.setToolTip(
            "Look at a training whose folder lies elsewhere: started on a terminal, or copied "
            "from a cluster."
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("Earlier"))
        row.addWidget(self.runs, 1)
        row.addWidget(self.open_folder)
        self.runs.activated.connect(lambda _: self.wanted.emit(Path(self.runs.currentData())))
        self.open_folder.clicked.connect(self._choose_folder)

    def fill(self, shown: Path | None) -> None:
        """Offer the newest trainings; `shown` is the one that the panel shows."""
        self.runs.clear()
        for path in list_runs()[:_OFFERED]:
            self.runs.addItem(f"{path.name} ({run_state(path)})", str(path))
        self.runs.setCurrentIndex(-1 if shown is None else self.runs.findData(str(shown)))
        self.runs.setEnabled(self.runs.count() > 0)

    def _choose_folder(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "Folder of a training")
        if found:
            self.wanted.emit(Path(found))
