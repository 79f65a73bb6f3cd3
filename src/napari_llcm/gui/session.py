"""What belongs to one viewer: its panels, and what they tell each other."""

from __future__ import annotations

from typing import Any, cast

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget


class Session(QObject):
    """Panels of one viewer, and signals between them; it lives as long as the viewer's window.

    Parameters
    ----------
    window : QMainWindow
        The window of the viewer.

    Attributes
    ----------
    model_added : Signal(str)
        A model was trained or added: its name or path, if it is to be chosen.
    stained : Signal(object)
        The voxels of a virtual DAPI layer have changed.
    latest_model : str
        The model that was added last and is to be chosen; empty if none was.
    panels : dict of type to QWidget
        The panel of each kind, once it was made. It is kept when its dock is closed, with its
        form, its results and the jobs that it runs.
    store : QWidget
        Hidden; where a panel is while no dock shows it.
    """

    model_added = Signal(str)
    stained = Signal(object)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.latest_model = ""
        self.panels: dict[type, Any] = {}
        self.store = QWidget(window)
        self.store.hide()

    @property
    def window(self) -> QWidget:
        """The window of the viewer."""
        return cast("QWidget", self.parent())

    def add_model(self, model: str, choose: bool = True) -> None:
        """Tell every panel, now or when it opens, of a new model, and whether to choose it."""
        if choose:
            self.latest_model = model
        self.model_added.emit(model if choose else "")


def unwrapped(viewer: Any) -> Any:
    """Return the object behind the proxy that napari hands to plugins.

    Layers that come through the proxy are proxies too, and cannot be told apart by identity.
    """
    return getattr(viewer, "__wrapped__", viewer)


def session_of(viewer: Any) -> Session:
    """Return the session of a viewer, the same for all its panels."""
    window = unwrapped(viewer).window._qt_window
    return window.findChild(Session) or Session(window)
