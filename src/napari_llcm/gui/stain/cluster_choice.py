"""Computing elsewhere: an entry of the device list, and the dialog that asks where."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
)

from ...cluster import ClusterOptions
from ...cluster.connection import reached
from ...events import UserError
from ...worker import Elsewhere
from ..form import form_layout, words
from ..jobs.runner import JobRunner
from ..settings import recall, remember
from .cluster_job import try_cluster

CLUSTER = "cluster"
CHOICE: Mapping[str, str] = {CLUSTER: "Cluster…"}
_FORM = "cluster"


def chosen_cluster(device: str) -> ClusterOptions:
    """Return the machines that were given last, where the device list says so; else none."""
    known = recall(_FORM) if device == CLUSTER else {}
    key = known.get("key")
    return ClusterOptions(cluster=known.get("address") or key or None, cluster_key=key or None)


def here(device: str) -> str:
    """Return the device of this computer for what is not done elsewhere."""
    return "auto" if device == CLUSTER else device


class ClusterDialog(QDialog):
    """Asks for the key file of a workstation, and for its address if the file tells another.

    Parameters
    ----------
    parent : QWidget
        Over which it opens.
    """

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self.setWindowTitle("Compute on another machine")
        known = recall(_FORM)
        self.runner = JobRunner(self)
        self.key = QLineEdit(str(known.get("key", "")))
        self.key.setToolTip(
            "laptop.pem, which `napari-llcm worker` has made on the machine that shall compute."
        )
        self.browse = QPushButton("Choose…")
        self.browse.setToolTip("Choose the key file.")
        self.address = QLineEdit(str(known.get("address", "")))
        self.address.setPlaceholderText("as the key file tells")
        self.address.setToolTip(
            "Where the machine is reached, if not where the key file tells: such as "
            "tls://localhost:8786 through SSH."
        )
        self.about = words(
            "On the machine with the GPU, run: napari-llcm worker. It names one file to be copied "
            "here."
        )
        self.test = QPushButton("Test the connection")
        self.test.setToolTip("Ask who computes there.")
        self.said = words(tip="What the other machine answers.")
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        row = QHBoxLayout()
        row.addWidget(self.key, 1)
        row.addWidget(self.browse)
        form = form_layout()
        form.addRow("Key file", row)
        form.addRow("Address", self.address)
        layout = QVBoxLayout(self)
        layout.addWidget(self.about)
        layout.addLayout(form)
        layout.addWidget(self.test)
        layout.addWidget(self.said)
        layout.addWidget(self.buttons)
        self.browse.clicked.connect(self._browse)
        self.test.clicked.connect(self.try_it)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.runner.failed.connect(lambda sentence, _: self._tell(f"⚠ {sentence}"))
        self.runner.running_changed.connect(lambda on: self.test.setEnabled(not on))
        self.resize(480, self.sizeHint().height())

    @property
    def options(self) -> ClusterOptions:
        """What is given."""
        key, address = self.key.text().strip(), self.address.text().strip()
        return ClusterOptions(
            cluster=address or key or None, cluster_key=Path(key) if key else None
        )

    def try_it(self) -> None:
        """Ask who computes there, without waiting."""
        self._tell("Asking…")
        ask = Elsewhere(partial(try_cluster, self.options))
        self.runner.start(ask, "test of the connection", then=lambda e: self._tell(str(e.value)))

    def accept(self) -> None:
        """Keep what is given, if it is an address that can be used."""
        try:
            if self.options.cluster is None:
                raise UserError("Choose the key file, or give an address.")
            reached(self.options)
        except UserError as error:
            self._tell(f"⚠ {error}")
            return
        remember(_FORM, key=self.key.text().strip(), address=self.address.text().strip())
        super().accept()

    def _browse(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "The key file", "", "Key files (*.pem)")
        if name:
            self.key.setText(name)

    def _tell(self, text: str) -> None:
        self.said.setText(text)


class ClusterChoice(QObject):
    """Opens the dialog where a user chooses the entry in the list of devices.

    Parameters
    ----------
    combo : QComboBox
        The list, which has the entry.

    Attributes
    ----------
    dialog : ClusterDialog or None
        The one that is open.
    """

    changed = Signal()

    def __init__(self, combo: QComboBox) -> None:
        super().__init__(combo)
        self._combo = combo
        self.dialog: ClusterDialog | None = None
        if combo.currentData() == CLUSTER and chosen_cluster(CLUSTER).cluster is None:
            combo.setCurrentIndex(0)
        self._before = combo.currentIndex()
        combo.activated.connect(self._activated)
        self._show()

    def _activated(self, index: int) -> None:
        if self._combo.itemData(index) != CLUSTER:
            self._before = index
            return
        self.dialog = ClusterDialog(self._combo.window())
        self.dialog.finished.connect(self._closed)
        self.dialog.open()

    def _closed(self, accepted: int) -> None:
        if accepted:
            self._before = self._combo.findData(CLUSTER)
            self.changed.emit()
        else:
            self._combo.setCurrentIndex(self._before)
        self._show()
        self.dialog = None

    def _show(self) -> None:
        """Say in the list which machine it is."""
        options = chosen_cluster(CLUSTER)
        name = Path(options.cluster).name if options.cluster else ""
        if options.cluster and not options.cluster.endswith(".pem"):
            name = options.cluster.partition("://")[2] or options.cluster
        index = self._combo.findData(CLUSTER)
        self._combo.setItemText(index, f"Cluster ({name})…" if name else CHOICE[CLUSTER])
