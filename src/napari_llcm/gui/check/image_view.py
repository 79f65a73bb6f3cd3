"""How near a restored stack comes to the thin one: figures, beside interpolation, and a profile."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ...events import Finished
from ..form import words
from ..jobs.runner import Runner
from ..layers.stack import LayerStack
from .image_comparing import BETWEEN, RESTORED, ImageComparison
from .image_job import comparing_images, image_sides
from .profile_plot import ProfilePlot

_FIGURES = {
    "psnr": ("PSNR (dB)", "Likeness of all voxels, in decibels: higher is better; 3 dB more is "
             "half the squared error."),
    "ssim": ("SSIM", "Likeness of structure: 1 is the same, 0 nothing in common."),
    "mae": ("error", "Mean absolute difference to the thin slices: 0 is the same."),
}  # fmt: skip
_NAMES = {RESTORED: "this\nresult", BETWEEN: "inter-\npolated"}
_TIPS = {
    RESTORED: "What the model made of the thick slices.",
    BETWEEN: "Plain cubic interpolation of the thick slices: the least that a model has to beat.",
}
_LARGE, _SMALL = "font-size: 16pt; font-weight: bold", ""


class ImageView(QWidget):
    """The result of a comparison of images.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        In which a line for the profile is drawn.
    parent : QWidget, optional
        The panel.

    Attributes
    ----------
    nuclei_wanted : Signal()
        The same layers shall be compared nucleus by nucleus.
    figures : dict of (str, str) to QLabel
        By what was compared ("restored", "interpolated") and figure ("psnr", "ssim", "mae").
    profile : ProfilePlot
        Along a line.
    result : ImageComparison or None
        What is shown.
    """

    nuclei_wanted = Signal()

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.result: ImageComparison | None = None
        self._viewer = viewer
        self._heard: list[Any] = []
        self.caption = words(tip="What the figures are of.")
        self.figures: dict[tuple[str, str], QLabel] = {}
        self._titles: dict[str, QLabel] = {}
        grid = QGridLayout()
        for row, (name, style) in enumerate(((RESTORED, _LARGE), (BETWEEN, _SMALL))):
            told = QLabel(_NAMES[name])
            told.setToolTip(_TIPS[name])
            grid.addWidget(told, row + 1, 0)
            self._titles[name] = told
            for column, (figure, (_, tip)) in enumerate(_FIGURES.items(), 1):
                label = QLabel("–")
                label.setStyleSheet(style)
                label.setToolTip(tip)
                label.setAlignment(Qt.AlignmentFlag.AlignCenter)
                grid.addWidget(label, row + 1, column)
                self.figures[name, figure] = label
        for column, (figure, (title, tip)) in enumerate(_FIGURES.items(), 1):
            label = QLabel(title)
            label.setToolTip(tip)
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            grid.addWidget(label, 0, column)
            self._titles[figure] = label
        self.profile = ProfilePlot(viewer)
        self.nuclei = QPushButton("Compare their nuclei too")
        self.nuclei.setToolTip("Find the nuclei in both, and compare them one by one.")
        self.nuclei.clicked.connect(self.nuclei_wanted)
        column_ = QVBoxLayout(self)
        column_.setContentsMargins(0, 0, 0, 0)
        column_.addWidget(self.caption)
        column_.addLayout(grid)
        column_.addWidget(self.profile)
        column_.addWidget(self.nuclei)
        self.hide()

    def compare(self, runner: Runner, stain: Any, truth: Any, thick: Any) -> None:
        """Compare layers, and show what came of it.

        Parameters
        ----------
        runner : Runner
            Runs the job.
        stain, truth, thick : napari.layers.Image or None
            As for `image_sides`.

        Raises
        ------
        UserError
            As `image_sides`.
        """
        self.clear()
        sides = image_sides(stain, truth, thick, self._viewer)
        layers = [one for one in (stain, truth, thick) if one is not None]

        def compared(event: Finished) -> None:
            """Show the comparison, if it came to one."""
            if event.value is not None:
                self.show_result(sides.stack, event.value, layers)

        runner.start(comparing_images(sides), f"check of {stain.name}", then=compared)

    def show_result(self, stack: LayerStack, result: ImageComparison, layers: list[Any]) -> None:
        """Show figures, and take what the layers hold until one of them changes."""
        self._forget_layers()
        self.result = result
        truth = next(iter(result.stacks.values()))
        stacks = list(result.stacks.values())
        self.caption.setText("\n".join((f"{stacks[1].name} against {truth.name}", *result.notes)))
        self._titles["mae"].setText(f"error ({result.unit})" if result.unit else "error")
        for (name, figure), label in self.figures.items():
            known = result.figures.get(name)
            label.setVisible(known is not None)
            label.setText("–" if known is None else f"{known[figure]:.3g}")
        self._titles[BETWEEN].setVisible(BETWEEN in result.figures)
        self.nuclei.setVisible(result.unit != "HU")
        self.setEnabled(True)
        self.show()
        self.profile.show_of(stack, result)
        for layer in layers:
            for event in (layer.events.data, layer.events.scale, layer.events.translate):
                event.connect(self.outdate)
                self._heard.append(event)

    def outdate(self, *_: Any) -> None:
        """Say that a layer was changed since."""
        text = "⚠ A layer that was compared was changed since: check anew."
        if self.result is not None and text not in self.caption.text():
            self.caption.setText(f"{self.caption.text()}\n{text}")

    def clear(self) -> None:
        """Show nothing."""
        self._forget_layers()
        self.result = None
        self.hide()

    def _forget_layers(self) -> None:
        for event in self._heard:
            event.disconnect(self.outdate)
        self._heard = []
