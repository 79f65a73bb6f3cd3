"""A layer as a stack to be stained, and results as layers that lie exactly on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.utils.transforms import CompositeAffine

from ...events import UserError
from ...volumes import Volume
from .axes import AxesUnknown, SeveralChannels, axes_of
from .conversion import PLACE, as_volume, attributes_of, mirrored

Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class LayerStack:
    """An image layer whose voxels are a stack, or a time series of stacks.

    Parameters
    ----------
    layer : napari.layers.Image
        The layer.
    axes : str
        A letter of "tczyx" for each axis of the layer, in its order.
    volume : Volume
        Its voxels with axes "zyx" or "tzyx"; with "c" before "z" where further layers are joined.
    turned : str
        Axes along which the volume's voxels are counted from the layer's far end, since its scale
        is negative there.
    """

    layer: Any
    axes: str
    volume: Volume
    turned: str = ""

    @property
    def times(self) -> int:
        """How many time points there are."""
        return int(self.volume.shape[0]) if "t" in self.volume.axes else 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y and x."""
        z, y, x = self.volume.shape[-3:]
        return z, y, x

    def on_layer(self, data: np.ndarray, planes: int = 1) -> tuple[np.ndarray, dict[str, Any]]:
        """Return voxels as data and attributes of a layer that lies on this one.

        Parameters
        ----------
        data : numpy.ndarray
            (z, y, x) or (t, z, y, x); a view of it is returned.
        planes : int
            How many planes it has for each of this one's.
        """
        given = self.volume.axes.replace("c", "")[-data.ndim :]
        order = [given.index(a) for a in self.axes if a in given]
        backwards = (slice(None, None, -1 if a in self.turned else 1) for a in given)
        shown = data[tuple(backwards)].transpose(order)
        # axes of one entry stay, or the layers would not lie on each other
        index = tuple(slice(None) if a in given else None for a in self.axes)
        return shown[index], self.place(planes)

    def place(self, planes: int = 1) -> dict[str, Any]:
        """Return the place of a layer of the same extent, with so many planes for each of its own.

        Both begin at the same face, so that the first of the finer planes lies by half a plane of
        this one less half a plane of its own before this one's first.
        """
        found = {name: getattr(self.layer, name) for name in PLACE}
        if planes > 1:
            z = self.axes.index("z")
            first, finer = np.zeros(len(self.axes)), np.ones(len(self.axes))
            first[z], finer[z] = (1 / planes - 1) / 2, 1 / planes
            own = CompositeAffine(
                *(found[n] for n in ("scale", "translate")),
                rotate=found["rotate"],
                shear=found["shear"],
            )
            found |= {"translate": own(first), "scale": np.asarray(found["scale"]) * finer}
        return found

    def voxel_at(self, point: Sequence[float]) -> tuple[float, float, float]:
        """Return the volume's voxel (z, y, x) at a place given along the layer's axes."""
        by_axis = dict(zip(self.axes, point, strict=True))
        z, y, x = (
            n - 1 - by_axis[a] if a in self.turned else by_axis[a]
            for a, n in zip("zyx", self.shape, strict=True)
        )
        return z, y, x

    def point_at(self, voxel: Sequence[float], here: Sequence[float]) -> list[float]:
        """Return the place of a volume's voxel along the layer's axes.

        Parameters
        ----------
        voxel : sequence of float
            Along z, y and x.
        here : sequence of float
            Place along the layer's axes, for those that the voxel has not: time.
        """
        place = dict(zip("zyx", voxel, strict=True))
        for axis, n in zip("zyx", self.shape, strict=True):
            if axis in self.turned:
                place[axis] = n - 1 - place[axis]
        return [place.get(axis, here[i]) for i, axis in enumerate(self.axes)]

    def box_of(self, spans: Sequence[tuple[float, float]], planes: int = 1) -> Box:
        """Return spans along the layer's axes as a box (z, y, x) of whole voxels within it.

        Parameters
        ----------
        spans : sequence of (float, float)
            First and one past the last.
        planes : int
            How many planes there are for each of this one's.
        """
        by_axis = dict(zip(self.axes, spans, strict=True))
        box = []
        for axis, n in zip("zyx", finer_shape(self.shape, planes), strict=True):
            a, b = by_axis[axis]
            if axis in self.turned:
                a, b = n - b, n - a
            start = int(np.clip(np.floor(a), 0, n - 1))
            box.append((start, int(np.clip(np.ceil(b), start + 1, n))))
        return tuple(box)


def finer_shape(shape: tuple[int, int, int], planes: int) -> tuple[int, int, int]:
    """Return the voxels (z, y, x) of a result with so many planes for each of a stack's."""
    return planes * shape[0], shape[1], shape[2]


def finer(box: Box, planes: int) -> Box:
    """Return a box of a stack's voxels as one of a result's, with more planes."""
    (first, last), *plane = box
    return ((planes * first, planes * last), *plane)


def stack_of(layer: Any) -> LayerStack:
    """Return a layer as a stack, or time series of stacks.

    Raises
    ------
    UserError
        If it is neither; the sentence says what to do.
    """
    attributes = attributes_of(layer)
    volume = as_volume(layer.data[0] if layer.multiscale else layer.data, attributes)
    axes = axes_of(attributes, layer.data.shape)
    if "c" in volume.axes:
        count = volume.shape[volume.axes.index("c")]
        raise SeveralChannels(
            f"{layer.name} holds {count} channels in one layer: split it, then choose the one "
            "that you want."
        )
    if volume.axes == "tyx":
        raise AxesUnknown(
            f"{layer.name} is a time series of 2D images; a stack of planes is needed. If its "
            "frames are planes, say so.",
            [axes.replace("t", "z")],
        )
    if "z" not in volume.axes:
        raise UserError(
            f"{layer.name} is a 2D image; choose a stack of planes. Planes in separate layers can "
            "be joined: select them, then Layers → Data → Images to Stack."
        )
    if volume.dtype.kind not in "biuf":
        raise UserError(f"{layer.name} holds {volume.dtype} values; real numbers are needed.")
    return LayerStack(layer, axes, volume, mirrored(attributes, axes))
