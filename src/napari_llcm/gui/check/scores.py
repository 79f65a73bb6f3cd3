"""Recall, precision and F1 in large type, and the counts behind them."""

from __future__ import annotations

import math

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from ...nuclei.counts import Counts
from ...nuclei.figures import COLOURS
from .verdicts import NUCLEUS, UNSURE

_FIGURES = {
    "recall": "Of the real nuclei, the share that the virtual stain shows with the right shape.",
    "precision": "Of the virtual nuclei, the share that is real.",
    "F1": "Recall and precision in one figure: 1 is perfect, 0 is nothing right.",
}


class ScoreBoard(QWidget):
    """The figures of a comparison.

    Parameters
    ----------
    parent : QWidget, optional
        The panel.

    Attributes
    ----------
    figures : dict of str to QLabel
        "recall", "precision" and "F1".
    counts : QLabel
        How many were found, missed …, in the colours of the outlines.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.figures: dict[str, QLabel] = {}
        self._grid = QWidget()
        grid = QGridLayout(self._grid)
        grid.setContentsMargins(0, 4, 0, 0)
        for column, (name, tip) in enumerate(_FIGURES.items()):
            value, caption = QLabel("–"), QLabel(name)
            value.setStyleSheet("font-size: 26pt; font-weight: bold")
            for row, label in enumerate((value, caption)):
                label.setAlignment(Qt.AlignmentFlag.AlignCenter)
                label.setToolTip(tip)
                grid.addWidget(label, row, column)
            self.figures[name] = value
        self.counts = QLabel()
        self.counts.setWordWrap(True)
        self.counts.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.counts.setTextFormat(Qt.TextFormat.RichText)
        self.counts.setToolTip("The colours are those of the contours in the image.")
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self._grid)
        whole.addWidget(self.counts)
        self.hide()

    def show_counts(self, counts: Counts) -> None:
        """Show what was found, missed and made up."""
        values = {"recall": counts.recall, "precision": counts.precision, "F1": counts.f1}
        for name, value in values.items():
            self.figures[name].setText("–" if math.isnan(value) else f"{value:.2f}")
        wrong = counts.misshapen + counts.merged + counts.split
        parts = [
            (COLOURS["found"], f"{counts.found} of {counts.truth} found"),
            (COLOURS["missed"], f"{counts.missed} missed"),
            (COLOURS["wrong shape"], f"{wrong} wrong shape, merged or split"),
            (COLOURS["hallucinated"], f"{counts.hallucinated} hallucinated"),
        ]
        self._show(parts, True)

    def show_number(self, believed: int, unsure: int) -> None:
        """Show how many nuclei there are where none are known to be real."""
        parts = [(NUCLEUS, f"{believed} nuclei")]
        if unsure:
            parts.append((UNSURE, f"{unsure} below the confidence"))
        self._show(parts, False)

    def _show(self, parts: list[tuple[str, str]], figures: bool) -> None:
        dots = (
            f'<span style="color:{c}">⬤</span>&nbsp;{t.replace(" ", "&nbsp;")}' for c, t in parts
        )
        self.counts.setText(" &nbsp; ".join(dots))
        self._grid.setVisible(figures)
        self.show()
