"""The profile across an edge or a thin structure that the user draws a line over."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ...evaluation.profile import Profile, profile_of
from ..form import words
from ..layers.combo import LayerCombo
from ..layers.stack import LayerStack
from ..layers.viewport import to_data, to_world
from ..theme import text_colour
from .image_comparing import BETWEEN, RESTORED, TRUTH, ImageComparison

LINES = "profile (check)"
# Okabe & Ito (2008)
_COLOURS = {TRUTH: "#E69F00", RESTORED: "#56B4E9", BETWEEN: "#999999"}
_KINDS = {"peak": "Width at half height", "edge": "Edge, 10 to 90 %"}
_SHAPES = ("line", "path")


class ProfilePlot(QWidget):
    """Asks for a line, and draws the intensities along it in all stacks.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        In which the line is drawn.
    parent : QWidget, optional
        The panel.

    Attributes
    ----------
    lines : LayerCombo
        The Shapes layer of the line: its selected one, or the last.
    draw : QPushButton
        Adds such a layer, ready to be drawn in.
    widths : QLabel
        How wide what the line crosses is, in each stack.
    profile : Profile or None
        What is drawn.
    """

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._plot: Any = None
        self._compared: tuple[LayerStack, ImageComparison] | None = None
        self._heard: Any = None
        self.profile: Profile | None = None
        self.lines = LayerCombo(viewer, kinds=("Shapes",), none="no line yet", prefer="profile")
        self.lines.setToolTip("The Shapes layer with a line across an edge: the last one counts.")
        self.lines.setMinimumContentsLength(6)
        self.draw = QPushButton("Draw a line")
        self.draw.setToolTip(
            "Drag a line across an edge or a thin structure in the image, in any view: along z "
            "it shows what the finer slices are worth."
        )
        self.widths = words(tip="The smaller, the sharper. The truth tells how sharp it can be.")
        row = QHBoxLayout()
        row.addWidget(self.lines, 1)
        row.addWidget(self.draw)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addLayout(row)
        self._column.addWidget(self.widths)
        self.draw.clicked.connect(self.ask)
        self.lines.chosen.connect(self._listen)

    def show_of(self, stack: LayerStack, comparison: ImageComparison | None) -> None:
        """Draw from these stacks from now on; None for nothing."""
        self._compared = None if comparison is None else (stack, comparison)
        self.refresh()

    def ask(self) -> None:
        """Let the user draw a line on the restored stack."""
        if self._compared is None:
            return
        stack = self._compared[0]
        layer = self.lines.layer
        if layer is None:
            layer = self._viewer.add_shapes(
                ndim=len(stack.axes), name=LINES, edge_color="yellow", edge_width=0.6,
                **stack.place(),
            )  # fmt: skip
            self.lines.choose(layer)
        self._viewer.layers.selection.active = layer
        layer.mode = "add_line"

    def refresh(self, *_: Any) -> None:
        """Draw the profile along the line that is there now."""
        ends = self._ends()
        if ends is None or self._compared is None:
            self.profile = None
            self.widths.setText("Draw a line across an edge or a thin structure to compare there.")
            if self._plot is not None:
                self._plot.hide()
            return
        comparison = self._compared[1]
        self.profile = profile_of(comparison.stacks, *ends)
        self._show(self.profile, comparison)

    def _ends(self) -> tuple[list[float], list[float]] | None:
        """Return the ends of the line, in voxels of the compared stacks."""
        layer = self.lines.layer
        if self._compared is None or layer is None or not len(layer.data):
            return None
        stack, comparison = self._compared
        kinds = list(layer.shape_type)
        known = [i for i, kind in enumerate(kinds) if kind in _SHAPES]
        chosen = [i for i in known if i in layer.selected_data] or known
        if not chosen:
            return None
        drawn = np.asarray(layer.data[chosen[-1]])
        ends = []
        for point in (drawn[0], drawn[-1]):
            place = to_data(self._viewer, stack.layer, to_world(self._viewer, layer, point))
            ends.append(np.subtract(stack.voxel_at(place.tolist()), comparison.first).tolist())
        return (ends[0], ends[1]) if ends[0] != ends[1] else None

    def _show(self, profile: Profile, comparison: ImageComparison) -> None:
        import pyqtgraph as pg

        if self._plot is None:
            self._plot = pg.PlotWidget()
            self._plot.setBackground(None)
            self._plot.setFixedHeight(180)
            self._plot.setMenuEnabled(False)
            self._plot.showGrid(x=True, y=True, alpha=0.2)
            self._column.addWidget(self._plot)
        colour = text_colour(self._viewer)
        unit = "µm" if next(iter(comparison.stacks.values())).spacing else "voxels"
        self._plot.clear()
        self._plot.setLabel("bottom", f"along the line ({unit})", color=colour)
        self._plot.setLabel("left", comparison.unit or "intensity", color=colour)
        for side in ("left", "bottom"):
            self._plot.getAxis(side).enableAutoSIPrefix(False)
            self._plot.getAxis(side).setTextPen(colour)
        told = []
        for name, values in profile.values.items():
            self._plot.plot(profile.at, values, pen=pg.mkPen(_COLOURS[name], width=2))
            width = profile.widths[name]
            text = (
                "cannot be told"
                if math.isnan(width)
                else f"{width:.{0 if width >= 100 else 2}f} {unit}"
            )
            told.append(f'<span style="color:{_COLOURS[name]}">━</span> {name}: {text}')
        self.widths.setText(f"{_KINDS[profile.kind]}<br>" + "<br>".join(told))
        self._plot.show()

    def _listen(self) -> None:
        """Hear of what is drawn in the chosen layer, and no longer in the one before."""
        if self._heard is not None:
            self._heard.events.data.disconnect(self.refresh)
        self._heard = self.lines.layer
        if self._heard is not None:
            self._heard.events.data.connect(self.refresh)
        self.refresh()
