"""Whether the model can read the chosen stack: a line of the Stain panel that stays."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ...models.familiarity import Verdict
from ..form import words

# Okabe & Ito (2008); black on each is read in any theme, and the sign tells it without colour
_LOOKS = {
    "like": ("✓", "#009E73"),
    "unlike": ("⚠", "#E69F00"),
    "unreadable": ("✗", "#D55E00"),
    "taught": ("ℹ", "#56B4E9"),
    "unknown": ("?", "#BBBBBB"),
}


class VerdictLine(QWidget):
    """What is known of a stack and a model, with room for one button that leads on.

    Parameters
    ----------
    parent : QWidget, optional
        The form.

    Attributes
    ----------
    changed : Signal(str)
        The verdict's value is another one.
    check : QPushButton
        Asks for the verdict, where there is none.
    """

    changed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.verdict: Verdict | None = None
        self.sentence = words(
            tip="Measured on a few parts of the stack and a trial stain of them. F1: of the nuclei "
            "in the stain and the real ones, how many go together (1: all)."
        )
        self.sentence.setTextFormat(Qt.TextFormat.RichText)
        self.check = QPushButton("Can the model read this stack?")
        self.check.setToolTip("Look at a few parts of the stack before you stain it: seconds.")
        self._actions = QHBoxLayout()
        self._actions.addWidget(self.check)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.sentence)
        column.addLayout(self._actions)
        self.tell(None)

    @property
    def value(self) -> str:
        """The verdict's value, as of `Verdict`; "" before it is asked for."""
        return "" if self.verdict is None else self.verdict.value

    def place(self, button: QPushButton) -> None:
        """Put a button below the line."""
        self._actions.addWidget(button)

    def tell(self, verdict: Verdict | None) -> None:
        """Show a verdict; None where there is none yet."""
        before, self.verdict = self.value, verdict
        self.sentence.setVisible(verdict is not None)
        self.check.setVisible(verdict is None)
        if verdict is not None:
            sign, colour = _LOOKS[verdict.value]
            style = f"background-color: {colour}; color: black"
            text = escape(verdict.sentence, quote=False)
            self.sentence.setText(f'<p style="{style}">{sign} {text}</p>')
        if self.value != before:
            self.changed.emit(self.value)
