"""What the user looks at, in voxels of a stack.

The viewer counts in the smallest unit of its layers: beside one layer in nm, the place of every
other one is told in nm too. All that goes from the viewer's places to a layer's voxels and back
goes through `to_data` and `to_world`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...events import UserError
from ...worker import Live
from .seen import Seen
from .stack import Box, LayerStack, finer_shape

_FLAT = 1e-3  # voxels: what extends less is drawn on one plane, but for rounding


def to_data(viewer: Any, layer: Any, place: Any) -> np.ndarray:
    """Return a place in the viewer as a place in a layer, in voxels of its finest level.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    layer : napari.layers.Layer
        A layer in it.
    place : sequence of float
        In the viewer's units; its last axes are those of the layer.
    """
    place = np.asarray(place, float)[-layer.ndim :]
    place = np.concatenate([np.zeros(layer.ndim - len(place)), place])
    return np.asarray(layer.world_to_data(place * _layer_units(viewer, layer)))


def to_world(viewer: Any, layer: Any, point: Any) -> np.ndarray:
    """Return a place in a layer, in voxels, as a place in the viewer, in its units.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    layer : napari.layers.Layer
        A layer in it.
    point : sequence of float
        One number for each axis of the layer.
    """
    return np.asarray(layer.data_to_world(point)) / _layer_units(viewer, layer)


def _layer_units(viewer: Any, layer: Any) -> np.ndarray:
    """Return how many of a layer's units one of the viewer's is, along each axis of the layer."""
    return _ratios(viewer.dims.units, layer.units)


def _ratios(units: Any, others: Any) -> np.ndarray:
    """Return how many of some units one of the viewer's is, for their axes, its last ones."""
    if units is None or others is None or len(units) < len(others):
        return np.ones(len(others or ()))  # units that do not fit: napari takes them as one
    pairs = zip(units[-len(others) :], others, strict=True)
    return np.array([float((1 * a).to(b).magnitude) for a, b in pairs])


class View:
    """Where the user looks; read on the main thread, and then known to any thread.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    stack : LayerStack
        A stack in it.
    planes : int
        How many planes a result has for each of the stack's: boxes and places are in its voxels.

    Attributes
    ----------
    shape : tuple of int
        Voxels (z, y, x) of the result.
    box : Box
        The voxels (z, y, x) on screen: one plane in 2D, all in 3D.
    time : int
        The time point on screen.
    on_screen : bool
        Whether any part of the stack is within the window.
    seen : Live
        (box, time), for a job in another process.
    """

    def __init__(self, viewer: Any, stack: LayerStack, planes: int = 1) -> None:
        self._viewer, self._stack, self.planes = viewer, stack, planes
        self.time, self.on_screen = 0, True
        self.shape = finer_shape(stack.shape, planes)
        self.box: Box = tuple((0, n) for n in self.shape)
        self.seen = Live(Seen(self.box, self.time))
        self.look()

    def look(self) -> bool:
        """Look again; return whether the view has changed."""
        before = self.box, self.time
        dims, stack = self._viewer.dims, self._stack
        ndim = len(stack.axes)
        here = to_data(self._viewer, stack.layer, dims.point)
        size, corners = np.array(stack.layer.data.shape), _corners(stack.layer)
        z = stack.axes.index("z")
        here[z] = (here[z] + 0.5) * self.planes - 0.5  # both grids begin at one face
        size[z], corners[:, z] = size[z] * self.planes, corners[:, z] * self.planes
        spans = [(round(p), round(p) + 1) for p in here]
        hidden = dims.ndim - ndim  # axes of the viewer before those of the layer
        shown = [axis - hidden for axis in dims.displayed if axis >= hidden]
        self.on_screen = True
        for axis in shown:
            n = int(size[axis])
            flat = dims.ndisplay == 2 and corners[1, axis] > corners[0, axis]
            spans[axis] = (corners[0, axis], corners[1, axis]) if flat else (0, n)
            self.on_screen &= flat or n == 1 or dims.ndisplay == 3
        self.box = stack.box_of(spans, self.planes)
        if stack.times > 1:
            self.time = int(np.clip(round(here[stack.axes.index("t")]), 0, stack.times - 1))
        changed = (self.box, self.time) != before
        if changed:
            self.seen.set(Seen(self.box, self.time))
        return changed

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
    """Return first and one past the last of what is on screen, in voxels of the finest level."""
    corners = np.asarray(layer.corner_pixels, float)
    corners[1] += corners[1] > corners[0]  # napari's second corner is the last pixel itself
    if layer.multiscale:
        corners = corners * np.asarray(layer.downsample_factors[layer.data_level])
    return corners


def shapes_box(viewer: Any, shapes: Any, stack: LayerStack) -> Box:
    """Return the smallest box of a stack around the (selected) shapes of a layer.

    Along an axis on which a shape has no extent, the plane that it was drawn on, the whole stack
    is taken.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        That shows both.
    shapes : napari.layers.Shapes
        At least one shape.
    stack : LayerStack
        The stack.

    Raises
    ------
    UserError
        If the box shares no voxel with the stack.
    """
    chosen = sorted(shapes.selected_data) or range(len(shapes.data))
    drawn = [to_world(viewer, shapes, p) for i in chosen for p in np.asarray(shapes.data[i])]
    corners = np.array([to_data(viewer, stack.layer, place) for place in drawn])
    missing = len(stack.axes) - shapes.ndim  # a layer of fewer axes lies on all of the others
    spans = []
    for axis, n in enumerate(stack.layer.data.shape):
        low, high = corners[:, axis].min(), corners[:, axis].max()
        flat = axis < missing or high - low < _FLAT
        spans.append((0, n) if flat else (low + 0.5, high + 0.5))
        if spans[-1][0] >= n or spans[-1][1] <= 0:
            raise UserError(
                f"What is drawn in {shapes.name} lies outside {stack.layer.name}: draw a "
                "rectangle on the stack."
            )
    return stack.box_of(spans)


@contextmanager
def undisturbed(viewer: Any) -> Iterator[None]:
    """Keep camera, place and selection while layers are added."""
    camera = viewer.camera.center, viewer.camera.zoom, viewer.camera.angles
    point, selected = tuple(viewer.dims.point), set(viewer.layers.selection)
    units = viewer.dims.units
    active, first = viewer.layers.selection.active, not len(viewer.layers)
    yield
    if first:
        return  # the viewer shows the first layer whole, at its middle
    center, zoom, angles = camera
    if len(point) == viewer.dims.ndim:
        now = _ratios(units, viewer.dims.units)  # a finer unit of the new layer is now the viewer's
        now = now if len(now) == len(point) else np.ones(len(point))
        viewer.dims.set_point(range(len(point)), [p * r for p, r in zip(point, now, strict=True)])
        seen = np.concatenate([np.ones(3), now[list(viewer.dims.displayed)]])[-3:]
        center = tuple(c * r for c, r in zip(center, seen, strict=True))
        zoom /= seen[-1]
    viewer.camera.center, viewer.camera.zoom, viewer.camera.angles = center, zoom, angles
    viewer.layers.selection = {layer for layer in selected if layer in viewer.layers}
    viewer.layers.selection.active = active
