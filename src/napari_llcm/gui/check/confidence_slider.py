"""The slider that says from which confidence on a virtual nucleus is believed."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QWidget

from ...nuclei.table import Row
from ...nuclei.thresholding import confidences

_STEPS = 100
_UNKNOWN = (
    "The confidence of these nuclei is not known: this model, or these labels, give none. All of "
    "them are shown."
)
_KNOWN = (
    "Believe only virtual nuclei of at least this confidence. To the right fewer are made up, and "
    "more are missed; the figures and the image follow at once."
)


class ConfidenceBar(QWidget):
    """A slider from 0 to 1; disabled, with the reason, where no confidence is known.

    Parameters
    ----------
    parent : QWidget, optional
        The panel.

    Attributes
    ----------
    changed : Signal(float)
        The least confidence that is believed.
    """

    changed = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self._value = QLabel()
        self._value.setMinimumWidth(32)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("Confidence at least"))
        row.addWidget(self.slider, 1)
        row.addWidget(self._value)
        self.slider.valueChanged.connect(self._tell)
        self.offer([])

    @property
    def least(self) -> float:
        """The least confidence that is believed; 0 where none is known."""
        return self.slider.value() / _STEPS if self.slider.isEnabled() else 0.0

    def offer(self, rows: Sequence[Row]) -> None:
        """Make the slider usable if the rows have confidences."""
        known = bool(confidences(rows))
        if not known:
            self.slider.blockSignals(True)
            self.slider.setValue(0)
            self.slider.blockSignals(False)
        self.slider.setEnabled(known)
        for part in (self, self.slider):
            part.setToolTip(_KNOWN if known else _UNKNOWN)
        self._show()

    def _tell(self) -> None:
        self._show()
        self.changed.emit(self.least)

    def _show(self) -> None:
        self._value.setText(f"{self.least:.2f}" if self.slider.isEnabled() else "–")
