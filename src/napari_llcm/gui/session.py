"""What the panels of one viewer tell each other."""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

from qtpy.QtCore import QObject, Signal


class Session(QObject):
    """Signals between the panels of one viewer, and what those that open later must know.

    Attributes
    ----------
    model_added : Signal(str)
        A model was trained or added: its name or path, if it is to be chosen.
    stained : Signal(object)
        A virtual DAPI layer is complete.
    latest_model : str
        The model that was added last and is to be chosen; empty if none was.
    """

    model_added = Signal(str)
    stained = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.latest_model = ""

    def add_model(self, model: str, choose: bool = True) -> None:
        """Tell every panel, now or when it opens, of a new model, and whether to choose it."""
        if choose:
            self.latest_model = model
        self.model_added.emit(model if choose else "")


_SESSIONS: WeakValueDictionary[int, Session] = WeakValueDictionary()


def unwrapped(viewer: Any) -> Any:
    """Return the object behind the proxy that napari hands to plugins.

    Layers that come through the proxy are proxies too, and cannot be told apart by identity.
    """
    return getattr(viewer, "__wrapped__", viewer)


def session_of(viewer: Any) -> Session:
    """Return the session of a viewer, the same for all its panels; panels must hold it."""
    viewer = unwrapped(viewer)
    found = _SESSIONS.get(id(viewer))
    if found is None:
        found = _SESSIONS[id(viewer)] = Session()
    return found
