"""The four panels as tabs of one dock widget, in the order of the work."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QChildEvent, QEvent, QSize
from qtpy.QtWidgets import QDockWidget, QFrame, QScrollArea, QTabWidget, QVBoxLayout, QWidget

from .form import words
from .session import unwrapped

if TYPE_CHECKING:
    import napari
    from qtpy.QtGui import QShowEvent

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
        A panel is made, or fetched from where else it is shown, when its tab is looked at.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer: Any = unwrapped(napari_viewer)
        self._pages: list[_Page] = []
        self.tabs = QTabWidget()
        for name, (_, tip) in PANELS.items():
            scroll = QScrollArea()
            scroll.setWidgetResizable(True)
            scroll.setFrameShape(QFrame.Shape.NoFrame)
            self._pages.append(_Page())
            scroll.setWidget(self._pages[-1])
            index = self.tabs.addTab(scroll, name)
            self.tabs.setTabToolTip(index, tip)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)
        self.tabs.currentChanged.connect(self._fill)
        self.tabs.tabBarClicked.connect(self._fill)
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
        return self._fill(self.tabs.currentIndex())

    def event(self, event: QEvent | None) -> bool:
        """Let go of the panels before the dock is closed: they stay with the viewer."""
        handled = super().event(event)
        if event is not None and (
            (event.type() == QEvent.Type.ParentChange and self.parent() is None)
            or event.type() == QEvent.Type.DeferredDelete
        ):
            for page in self._pages:
                if page.panel is not None:
                    page.panel.keep()
        return handled

    def showEvent(self, event: QShowEvent | None) -> None:
        """Show the panel of the current tab again, if the dock was closed in between."""
        super().showEvent(event)
        self._fill(self.tabs.currentIndex())

    def _fill(self, index: int) -> Any:
        if index < 0:  # a click beside the tabs
            return None
        module, made_by = list(PANELS.values())[index][0].split(":")
        panel = getattr(import_module(f".{module}", __package__), made_by)(self._viewer)
        page = self._pages[index]
        if page.panel is not panel:
            dock = panel.parent()
            page.hold(panel)
            if isinstance(dock, QDockWidget):  # it has shown this panel alone, and is empty now
                self._viewer.window.remove_dock_widget(dock)
        return panel


class _Page(QWidget):
    """A tab: its panel, or a sentence while another dock shows that."""

    def __init__(self) -> None:
        super().__init__()
        self.panel: Any = None
        self._away = words(tip="Each panel is there once.")
        self._away.setText("This panel is in a dock of its own. Click the tab to bring it back.")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._away)

    def hold(self, panel: QWidget) -> None:
        """Show a panel, wherever it was before."""
        self.panel = panel
        self.layout().addWidget(panel)
        panel.show()
        self._away.hide()

    def childEvent(self, event: QChildEvent | None) -> None:
        """Say where the panel is when another dock takes it."""
        super().childEvent(event)
        if event is not None and event.removed() and event.child() is self.panel:
            self.panel = None
            self._away.show()
