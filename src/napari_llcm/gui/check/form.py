"""The part of the Check panel that says what is compared, and how nuclei are found."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFormLayout, QGroupBox, QWidget

from ...nuclei.options import CheckOptions
from ...nuclei.segmenting import CELLPOSE, CLASSICAL
from ...volumes.flat import IN_WORDS
from ..config_form import add_rows, field_widget, set_values
from ..layers.axes_row import AxesRow
from ..layers.combo import LayerCombo
from ..layers.conversion import KEY
from ..layers.planes import is_plane
from ..settings import preferences, recall, remember

_FORM = "check"
KINDS = ("Image", "Labels")  # a stain, or its nuclei
_SEGMENTERS = {CELLPOSE: "Cellpose", CLASSICAL: "threshold and watershed"}

_COMPARED = (
    ("nuclei, one by one", "nuclei", "Which nuclei a stain shows, misses or makes up."),
    ("images, voxel by voxel", "restoration", "How near finer slices come to thin ones."),
)
# name and tip of each layer, where nuclei are compared and where images are
_STAIN = (
    ("Virtual", "The virtual DAPI that shall be checked, or labels of its nuclei."),
    ("Restored", "The finer slices that a model made."),
)
_TRUTH = (
    (
        "Real",
        "The real DAPI of the same field, or labels of its nuclei: a stack, or one plane, which is "
        "compared with a projection. Without one, the nuclei of the virtual stain are shown by "
        "their confidence.",
    ),
    ("Thin truth", "The same field, taken in slices as thin as the restored ones."),
)
_SOURCE = (
    ("Label-free", "The label-free stack, which is shown in the exported figure."),
    (
        "Thick slices",
        "What was restored: its interpolation is compared too, as the least that a model has to "
        "beat.",
    ),
)


class CheckForm(QGroupBox):
    """Layers and settings of a check.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose layers.
    parent : QWidget, optional
        The panel.
    """

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__("What to compare", parent)
        self.compare = QComboBox()
        for text, kind, tip in _COMPARED:
            self.compare.addItem(text, kind)
            self.compare.setItemData(self.compare.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.compare.setToolTip(
            "Chosen by what the first layer is: a virtual stain is checked by its nuclei, "
            "slices that a model made finer by how near they come to real ones."
        )
        self.stain = LayerCombo(viewer, kinds=KINDS, prefer="virtual stain predicted")
        self.truth = LayerCombo(
            viewer,
            kinds=KINDS,
            none="none: show the nuclei of the virtual one",
            prefer="real thin dapi hoechst truth nuclei",
            avoid="virtual",
        )
        self.qpi = LayerCombo(viewer, none="none", prefer="qpi phase label-free thick")
        self.axes_row = AxesRow(viewer)
        for combo in (self.stain, self.truth, self.qpi):
            combo.chosen.connect(self._ask_for_axes)
            combo.altered.connect(self._ask_for_axes)
        self.axes_row.given.connect(self._ask_for_axes)
        made = [
            field_widget(CheckOptions, "segmenter", _SEGMENTERS),
            field_widget(CheckOptions, "diameter", annotation=float, min=0, step=0.5, value=0.0),
            field_widget(CheckOptions, "iou", step=0.05),
            field_widget(CheckOptions, "projection", IN_WORDS),
        ]
        self._fields = {widget.name: widget for widget in made}
        self.segmenter, self.diameter, self.iou, self.projection = (w.native for w in made)
        self.diameter.setSpecialValueText("estimated")
        form = QFormLayout(self)
        form.addRow("Compare", self.compare)
        form.addRow("Virtual", self.stain)
        form.addRow("Real", self.truth)
        form.addRow("Label-free", self.qpi)
        form.addRow(self.axes_row)
        add_rows(form, *made)
        self._rows = form
        self.stain.chosen.connect(self._judge)
        self.compare.currentIndexChanged.connect(self._show_rows)
        self._judge()
        self._show_rows()
        self._ask_for_axes()
        set_values(recall(_FORM), *made)

    @property
    def of_images(self) -> bool:
        """Whether images are compared voxel by voxel, not their nuclei."""
        return bool(self.compare.currentData() == "restoration")

    def _judge(self) -> None:
        """Compare by what the first layer says that it is judged by."""
        layer = self.stain.layer
        told = {} if layer is None else layer.metadata.get(KEY, {})
        found = self.compare.findData(told.get("judge", "nuclei"))
        self.compare.setCurrentIndex(max(found, 0))

    def _show_rows(self) -> None:
        """Call the layers what they are, and ask for what the comparison needs."""
        images = self.of_images
        for combo, names in ((self.stain, _STAIN), (self.truth, _TRUTH), (self.qpi, _SOURCE)):
            name, tip = names[images]
            self._rows.labelForField(combo).setText(name)
            combo.setToolTip(tip)
        for widget in (self.segmenter, self.diameter, self.iou):
            self._rows.setRowVisible(widget, not images)
        self._ask_for_axes()

    def _ask_for_axes(self) -> None:
        self.axes_row.ask_for(self.stain.layer, self.truth.layer, self.qpi.layer)
        label = self._rows.labelForField(self.projection)
        for widget in (self.projection, label):  # of use beside a real stain of one plane only
            widget.setVisible(is_plane(self.truth.layer) and not self.of_images)

    def settings(self) -> dict[str, Any]:
        """Return how nuclei are found, as `find_nuclei` takes it."""
        chosen, said = self.segmenter.currentData(), preferences()
        return {
            "segmenter": chosen,
            "weights": (said.cellpose_weights or None) if chosen == CELLPOSE else None,
            "diameter": self.diameter.value() or None,
            "device": said.device,
        }

    def matching(self) -> dict[str, Any]:
        """Return how the nuclei of two images are compared, as `compare_nuclei` takes it."""
        return {"iou": self.iou.value(), "projection": self.projection.currentData()}

    def remember(self) -> None:
        """Keep what is set for the next session."""
        remember(_FORM, **{name: widget.value for name, widget in self._fields.items()})


def is_labels(layer: Any) -> bool:
    """Return whether a layer holds nuclei already, not a stain."""
    return type(layer).__name__ == "Labels"
