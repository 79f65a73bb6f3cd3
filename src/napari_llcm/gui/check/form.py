"""The part of the Check panel that says what is compared, and how nuclei are found."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QGroupBox, QWidget

from ...nuclei.segmenting import CELLPOSE, CLASSICAL
from ..layers.axes_row import AxesRow
from ..layers.combo import LayerCombo, narrow
from ..settings import preferences, recall, remember

_FORM = "check"
KINDS = ("Image", "Labels")  # a stain, or its nuclei
_SEGMENTERS = {CELLPOSE: "Cellpose", CLASSICAL: "threshold and watershed"}


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
        self.stain = LayerCombo(viewer, kinds=KINDS, prefer="virtual stain predicted")
        self.stain.setToolTip("The virtual DAPI that shall be checked, or labels of its nuclei.")
        self.truth = LayerCombo(
            viewer,
            kinds=KINDS,
            none="none: show the nuclei of the virtual one",
            prefer="real dapi hoechst truth nuclei",
            avoid="virtual",
        )
        self.truth.setToolTip(
            "The real DAPI of the same field, or labels of its nuclei. Without one, the nuclei of "
            "the virtual stain are shown by their confidence."
        )
        self.qpi = LayerCombo(viewer, none="none", prefer="qpi phase label-free")
        self.qpi.setToolTip("The label-free stack, which is shown in the exported figure.")
        self.axes_row = AxesRow(viewer)
        for combo in (self.stain, self.truth, self.qpi):
            combo.chosen.connect(self._ask_for_axes)
            combo.altered.connect(self._ask_for_axes)
        self.axes_row.given.connect(self._ask_for_axes)
        self.segmenter = QComboBox()
        for name, text in _SEGMENTERS.items():
            self.segmenter.addItem(text, name)
        self.segmenter.setToolTip(
            "How nuclei are found, in both images by the same settings. Cellpose separates nuclei "
            "that touch; threshold and watershed is quicker and coarser."
        )
        self.diameter = QDoubleSpinBox()
        self.diameter.setRange(0, 1000)
        self.diameter.setDecimals(1)
        self.diameter.setSpecialValueText("estimated")
        self.diameter.setToolTip(
            "How wide a typical nucleus is, in µm (in pixels where the voxel size is unknown). "
            "Estimated from the image if 0."
        )
        self.iou = QDoubleSpinBox()
        self.iou.setRange(0.05, 1.0)
        self.iou.setSingleStep(0.05)
        self.iou.setValue(0.5)
        self.iou.setToolTip(
            "How much a virtual nucleus must overlap with the real one to count as found: "
            "intersection over union, 0.5 by custom."
        )
        narrow(self.segmenter)
        form = QFormLayout(self)
        form.addRow("Virtual", self.stain)
        form.addRow("Real", self.truth)
        form.addRow("Label-free", self.qpi)
        form.addRow(self.axes_row)
        form.addRow("Find nuclei by", self.segmenter)
        form.addRow("Nuclei are wide", self.diameter)
        form.addRow("Least overlap", self.iou)
        self._ask_for_axes()
        kept = recall(_FORM)
        self.segmenter.setCurrentIndex(max(self.segmenter.findData(kept.get("segmenter")), 0))
        self.diameter.setValue(float(kept.get("diameter") or 0))
        self.iou.setValue(float(kept.get("iou") or 0.5))

    def _ask_for_axes(self) -> None:
        self.axes_row.ask_for(self.stain.layer, self.truth.layer, self.qpi.layer)

    def settings(self) -> dict[str, Any]:
        """Return how nuclei are found, as `find_nuclei` takes it."""
        chosen, said = self.segmenter.currentData(), preferences()
        return {
            "segmenter": chosen,
            "weights": (said.cellpose_weights or None) if chosen == CELLPOSE else None,
            "diameter": self.diameter.value() or None,
            "device": said.device,
        }

    def remember(self) -> None:
        """Keep what is set for the next session."""
        remember(
            _FORM,
            segmenter=self.segmenter.currentData(),
            diameter=self.diameter.value(),
            iou=self.iou.value(),
        )
