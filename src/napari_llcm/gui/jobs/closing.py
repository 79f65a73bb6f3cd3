"""Ask before napari is closed while a training is going on."""

from __future__ import annotations

import time
from typing import Any

from qtpy.QtCore import QCoreApplication, QEvent, QObject
from qtpy.QtWidgets import QMessageBox, QProgressDialog, QWidget

_PATIENCE = 20  # s, for a job of a second


def ask(parent: QWidget, title: str, text: str, yes: str) -> bool:
    """Ask a question and return whether it was answered by `yes`.

    Parameters
    ----------
    parent : QWidget
        Over which the question appears.
    title : str
        The question.
    text : str
        What happens then.
    yes : str
        Text of the button that agrees.
    """
    box = QMessageBox(QMessageBox.Icon.Question, title, f"<b>{title}</b><br>{text}", parent=parent)
    agree = box.addButton(yes, QMessageBox.ButtonRole.AcceptRole)
    box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
    box.exec()
    return box.clickedButton() is agree


class AskBeforeClosing(QObject):
    """Asks before a window is closed while a panel's `child` trains.

    The training goes on until the window really closes: napari may ask a question of its own
    after this one, and the user may answer that with Cancel.

    Parameters
    ----------
    panel : QWidget
        The panel, with a `child` that trains, an `ask`, and `busy` until all is kept.
    window : QWidget
        The window.
    """

    def __init__(self, panel: Any, window: QWidget) -> None:
        super().__init__(panel)
        self._panel, self._agreed = panel, False
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Hold the window open until the training is saved, or for good."""
        if (
            event is None
            or event.type() != QEvent.Type.Close
            or self._agreed
            or not self._panel.child.running
        ):
            return False
        agreed = self._panel.ask(
            watched,
            "Stop the training?",
            "A training is going on. What it has learned is kept, and you can go on with it later.",
            "Stop, keep and close",
        )
        if not agreed:
            event.ignore()
            return True
        self._agreed = True
        try:
            watched.event(event)  # the window closes, or napari's own question is answered by no
        finally:
            self._agreed = False
        if event.isAccepted():
            self._save(watched)
        return True

    def _save(self, window: Any) -> None:
        wait = QProgressDialog("Saving the training…", "", 0, 0, window)
        wait.setCancelButton(None)
        wait.setWindowTitle("Training")
        wait.show()
        self._panel.child.stop_and_wait()
        until = time.monotonic() + _PATIENCE
        while self._panel.busy and time.monotonic() < until:  # its model is put among the others
            QCoreApplication.processEvents()
            time.sleep(0.01)
        wait.close()
