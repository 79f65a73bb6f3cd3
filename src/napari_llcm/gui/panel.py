"""What every panel has: the viewer itself, its session, and what runs its jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QWidget

from .jobs.runner import JobRunner, Runner
from .session import session_of, unwrapped

if TYPE_CHECKING:
    import napari

WORKBENCH = ("napari-llcm", "Virtual staining (LLCM)")  # as the manifest names it


def show_panel(viewer: Any, name: str) -> Any:
    """Bring a panel to the front, in the dock that has all of them, and return it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose panel.
    name : str
        "Load", "Stain", "Check" or "Train".
    """
    _, bench = viewer.window.add_plugin_dock_widget(*WORKBENCH)
    return bench.show_panel(name)


class _OneForEachViewer(type(QWidget)):  # type: ignore[misc]  # a Qt binding's own metaclass
    """Makes a panel once for each viewer, and returns it whenever it is asked for again."""

    def __call__(cls, napari_viewer: Any, runner: Runner | None = None) -> Any:
        """Return the viewer's panel of this class."""
        panels = session_of(napari_viewer).panels
        if cls not in panels or not isalive(panels[cls]):
            panels[cls] = super().__call__(napari_viewer, runner)
        return panels[cls]


class Panel(QWidget, metaclass=_OneForEachViewer):
    """A panel; each viewer has one of each class, which outlives the docks that show it.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer, or the proxy of it that napari hands to plugins.
    runner : Runner, optional
        What runs the jobs; a thread by default.

    Attributes
    ----------
    runner : Runner
        What runs the jobs.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer, runner: Runner | None = None) -> None:
        self._viewer: Any = unwrapped(napari_viewer)
        self._session = session_of(napari_viewer)
        super().__init__(self._session.store)
        self.runner: Runner = runner or JobRunner(self)

    @property
    def busy(self) -> bool:
        """Whether a job of this panel is going on."""
        return self.runner.running

    def event(self, event: QEvent | None) -> bool:
        """Stay, with everything that is shown and running, when a dock is closed."""
        handled = super().event(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            QTimer.singleShot(0, self.keep)
        return handled

    def keep(self) -> None:
        """Leave the dock, or whatever shows the panel, and say so if a job goes on unseen."""
        if not isalive(self) or not isalive(self._session):
            return
        self.setParent(self._session.store)
        if self.busy:
            self._viewer.status = "The job goes on: open the panel again (menu Plugins) to see it."
