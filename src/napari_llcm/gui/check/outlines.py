"""One layer with every nucleus, outlined in the colour of what became of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

import numpy as np

from ...nuclei.table import Row
from ...volumes import Volume
from ..layers.following import Following
from ..layers.stack import LayerStack
from ..layers.viewport import to_data, to_world, undisturbed
from .outline_colours import OutlineImage, colormap
from .verdicts import colour_of, key_of

NAME = "nuclei (check)"
_STILL = 4  # pixels that the mouse may move between press and release of a click


class Outlines:
    """The layer of a check.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where it is shown.
    stack : LayerStack
        The layer that was checked; the outlines lie exactly on it.
    outline_image : OutlineImage
        The nuclei.
    clicked : callable
        Called with image and label of a nucleus that was clicked in the (2D) view.
    told : callable, optional
        Called when what was checked is changed, so that the outlines are `outdated`, or back.

    Attributes
    ----------
    layer : napari.layers.Labels or None
        The layer, once something was shown.
    """

    def __init__(
        self,
        viewer: Any,
        stack: LayerStack,
        outline_image: OutlineImage,
        clicked: Callable[[tuple[str, int]], None],
        told: Callable[[], None] | None = None,
    ) -> None:
        self._told = told
        self._viewer, self._stack, self.outline_image = viewer, stack, outline_image
        self._clicked = clicked
        self._colours: dict[int, str] = {}
        self._chosen: int | None = None
        self.layer: Any = None
        self._following: Following | None = None

    @property
    def outdated(self) -> bool:
        """Whether the layer that was checked has other voxels, or of another size, by now."""
        return self._following is not None and self._following.outdated

    def show(self, rows: Iterable[Row], least: float = 0.0) -> None:
        """Show some nuclei, and hide the others.

        Parameters
        ----------
        rows : iterable of dict
            Those to be shown, with their verdicts.
        least : float
            The least confidence that is believed.
        """
        numbers = self.outline_image.numbers
        self._colours = {
            numbers[key_of(row)]: colour_of(row, least) for row in rows if key_of(row) in numbers
        }
        self._colour()
        if self.layer is None or self.layer not in self._viewer.layers:
            self._add()

    def choose(self, row: Row | None) -> None:
        """Put a white contour around one nucleus."""
        self._chosen = None if row is None else self.outline_image.numbers.get(key_of(row))
        self._colour()

    def remove(self) -> None:
        """Take the layer out of the viewer."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        if self._click in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._click)
        if self._following is not None:
            self._following.stop()
        self.layer = self._following = None

    def place(self, row: Row, volume: Volume) -> np.ndarray:
        """Return where a nucleus lies, in the viewer's world.

        Parameters
        ----------
        row : dict
            The nucleus.
        volume : Volume
            The volume whose spacing and origin the row's place is measured in.
        """
        layer = self._stack.layer
        here = to_data(self._viewer, layer, self._viewer.dims.point).tolist()
        flat = row["z"] is None
        place = [volume.origin[0] if flat else row["z"], row["y"], row["x"]]
        z, y, x = volume.voxel(place).tolist()
        if flat:  # of a projection nobody knows the plane: the view stays in its own
            z = self._stack.voxel_at(here)[0]
        point = self._stack.point_at((z, y, x), here)
        return to_world(self._viewer, layer, point)

    def in_view(self, length: float, volume: Volume) -> float:
        """Return a length in the unit of the rows in the units of the viewer.

        Parameters
        ----------
        length : float
            Within a plane.
        volume : Volume
            The volume whose spacing the rows are measured in.
        """
        layer, last = self._stack.layer, self._stack.axes.index("x")
        first = np.zeros(len(self._stack.axes))
        second = first.copy()
        second[last] = 1
        ends = [to_world(self._viewer, layer, point) for point in (first, second)]
        step = float(np.linalg.norm(ends[1] - ends[0]))
        return length * step / (volume.spacing or (1.0, 1.0, 1.0))[2]

    def _click(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """Tell which nucleus was clicked; a press that moves drags the view instead."""
        pressed = np.asarray(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        moved = np.abs(np.asarray(event.pos) - pressed).max() > _STILL
        if moved or event.button != 1 or viewer.dims.ndisplay != 2 or not self._visible():
            return
        point = to_data(viewer, self._stack.layer, event.position).tolist()
        z, y, x = (round(v) for v in self._stack.voxel_at(point))
        inside = all(0 <= i < n for i, n in zip((z, y, x), self._stack.shape, strict=True))
        if inside and (key := self.outline_image.key_at(z, y, x)):
            self._clicked(key)

    def _visible(self) -> bool:
        return self.layer in self._viewer.layers and bool(self.layer.visible)

    def _colour(self) -> None:
        if self.outline_image.colour(self._colours, self._chosen) and self.layer is not None:
            self.layer.refresh(extent=False, thumbnail=False, highlight=False)

    def _add(self) -> None:
        from napari.layers import Labels

        # flat outlines are shown in every plane
        voxels = np.broadcast_to(self.outline_image.voxels, self._stack.shape)
        data, place = self._stack.on_layer(voxels)
        self.layer = Labels(
            data,
            name=NAME,
            colormap=colormap(),
            opacity=1.0,
            metadata={"napari_llcm_shown": True},
            **place,
        )
        self.layer.contour = self.outline_image.contour()
        self.layer.editable = False
        with undisturbed(self._viewer):
            self._viewer.add_layer(self.layer)
        self._following = Following(self._stack, [self.layer], told=self._told)
        if self._click not in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.append(self._click)
