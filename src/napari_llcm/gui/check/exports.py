"""The buttons that save a check: table, figure, one-page report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QWidget

from ...events import Finished, Job, Started
from ...nuclei.comparing import Comparison
from ...nuclei.finding import Findings
from ...nuclei.table import Row
from ...volumes import Volume
from ...volumes.atomic import save_figure
from ..jobs.job_bar import JobBar
from ..jobs.runner import JobRunner

_KINDS = {
    "table": ("Table…", "nuclei.csv", "Table (*.csv)"),
    "figure": ("Figure…", "nuclei.png", "Picture (*.png *.pdf *.svg)"),
    "report": ("Report…", "nuclei-report.pdf", "Page (*.pdf *.png)"),
}
_TIPS = {
    "table": "Save a row for each nucleus, to be opened in a spreadsheet.",
    "figure": "Save a picture of both images with the nuclei as they are coloured here.",
    "report": "Save one page with figures, picture and settings, to be filed or printed.",
}


class Exports(QWidget):
    """Save what the panel shows.

    Parameters
    ----------
    parent : QWidget, optional
        The panel.

    Attributes
    ----------
    buttons : dict of str to QPushButton
        "table", "figure" and "report".
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.runner = JobRunner(self)
        self._bar: JobBar | None = None
        self._result: Comparison | Findings | None = None
        self._rows: list[Row] = []
        self._verdicts: tuple[str, ...] = ()
        self._least = 0.0
        self._images: dict[str, Volume | None] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.buttons: dict[str, QPushButton] = {}
        for kind, (text, _, _) in _KINDS.items():
            button = QPushButton(text)
            button.setToolTip(_TIPS[kind])
            button.clicked.connect(lambda _=False, kind=kind: self._ask(kind))
            row.addWidget(button)
            self.buttons[kind] = button

    def attach(self, bar: JobBar) -> None:
        """Say in a bar what was saved, and what went wrong."""
        self._bar = bar
        self.runner.failed.connect(bar.fail)

    def offer(
        self,
        result: Comparison | Findings,
        rows: Sequence[Row],
        verdicts: Sequence[str],
        least: float,
        images: dict[str, Volume | None],
    ) -> None:
        """Say what is to be saved.

        Parameters
        ----------
        result : Comparison or Findings
            The check.
        rows : sequence of dict
            Its nuclei, with their verdicts as they are shown.
        verdicts : sequence of str
            Those that are listed and outlined.
        least : float
            The least confidence that is believed.
        images : dict
            "qpi", "truth" and "stain" for the picture.
        """
        self._result, self._rows, self._least = result, list(rows), least
        self._images, self._verdicts = images, tuple(verdicts)
        compared = isinstance(result, Comparison)
        for kind in ("figure", "report"):
            self.buttons[kind].setEnabled(compared)
            self.buttons[kind].setToolTip(
                _TIPS[kind] if compared else "Choose a real stain to compare with, for this."
            )

    def withdraw(self) -> None:
        """Save nothing any more: what was offered is no longer shown, or no longer true."""
        self._result = None

    def save(self, kind: str, path: Path) -> None:
        """Save the table, the figure or the report; an older file is replaced."""
        result, images = self._result, self._images
        if result is None:
            if self._bar is not None:
                self._bar.fail("There is no finished check to save: press Check first.")
            return
        if self.runner.running:
            return
        write: Callable[[], None]
        rows = self._rows
        if kind == "table":
            write = lambda: _write_table(path, rows, result.settings)  # noqa: E731
        elif isinstance(result, Comparison):
            shown = {"rows": rows if self._least else None, "verdicts": self._verdicts}
            notes = _notes(self._least)
            if kind == "figure":
                write = lambda: _write_figure(path, result, **images, **shown)  # noqa: E731
            else:
                write = lambda: _write_page(path, result, notes, **images, **shown)  # noqa: E731
        else:
            return
        self.runner.start(lambda _: _saving(path, write), f"saving {path.name}", then=self._saved)

    def _saved(self, event: Finished) -> None:
        if self._bar is not None:
            self._bar.say(f"Saved {event.result['path']}")

    def _ask(self, kind: str) -> None:
        _, name, kinds = _KINDS[kind]
        found, _ = QFileDialog.getSaveFileName(self, "Save", name, kinds)
        if found:
            path = Path(found)
            self.save(kind, path if path.suffix else path.with_suffix(Path(name).suffix))


def _saving(path: Path, write: Callable[[], None]) -> Job:
    yield Started(job="save")
    write()
    yield Finished(result={"path": str(path)})


def _write_table(path: Path, rows: Sequence[Row], settings: dict[str, Any]) -> None:
    from ...nuclei.report import write_rows

    write_rows(path, rows, settings)


def _write_figure(path: Path, result: Comparison, **shown: Any) -> None:
    from ...nuclei.figures import draw_comparison

    save_figure(path, draw_comparison(result, **shown), facecolor="white")


def _write_page(path: Path, result: Comparison, notes: str, **shown: Any) -> None:
    from ...nuclei.page import write_page

    write_page(path, result, **shown, notes=notes)


def _notes(least: float) -> str:
    return f"Virtual nuclei of a confidence of at least {least:.2f}." if least else ""
