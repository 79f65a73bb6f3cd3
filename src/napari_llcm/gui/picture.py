"""A picture as wide as there is room for it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QPixmap, QResizeEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget


class Picture(QLabel):
    """A label that fits its picture to its width, and asks for no width of its own.

    Parameters
    ----------
    parent : QWidget, optional
        The panel.

    Attributes
    ----------
    whole : QPixmap
        What is shown, in its own size.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.whole = QPixmap()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)

    def show_picture(self, picture: QPixmap) -> None:
        """Show a picture in place of the one before."""
        self.whole = picture
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fit the picture to the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if self.whole.isNull() or self.width() < 10:
            return
        scaled = self.whole.scaledToWidth(self.width(), Qt.TransformationMode.SmoothTransformation)
        self.setPixmap(scaled)
        self.setFixedHeight(scaled.height())
