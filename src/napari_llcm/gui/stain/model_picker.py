"""Choose a model, look at its card, add one from a file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from ...events import UserError
from ...models import ModelInfo, find_model, list_models, read_info
from ...models.library import DEFAULT_MODEL
from ...worker import Elsewhere
from ..jobs.runner import MakeJob
from ..session import Session
from ..settings import preferences, recall
from .model_card import card_of, summary_of
from .painting import add_model


class ModelPicker(QWidget):
    """The models at hand, with what is known of the chosen one.

    Parameters
    ----------
    session : Session
        Tells of models that are trained or added meanwhile.
    parent : QWidget, optional
        The form.

    Attributes
    ----------
    changed : Signal()
        Another model is chosen.
    wanted : Signal(object)
        A file or folder that shall be added, as a `Path`.
    """

    changed = Signal()
    wanted = Signal(object)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = QComboBox()
        self.combo.setToolTip("The model that paints. Take one trained on samples like yours.")
        self.combo.setMinimumContentsLength(7)
        self.combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.card = QPushButton("Card")
        self.card.setToolTip("How this model was trained, on what, and how well it does.")
        self.card.clicked.connect(self.show_card)
        self.add = QPushButton("Add…")
        self.add.setToolTip("Add a model that you or a colleague trained, from a file or a folder.")
        menu = QMenu(self)
        menu.addAction("Model file (.zip)…", self._ask_file)
        menu.addAction("Model or run folder…", self._ask_folder)
        self.add.setMenu(menu)
        self.details = QLabel()
        self.details.setWordWrap(True)
        self.details.setToolTip(
            "How many nuclei it found, and how many that it showed were real, in stacks that it "
            "had not seen; and the voxel size of the stacks it learned from."
        )
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.combo, 1)
        row.addWidget(self.card)
        row.addWidget(self.add)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.details)
        self.fill(session.latest_model or recall("stain").get("model") or preferences().model)
        self.combo.currentIndexChanged.connect(self._show)
        session.model_added.connect(self.fill)
        self._show()

    @property
    def path(self) -> Path:
        """Where the chosen model lies.

        Raises
        ------
        UserError
            If it is there no more.
        """
        return find_model(self.combo.currentData() or None)

    @property
    def info(self) -> ModelInfo:
        """What the chosen model says of itself."""
        return read_info(self.path)

    def fill(self, choose: str = "") -> None:
        """Read the list of models anew, the default first; choose one by name or path if there."""
        before = choose or self.combo.currentData()
        self.combo.blockSignals(True)
        self.combo.clear()
        for name in sorted(list_models(), key=lambda name: name != DEFAULT_MODEL):
            self.combo.addItem(name, name)
        if before and self.combo.findData(before) < 0 and Path(before).exists():
            self.combo.addItem(Path(before).name, before)
        self.combo.setCurrentIndex(max(self.combo.findData(before), 0))
        self.combo.blockSignals(False)
        self._show()

    def show_card(self) -> QDialog:
        """Open the model's card in a window."""
        dialog = QDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        text = QTextBrowser()
        text.setToolTip("What the model knows of itself.")
        try:
            info = self.info
            dialog.setWindowTitle(f"Model {info.name}")
            text.setMarkdown(card_of(info))
        except UserError as error:
            text.setPlainText(str(error))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(dialog.reject)
        layout = QVBoxLayout(dialog)
        layout.addWidget(text)
        layout.addWidget(buttons)
        dialog.resize(560, 480)
        dialog.show()
        return dialog

    def _show(self) -> None:
        try:
            self.details.setText(summary_of(self.info))
        except UserError as error:
            self.details.setText(f"⚠ {error}")
        self.changed.emit()

    def _ask_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Add a model", "", "Models (*.zip)")
        if name:
            self.wanted.emit(Path(name))

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Add a model or a run")
        if name:
            self.wanted.emit(Path(name))


def adding(path: Path) -> MakeJob:
    """Return a maker of the job that adds a model to the user's own; its value is its name."""
    return Elsewhere(partial(add_model, path))
