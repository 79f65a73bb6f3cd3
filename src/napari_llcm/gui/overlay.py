"""One layer with every nucleus, coloured by what became of it.

The voxels never change; a filter or a slider changes the colours alone, which takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..nuclei.table import Row
from ..volumes import Volume
from .stacks import LayerStack
from .verdicts import CHOSEN, colour_of, key_of
from .view import undisturbed

NAME = "nuclei (check)"
_CONTOUR = 2  # pixels
_CLEAR = "transparent"


class Overlay:
    """The layer of a comparison.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where it is shown.
    stack : LayerStack
        The layer that was checked; the overlay lies exactly on it.
    truth, stain : Volume or None
        Labels of the real and of the virtual nuclei.
    rows : iterable of dict
        The nuclei of the table.
    """

    def __init__(
        self,
        viewer: Any,
        stack: LayerStack,
        truth: Volume | None,
        stain: Volume | None,
        rows: Iterable[Row],
    ) -> None:
        self._viewer, self._stack = viewer, stack
        self._label: dict[tuple[str, int], int] = {}
        self._data = self._join(truth, stain, list(rows))
        self._colours: dict[int | None, str] = {}
        self._chosen: int | None = None
        self.layer: Any = None

    def show(self, rows: Iterable[Row], least: float = 0.0) -> None:
        """Show some nuclei, and hide the others.

        Parameters
        ----------
        rows : iterable of dict
            Those to be shown, with their verdicts.
        least : float
            The least confidence that is believed.
        """
        self._colours = {None: _CLEAR, 0: _CLEAR}
        for row in rows:
            label = self._label.get(key_of(row))
            if label is not None:
                self._colours[label] = colour_of(row, least)
        if self.layer is None or self.layer not in self._viewer.layers:
            self._add()
        else:
            self._paint()

    def choose(self, row: Row | None) -> None:
        """Make one nucleus white."""
        self._chosen = None if row is None else self._label.get(key_of(row))
        if self.layer is not None:
            self._paint()

    def remove(self) -> None:
        """Take the layer out of the viewer."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None

    def key_at(self, value: Any) -> tuple[str, int] | None:
        """Return which nucleus a value of the layer stands for."""
        return next((key for key, label in self._label.items() if label == value), None)

    def place(self, row: Row, volume: Volume) -> np.ndarray:
        """Return where a nucleus lies, in the viewer's world.

        Parameters
        ----------
        row : dict
            The nucleus.
        volume : Volume
            The volume whose spacing and origin the row's place is measured in.
        """
        spacing = volume.spacing or (1.0, 1.0, 1.0)
        voxel = {
            axis: (row[axis] - start) / step
            for axis, start, step in zip("zyx", volume.origin, spacing, strict=True)
        }
        layer = self._stack.layer
        here = np.asarray(layer.world_to_data(np.asarray(self._viewer.dims.point)))
        point = [voxel.get(axis, here[i]) for i, axis in enumerate(self._stack.axes)]
        return np.asarray(layer.data_to_world(point))

    def _join(self, truth: Volume | None, stain: Volume | None, rows: list[Row]) -> np.ndarray:
        """Number the nuclei of both images anew in one array, real ones above virtual ones."""
        wanted = {key_of(row) for row in rows}
        number = 0
        joined: np.ndarray | None = None
        for image, volume in (("stain", stain), ("truth", truth)):
            if volume is None:
                continue
            labels = volume.numpy()
            table = np.zeros(int(labels.max(initial=0)) + 1, np.uint32)
            for label in sorted(i for which, i in wanted if which == image):
                number += 1
                table[label] = self._label[image, label] = number
            placed = table[labels]
            joined = placed if joined is None else np.where(placed > 0, placed, joined)
        assert joined is not None
        # 16 bits: napari lets the GPU colour them; wider ones it colours itself, plane by plane
        return joined.astype(np.uint16) if number < 2**16 else joined

    def _add(self) -> None:
        from napari.layers import Labels
        from napari.utils.colormaps import DirectLabelColormap

        data, place = self._stack.on_layer(self._data)
        self.layer = Labels(
            data,
            name=NAME,
            colormap=DirectLabelColormap(color_dict=self._shown()),
            opacity=1.0,
            metadata={"napari_llcm_shown": True},
            **place,
        )
        self.layer.contour = _CONTOUR
        self.layer.editable = False
        with undisturbed(self._viewer):
            self._viewer.add_layer(self.layer)

    def _paint(self) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        self.layer.colormap = DirectLabelColormap(color_dict=self._shown())

    def _shown(self) -> dict[int | None, str]:
        colours = dict(self._colours)
        if self._chosen is not None:
            colours[self._chosen] = CHOSEN
        return colours
