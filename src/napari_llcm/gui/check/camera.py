"""The camera moves to a place."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QEasingCurve, QObject, QVariantAnimation

_DURATION = 250  # ms


class CameraMove(QObject):
    """Moves the camera of a viewer smoothly, so that the user sees where it goes.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    parent : QObject, optional
        The panel.
    """

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._from = self._to = np.zeros(3)
        self._animation = QVariantAnimation(self)
        self._animation.setStartValue(0.0)
        self._animation.setEndValue(1.0)
        self._animation.setDuration(_DURATION)
        self._animation.setEasingCurve(QEasingCurve.Type.InOutCubic)
        self._animation.valueChanged.connect(self._move)

    def to(self, point: np.ndarray, width: float) -> None:
        """Move to a place.

        Parameters
        ----------
        point : ndarray
            In the viewer's units, one number for each of the layer's axes.
        width : float
            Extent, in the same units, of what is there: the camera comes nearer if it would hardly
            be seen, and never goes back.
        """
        dims, camera = self._viewer.dims, self._viewer.camera
        hidden = dims.ndim - len(point)
        for axis, value in enumerate(point):
            if hidden + axis not in dims.displayed:
                dims.set_point(hidden + axis, float(value))
        shown = [point[axis - hidden] for axis in dims.displayed if axis >= hidden]
        target = np.asarray(camera.center, float)
        target[-len(shown) :] = shown
        least = 24 / max(width, 1e-9)  # canvas pixels for a nucleus
        if camera.zoom < least:
            camera.zoom = least * 2
        self._animation.stop()
        self._from, self._to = np.asarray(camera.center, float), target
        self._animation.start()

    def _move(self, part: Any) -> None:
        now = self._from + float(part) * (self._to - self._from)
        self._viewer.camera.center = tuple(now)
