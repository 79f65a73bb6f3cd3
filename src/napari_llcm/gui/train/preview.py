"""What the model makes of a held-out patch while it trains."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QPixmap, QResizeEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget


class PreviewView(QWidget):
    """Label-free, real and virtual side by side, as the run folder's picture shows them.

    Parameters
    ----------
    parent : QWidget, optional
        Its panel.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._picture = QPixmap()
        self.title = QLabel()
        self.image = QLabel()
        self.image.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.image.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.image.setToolTip(
            "The middle plane of a volume: label-free stack, real DAPI, and what the model "
            "paints. In phase 1 it copies the real DAPI; in phase 2 it sees the label-free "
            "stack alone."
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.title)
        column.addWidget(self.image)
        self.hide()

    def show_file(self, path: Path, title: str) -> None:
        """Show a picture; one that cannot be read, because it was moved, is left out."""
        picture = QPixmap(str(path))
        if picture.isNull():
            return
        self._picture = picture
        self.title.setText(title)
        self.show()
        self._fit()

    @property
    def shown(self) -> bool:
        """Whether there is a picture."""
        return not self._picture.isNull()

    def clear(self) -> None:
        """Show nothing."""
        self._picture = QPixmap()
        self.hide()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the picture as wide as the panel."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if self._picture.isNull() or self.width() < 10:
            return
        scaled = self._picture.scaled(
            QSize(self.width(), 10_000),
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        self.image.setPixmap(scaled)
        self.image.setFixedHeight(scaled.height())
