"""Ask before napari is closed while a training is going on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMessageBox, QProgressDialog, QWidget


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
    """Watches the window of a panel with a `child` that trains and an `ask`.

    Parameters
    ----------
    panel : QWidget
        The panel.
    """

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self._panel = panel
        # weakly, or a closed window would never be freed
        self._window: Callable[[], QObject | None] = lambda: None

    def guard(self) -> None:
        """Begin to watch; the panel must be in its window."""
        window = self._panel
        while window.parent() is not None:  # a floating dock is still the main window's child
            window = window.parent()
        before = self._window()
        if window is not before:
            if before is not None:
                before.removeEventFilter(self)
            self._window = ref(window)
            window.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Hold the window open until the training is saved, or for good."""
        if (
            event is None
            or watched is not self._window()
            or event.type() != QEvent.Type.Close
            or not self._panel.child.running
        ):
            return False
        agreed = self._panel.ask(
            self._panel,
            "Stop the training?",
            "A training is going on. What it has learned is kept, and you can go on with it later.",
            "Stop, keep and close",
        )
        if not agreed:
            event.ignore()
            return True
        wait = QProgressDialog("Saving the training…", "", 0, 0, self._panel)
        wait.setCancelButton(None)
        wait.setWindowTitle("Training")
        wait.show()
        self._panel.child.stop_and_wait()
        wait.close()
        return False
