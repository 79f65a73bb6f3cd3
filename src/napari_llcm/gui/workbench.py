"""The four panels as tabs of one dock widget, in the order of the work."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QFrame, QScrollArea, QTabWidget, QVBoxLayout, QWidget

from .session import session_of

if TYPE_CHECKING:
    import napari

PANELS = {
    "Load": ("load.panel:LoadPanel", "Open stacks, give their voxel size, check that pairs fit."),
    "Stain": ("stain.panel:StainPanel", "Paint the DAPI channel of a label-free stack."),
    "Check": ("check.panel:CheckPanel", "Which nuclei were found, missed, made up?"),
    "Train": ("train.panel:TrainPanel", "Teach a model your own microscope and sample."),
}


class Workbench(QWidget):
    """Load, Stain, Check and Train.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer whose layers the panels work on.

    Attributes
    ----------
    tabs : QTabWidget
        A panel is made when its tab is first looked at.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._session = session_of(napari_viewer)
        self._panels: dict[str, Any] = {}
        self.tabs = QTabWidget()
        for name, (_, tip) in PANELS.items():
            page = QScrollArea()
            page.setWidgetResizable(True)
            page.setFrameShape(QFrame.Shape.NoFrame)
            index = self.tabs.addTab(page, name)
            self.tabs.setTabToolTip(index, tip)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)
        self.tabs.currentChanged.connect(self._fill)
        self._fill(0)

    def sizeHint(self) -> QSize:
        """Return a width at which no row of the panels is cut."""
        return QSize(400, 640)

    def show_panel(self, name: str) -> Any:
        """Bring a tab to the front and return its panel.

        Parameters
        ----------
        name : str
            "Load", "Stain", "Check" or "Train".
        """
        self.tabs.setCurrentIndex(list(PANELS).index(name))
        self._fill(self.tabs.currentIndex())
        return self._panels[name]

    def _fill(self, index: int) -> None:
        name = list(PANELS)[index]
        if name not in self._panels:
            module, made_by = PANELS[name][0].split(":")
            panel = getattr(import_module(f".{module}", __package__), made_by)(self._viewer)
            self._panels[name] = panel
            self.tabs.widget(index).setWidget(panel)
