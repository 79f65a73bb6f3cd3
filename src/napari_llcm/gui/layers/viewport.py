"""What the user looks at, in voxels of a stack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .stack import Box, LayerStack


class View:
    """Where the user looks; read on the main thread, and then known to any thread.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    stack : LayerStack
        A stack in it.

    Attributes
    ----------
    box : Box
        The voxels (z, y, x) on screen: one plane in 2D, all in 3D.
    time : int
        The time point on screen.
    """

    def __init__(self, viewer: Any, stack: LayerStack) -> None:
        self._viewer, self._stack = viewer, stack
        self.time = 0
        self.box: Box = tuple((0, n) for n in stack.shape)
        self.look()

    def look(self) -> bool:
        """Look again; return whether the view has changed."""
        before = self.box, self.time
        dims, stack = self._viewer.dims, self._stack
        ndim = len(stack.axes)
        here = np.asarray(stack.layer.world_to_data(np.asarray(dims.point)))
        spans = [(round(p), round(p) + 1) for p in here]
        hidden = dims.ndim - ndim  # axes of the viewer before those of the layer
        shown = [axis - hidden for axis in dims.displayed if axis >= hidden]
        corners = _corners(stack.layer)
        for axis in shown:
            flat = dims.ndisplay == 2 and corners[1, axis] > corners[0, axis]
            whole = (0, stack.layer.data.shape[axis])
            spans[axis] = (corners[0, axis], corners[1, axis]) if flat else whole
        self.box = stack.box_of(spans)
        if stack.times > 1:
            self.time = int(np.clip(round(here[stack.axes.index("t")]), 0, stack.times - 1))
        return (self.box, self.time) != before

    def region(self) -> Box:
        """Return the voxels on screen."""
        return self.box

    def centre(self) -> tuple[float, float, float]:
        """Return the voxel in the middle of the screen."""
        z, y, x = ((a + b - 1) / 2 for a, b in self.box)
        return z, y, x

    def now(self) -> int:
        """Return the time point on screen."""
        return self.time


def _corners(layer: Any) -> np.ndarray:
    """Return the corners of what is on screen, in voxels of the finest level."""
    corners = np.asarray(layer.corner_pixels, float)
    if layer.multiscale:
        corners = corners * np.asarray(layer.downsample_factors[layer.data_level])
    return corners


def shapes_box(shapes: Any, stack: LayerStack) -> Box:
    """Return the smallest box of a stack around the (selected) shapes of a layer.

    Along an axis on which a shape has no extent, the plane that it was drawn on, the whole stack
    is taken.

    Parameters
    ----------
    shapes : napari.layers.Shapes
        At least one shape.
    stack : LayerStack
        The stack.
    """
    chosen = sorted(shapes.selected_data) or range(len(shapes.data))
    corners = [shapes.data_to_world(p) for i in chosen for p in np.asarray(shapes.data[i])]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    start, stop = (np.asarray(stack.layer.world_to_data(c)) for c in (low, high))
    missing = len(stack.axes) - len(low)  # a layer of fewer axes lies on all of the others
    spans = []
    for axis, n in enumerate(stack.layer.data.shape):
        flat = axis < missing or high[axis - missing] == low[axis - missing]
        spans.append((0, n) if flat else (start[axis] + 0.5, stop[axis] + 0.5))
    return stack.box_of(spans)


@contextmanager
def undisturbed(viewer: Any) -> Iterator[None]:
    """Keep camera, place and selection while layers are added."""
    camera = viewer.camera.center, viewer.camera.zoom, viewer.camera.angles
    point, selected = tuple(viewer.dims.point), set(viewer.layers.selection)
    active, first = viewer.layers.selection.active, not len(viewer.layers)
    yield
    if first:
        return  # the viewer shows the first layer whole, at its middle
    if len(point) == viewer.dims.ndim:
        viewer.dims.set_point(range(len(point)), point)
    viewer.camera.center, viewer.camera.zoom, viewer.camera.angles = camera
    viewer.layers.selection = {layer for layer in selected if layer in viewer.layers}
    viewer.layers.selection.active = active
