"""Small things that every form of the panels is made of."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QLabel, QSizePolicy, QWidget


def form_layout(parent: QWidget | None = None) -> QFormLayout:
    """Return a form whose fields take the width that there is."""
    layout = QFormLayout() if parent is None else QFormLayout(parent)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
    layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
    return layout


def words(text: str = "", tip: str = "") -> QLabel:
    """Return a label whose text is wrapped and can be copied."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setToolTip(tip)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
    return label


def figures(values: Any, digits: int = 4) -> str:
    """Return numbers as people write sizes: 48 × 192 × 192."""
    return " × ".join(f"{v:.{digits}g}" if isinstance(v, float) else str(v) for v in values)


def byte_size(count: float) -> str:
    """Return bytes as people say them: 3.4 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def place(device: str) -> str:
    """Return where a job was computed, in words: "cuda:0" is an NVIDIA graphics card."""
    kinds = {"cpu": "the processor", "cuda": "the NVIDIA graphics card", "mps": "the Apple GPU"}
    return kinds.get(device.partition(":")[0], device)


def tab_order(*widgets: QWidget) -> None:
    """Let the tab key go through widgets in this order."""
    for first, second in pairwise(widgets):
        QWidget.setTabOrder(first, second)
