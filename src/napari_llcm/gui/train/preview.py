"""What the model makes of a held-out patch while it trains."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from ...tasks import Task
from ...tasks.registry import STAIN
from ..picture import Picture


class PreviewView(QWidget):
    """Input, real and virtual output side by side, as the run folder's picture shows them.

    Parameters
    ----------
    parent : QWidget, optional
        Its panel.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QLabel()
        self.image = Picture()
        self.tell(STAIN)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.title)
        column.addWidget(self.image)
        self.hide()

    def tell(self, task: Task) -> None:
        """Say what the three pictures are, as the task calls its stacks."""
        seen, real = task.inputs[0].title, task.outputs[0].title
        self.image.setToolTip(
            f"The middle plane of a volume: {seen}, real {real}, and what the model makes. In "
            f"phase 1 it copies the real {real}; in phase 2 it sees the {seen} alone."
        )

    def show_file(self, path: Path, title: str) -> None:
        """Show a picture; one that cannot be read, because it was moved, is left out."""
        picture = QPixmap(str(path))
        if picture.isNull():
            return
        self.title.setText(title)
        self.show()
        self.image.show_picture(picture)

    @property
    def shown(self) -> bool:
        """Whether there is a picture."""
        return not self.image.whole.isNull()

    def clear(self) -> None:
        """Show nothing."""
        self.image.show_picture(QPixmap())
        self.hide()
