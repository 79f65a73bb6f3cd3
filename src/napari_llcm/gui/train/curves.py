"""Live curves of a training: the loss of both phases, and what validation says."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ...events import Event
from ...models.methods import PHASES
from ...training.history import ERROR, History

_MARK = "#009E73"  # of Okabe & Ito (2008), as the phases' own colours
_FIGURES = {  # what is offered; the first that is known is shown first
    "f1": "F1 of the nuclei",
    "recall": "recall of the nuclei",
    "precision": "precision of the nuclei",
    ERROR: "error to the real one, in {unit}",
    "pearson": "correlation with the real one",
    "psnr": "likeness to the real one (PSNR, dB)",
    "spread": "contrast, the real one's is 1",
    "vae_pearson": "phase 1: correlation",
    "vae_psnr": "phase 1: likeness (PSNR, dB)",
    "vae_spread": "phase 1: contrast",
}
_SHARES = ("f1", "recall", "precision", "pearson")  # 0 to 1
_PERIOD = 200  # ms: bursts of events are drawn once


class Curves(QWidget):
    """Losses, on a logarithmic scale, and below them one validation figure.

    Parameters
    ----------
    parent : QWidget, optional
        Its panel.

    Attributes
    ----------
    history : History
        What is drawn.
    figure : QComboBox
        Which validation figure is drawn.
    reference : str
        Name of the model that the training has to beat.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.history, self.reference = History(), ""
        self.setToolTip(
            "The loss says how far the model still is from its goal: lower is better, and its fall "
            "flattens out. Thin: as measured; thick: smoothed. Drag to move, scroll to zoom, "
            "right-click to see all."
        )
        self.figure = QComboBox()
        self.figure.setToolTip("Which figure of the held-out volumes the lower curve shows.")
        self.figure.currentIndexChanged.connect(self._draw)
        self._chosen = QWidget()
        row = QHBoxLayout(self._chosen)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("Held-out volumes:"))
        row.addWidget(self.figure, 1)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._legend = QLabel()
        self._legend.setToolTip(self.toolTip())
        self._column.addWidget(self._legend)
        self._column.addWidget(self._chosen)
        self._plots: list[Any] = []
        self._view: Any = None
        self._lines: dict[str, Any] = {}
        self._text = "gray"
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PERIOD)
        self._timer.timeout.connect(self._draw)
        self.clear()

    def clear(self) -> None:
        """Begin with an empty plot."""
        self.history = History()
        self.figure.clear()
        for name, line in self._lines.items():
            if name != "reference":
                line.clear()
        self.hide()

    def see(self, event: Event) -> None:
        """Take in an event and, before long, draw it."""
        if self.history.see(event) and not self._timer.isActive():
            self._timer.start()

    def set_text_colour(self, colour: str) -> None:
        """Set the colour of axes and labels, which depends on napari's theme."""
        self._text = colour
        for plot in self._plots:
            plot.titleLabel.setAttr("color", colour)
            plot.setTitle(plot.titleLabel.text)
            for side in ("left", "bottom"):
                plot.getAxis(side).setTextPen(colour)
                plot.getAxis(side).setPen(colour)

    def _make(self) -> None:
        # imported with the first curve, so that the panel opens without it
        import pyqtgraph as pg

        self._view = pg.GraphicsLayoutWidget()
        self._view.setBackground(None)
        self._view.setMinimumHeight(250)
        self._view.viewport().setAutoFillBackground(False)
        whole = _whole_steps()
        loss = self._view.addPlot(row=0, col=0, axisItems={"bottom": whole()})
        loss.setLogMode(y=True)
        loss.setTitle("How far from its goal (loss)")
        below = self._view.addPlot(row=1, col=0, axisItems={"bottom": whole()})
        below.setLabel("bottom", "steps of training")
        below.setXLink(loss)
        self._view.ci.layout.setRowStretchFactor(0, 3)
        self._view.ci.layout.setRowStretchFactor(1, 2)
        for plot in (loss, below):
            plot.showGrid(x=True, y=True, alpha=0.2)
            plot.getAxis("left").setWidth(52)  # so that both lie below each other
            plot.setMenuEnabled(False)
        self._plots = [loss, below]
        self._lines["reference"] = pg.InfiniteLine(
            angle=0, pen=pg.mkPen(_MARK, width=1.5, style=Qt.PenStyle.DashLine)
        )
        below.addItem(self._lines["reference"], ignoreBounds=False)
        self._lines["validation"] = below.plot(
            [], [], pen=pg.mkPen(_MARK, width=2), symbol="o", symbolSize=7,
            symbolBrush=_MARK, symbolPen=None,
        )  # fmt: skip
        self._column.insertWidget(1, self._view)
        self.set_text_colour(self._text)

    def _line(self, phase: str) -> tuple[Any, Any]:
        import pyqtgraph as pg

        if phase not in self._lines:
            colour = pg.mkColor(PHASES[phase].colour)
            faint = pg.mkColor(colour)
            faint.setAlpha(90)
            plot = self._plots[0]
            self._lines[f"{phase} raw"] = plot.plot([], [], pen=pg.mkPen(faint, width=1))
            self._lines[phase] = plot.plot([], [], pen=pg.mkPen(colour, width=2.5))
            # not pyqtgraph's legend, which would lie on the curves
            names = [p for p in self.history.losses if p in self._lines]
            self._legend.setText(" &nbsp; ".join(_entry(p) for p in names))
        return self._lines[f"{phase} raw"], self._lines[phase]

    def _draw(self) -> None:
        history = self.history
        if not history.losses:
            return
        if self._view is None:
            self._make()
        for phase, curve in history.losses.items():
            raw, smooth = self._line(phase)
            before = history.offset(phase)
            steps = [before + s for s in curve.steps]
            raw.setData(steps, curve.values)
            smooth.setData(steps, curve.smoothed())
        self._offer_figures()
        name = self.figure.currentData()
        if name in history.validation:
            curve = history.validation[name]
            before = history.offset(history.phase_of[name])
            self._lines["validation"].setData([before + s for s in curve.steps], curve.values)
            self._compare(name)
        self._chosen.setVisible(bool(history.validation))
        self._plots[1].setVisible(bool(history.validation))
        self.show()

    def _compare(self, name: str) -> None:
        """Draw what the model reaches that the training has to beat."""
        level = self.history.reference.get(name)
        if name in _SHARES:
            self._plots[1].setYRange(0, 1)
        else:
            self._plots[1].enableAutoRange(axis="y")
        line = self._lines["reference"]
        line.setVisible(level is not None)
        title = _title(name)
        if level is not None:
            line.setValue(level)
            title += f"; dashed: {self.reference or 'the model to beat'}"
        self._plots[1].setTitle(title, color=self._text)

    def _offer_figures(self) -> None:
        known = {self.figure.itemData(i) for i in range(self.figure.count())}
        told = [n for n in self.history.validation if _kind(n) in _FIGURES]
        if known.issuperset(told):
            return
        names = sorted(told, key=_rank)
        # the second phase's figures take over when they come, unless something else was chosen
        kept = self.figure.currentData() if not _better(names[0], known) else names[0]
        self.figure.blockSignals(True)
        self.figure.clear()
        for name in names:
            self.figure.addItem(_title(name), name)
        self.figure.setCurrentIndex(max(self.figure.findData(kept), 0))
        self.figure.blockSignals(False)


def _entry(phase: str) -> str:
    return f'<span style="color:{PHASES[phase].colour}">━</span> {PHASES[phase].short}'


def _whole_steps() -> Any:
    """Return an axis whose ticks are whole numbers: there is no half step."""
    import pyqtgraph as pg

    class WholeSteps(pg.AxisItem):
        def __init__(self) -> None:
            super().__init__("bottom")
            self.enableAutoSIPrefix(False)

        def tickSpacing(self, low: float, high: float, size: float) -> Any:
            levels = [(s, o) for s, o in super().tickSpacing(low, high, size) if s >= 1]
            return levels or [(1, 0)]

    return WholeSteps


def _kind(name: str) -> str:
    """Return a figure's key in `_FIGURES`; an error has its unit in its name."""
    return ERROR if name.startswith(ERROR) else name


def _title(name: str) -> str:
    return _FIGURES[_kind(name)].format(unit=name.removeprefix(ERROR))


def _rank(name: str) -> int:
    return list(_FIGURES).index(_kind(name))


def _better(name: str, known: set[str]) -> bool:
    return all(_rank(name) < _rank(k) for k in known)
