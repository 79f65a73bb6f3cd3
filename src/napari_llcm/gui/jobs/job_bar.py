"""How a job looks in a panel: progress, time left, Cancel, and what the user should read."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from ...events import Event, Finished, Notice, Progress, duration
from .runner import RunningJob

_WARNING, _ERROR = "#E69F00", "#D55E00"  # Okabe & Ito (2008); black on both is read in any theme
_SHOWN = 6  # warnings that have room in a panel


class JobBar(QWidget):
    """Progress bar with time left and Cancel; below it warnings and errors in words.

    Warnings of a job decide whether its result can be believed: they stay, in colour, until the
    next job begins. What is said besides, such as how the job ended, is added to them.

    Parameters
    ----------
    parent : QWidget, optional
        Its panel.

    Attributes
    ----------
    cancel : QPushButton
        Stops the job of the attached runner.
    details : QPushButton
        Shows every notice of the job, and where an error came from.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runner: RunningJob | None = None
        self._said: list[str] = []
        self._warnings: list[str] = []
        self._last = self._detail = ""
        self.bar = QProgressBar()
        self.bar.setToolTip("How much of the work is done.")
        self.bar.setTextVisible(True)
        self.text = QLabel()
        self.text.setToolTip("What is being done, and how much longer it will take.")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop within a second; what is done so far is kept.")
        self.cancel.clicked.connect(self._stop)
        self.meanwhile = QLabel()
        self.meanwhile.setWordWrap(True)
        self.meanwhile.setToolTip("What is to be known of what you see while the job runs.")
        self.sentence = QLabel()
        self.sentence.setWordWrap(True)
        self.sentence.setTextFormat(Qt.TextFormat.RichText)
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.sentence.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.details = QPushButton("Details…")
        self.details.setToolTip("Everything that was said, for you or for a bug report.")
        self.details.clicked.connect(self.show_details)

        self._work = QWidget()
        row = QHBoxLayout(self._work)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        self._words = QWidget()
        below = QHBoxLayout(self._words)
        below.setContentsMargins(0, 0, 0, 0)
        below.addWidget(self.sentence, 1)
        below.addWidget(self.details, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self._work, self.text, self.meanwhile, self._words):
            column.addWidget(part)
            part.hide()

    def attach(self, runner: RunningJob) -> None:
        """Show the jobs of a runner."""
        self._runner = runner
        runner.event.connect(self._show)
        runner.failed.connect(self.fail)
        runner.running_changed.connect(self._running)

    def say(self, text: str) -> None:
        """Show a sentence below the warnings, in place of the one before."""
        self._said.append(text)
        self._last = escape(text, quote=False)
        self._tell()

    def warn(self, text: str) -> None:
        """Show a warning until the next job begins, once."""
        if text not in self._warnings:
            self._said.append(text)
            self._warnings.append(text)
            self._tell()

    def fail(self, sentence: str, detail: str = "") -> None:
        """Show what went wrong; where it came from is behind the details button."""
        self._detail = detail
        self._said.append(f"⚠ {sentence}")
        self._last = _marked(sentence, _ERROR)
        self._tell()

    def refuse(self, sentence: str) -> None:
        """Show why a job cannot begin, in place of how the one before ended."""
        self.forget_end()
        self.fail(sentence)

    def clear(self) -> None:
        """Forget what was said."""
        self._said, self._warnings, self._last, self._detail = [], [], "", ""
        self._tell()

    def tell_meanwhile(self, text: str) -> None:
        """Show what is to be known of what is seen now; nothing where the text is empty."""
        self.meanwhile.setText(text)
        self.meanwhile.setVisible(bool(text))

    def forget_end(self) -> None:
        """Forget all but the warnings, where the end of a job goes without saying."""
        self._said, self._last, self._detail = list(self._warnings), "", ""
        self._tell()

    @property
    def said(self) -> str:
        """Everything that was said since the job began."""
        return "\n".join(self._said)

    def detail_text(self) -> str:
        """Return everything that was said, and where an error came from."""
        return "\n\n".join([*self._said, *([self._detail] if self._detail else [])])

    def show_details(self) -> QDialog:
        """Open the details in a window of their own, to be read or copied."""
        dialog = QDialog(self)
        dialog.setWindowTitle("Details")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        text = QPlainTextEdit(self.detail_text())
        text.setReadOnly(True)
        text.setToolTip("Select and copy this into a bug report.")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(dialog.reject)
        layout = QVBoxLayout(dialog)
        layout.addWidget(text)
        layout.addWidget(buttons)
        dialog.resize(640, 360)
        dialog.show()
        return dialog

    def _tell(self) -> None:
        """Show the warnings, and below them what was said last."""
        shown = [_marked(text, _WARNING) for text in self._warnings[:_SHOWN]]
        hidden = len(self._warnings) - _SHOWN
        if hidden > 0:
            shown.append(_marked(f"{hidden} more warnings: press Details.", _WARNING))
        shown += [self._last] if self._last else []
        self.sentence.setText("".join(shown))
        self.details.setVisible(len(self._said) > 1 or bool(self._detail))
        self._words.setVisible(bool(shown))

    def _stop(self) -> None:
        if self._runner is not None:
            self._runner.stop()
        self.cancel.setEnabled(False)
        self.text.setText("Stopping…")

    def _running(self, running: bool) -> None:
        if running:
            self.clear()
            self.bar.setRange(0, 0)  # busy until the first progress is known
            self.text.setText("Starting…")
            self.cancel.setEnabled(True)
        self.tell_meanwhile("")
        self._work.setVisible(running)
        self.text.setVisible(running)

    def _show(self, event: Event) -> None:
        if isinstance(event, Notice):
            (self.warn if event.warning else self.say)(event.text)
        elif isinstance(event, Progress) and event.total > 0:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * min(event.done / event.total, 1.0)))
            self.bar.setFormat(f"{100 * event.done / event.total:.0f} %")
            if self.cancel.isEnabled():
                left = "" if event.eta is None else f"{duration(event.eta)} left"
                self.text.setText(" · ".join(t for t in (event.text, left) if t))
        elif isinstance(event, Finished) and event.result.get("stopped"):
            self.say("Stopped. What is done is kept; start again to go on from there.")


def _marked(text: str, colour: str) -> str:
    style = f"background-color: {colour}; color: black; margin: 0px 0px 3px 0px"
    return f'<p style="{style}">⚠ {escape(text, quote=False)}</p>'
