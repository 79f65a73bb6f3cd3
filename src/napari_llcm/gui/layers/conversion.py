"""Volumes become napari layers, and layers volumes, with nothing lost on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from napari.utils.transforms import CompositeAffine

from ...events import UserError
from ...volumes import Volume
from ...volumes.axes import arranged
from ...volumes.orientation import (
    is_upright,
    mirrored_axes,
    sliceable,
    steps_apart,
    unmirrored,
    upright,
)
from ...volumes.units import to_micron
from .axes import SeveralChannels, axes_of

LayerKind = Literal["image", "labels"]
LayerData = tuple[Any, dict[str, Any], LayerKind]
PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
KEY = "napari_llcm"  # where a layer's metadata says how the layer was made


def as_layers(volume: Volume, kind: LayerKind = "image", **look: Any) -> list[LayerData]:
    """Return a volume as layers for napari, one for each channel.

    Parameters
    ----------
    volume : Volume
        Axes within "tczyx".
    kind : {"image", "labels"}
        What its voxels are.
    **look
        Further attributes of the layers: colormap, opacity, visible …

    Returns
    -------
    list of tuple
        (data, attributes, kind), as napari takes them from a reader. Space is in µm; where the
        spacing is unknown, it is in napari's unit for none, pixels, with the file's own scale.
    """
    if "c" in volume.axes:
        at = volume.axes.index("c")
        layers = []
        for i in range(volume.shape[at]):
            channel = volume.channels[i] if volume.channels else f"channel {i}"
            one = volume.replace(
                data=volume.data[(slice(None),) * at + (i,)],
                axes=volume.axes.replace("c", ""),
                name=f"{volume.name} {channel}",
                channels=(),
            )
            layers += as_layers(one, kind, **look)
        return layers
    if not (is_upright(volume) or mirrored_axes(volume)):
        volume = upright(volume)  # napari cannot cut along axes that are swapped
    if kind == "labels" and volume.dtype.kind == "f":
        volume = volume.replace(data=volume.data.astype(np.int64))  # napari takes no others
    record = {**volume.metadata, "source": volume.source, "notes": list(volume.notes)}
    space = "pixel" if volume.spacing is None else "micrometer"
    attributes = {
        "name": volume.name,
        "units": [space if a in "zyx" else "pixel" for a in volume.axes],
        "axis_labels": tuple(volume.axes),
        "metadata": {KEY: {**record, "length": volume.unit}},
        **_transform(volume),
    }
    return [(volume.data, {**attributes, **look}, kind)]


def as_volume(data: Any, attributes: Mapping[str, Any]) -> Volume:
    """Return a layer as a volume.

    Along an axis of negative scale the layer shows its voxels mirrored. A volume has no such axis:
    its voxels are turned round, so that they lie where the layer shows them.

    Parameters
    ----------
    data : array or list of array
        The layer's data; of a multiscale layer the finest level is taken.
    attributes : mapping
        The layer's attributes, as `Layer.as_layer_data_tuple` gives them.

    Raises
    ------
    UserError
        If it is a colour image, is turned or sheared, or has axes that a volume has not.
    """
    name = str(attributes.get("name", "layer"))
    if attributes.get("rgb"):
        raise SeveralChannels(f"{name} is a colour (RGB) image: split it into its channels first.")
    if attributes.get("multiscale"):
        data = data[0]
    data = sliceable(data)  # a Zarr array would read all that is asked for, and at once
    axes = axes_of(attributes, data.shape)
    record = dict(attributes.get("metadata", {}).get(KEY, {}))
    notes = tuple(record.pop("notes", ()))
    microns = _microns(attributes, axes)
    steps, (oz, oy, ox) = _grid(attributes, axes, microns)
    size, orientation = steps_apart(steps)
    if microns is None and size != (1.0, 1.0, 1.0) and KEY not in attributes.get("metadata", {}):
        # Readers older than napari's units give µm in the scale and leave the unit at "pixel".
        notes, microns = (*notes, f"{name} has a scale without a unit: it is taken as µm."), {}
    volume = Volume(
        data,
        spacing=None if microns is None else size,
        scale=size if microns is None else (1.0, 1.0, 1.0),
        orientation=orientation,
        axes=axes,
        name=name,
        origin=(oz, oy, ox),
        source=record.pop("source", None),
        unit=record.pop("length", "µm"),
        notes=notes,
        metadata=record,
    )
    return unmirrored(arranged(volume, axes))


def channels_of(layer: Any) -> list[LayerData]:
    """Return a layer that holds channels, or a colour image, as one layer for each channel.

    Raises
    ------
    UserError
        If its axes are not known.
    """
    attributes = attributes_of(layer)
    data = sliceable(layer.data[0] if layer.multiscale else layer.data)
    names: tuple[str, ...] = ()
    if attributes["rgb"]:
        axes = axes_of(attributes, data.shape[:-1]) + "c"
        names = ("red", "green", "blue", "alpha")[: data.shape[-1]]
        _grid(attributes, axes[:-1], None)  # or it is sheared
        more = {"scale": 1.0, "translate": 0.0, "units": "pixel"}
        attributes |= {k: [*attributes[k], v] for k, v in more.items()}
        attributes |= {"rgb": False, "axis_labels": axes, "shear": None}
        attributes |= {k: _with_colour(attributes[k], axes) for k in ("rotate", "affine")}
    volume = as_volume(data, attributes)
    return as_layers(volume.replace(channels=names or volume.channels))


def _with_colour(matrix: np.ndarray, axes: str) -> np.ndarray:
    """Return a rotation or an affine with one more axis, the last one of `axes`."""
    last = len(axes) - 1
    return np.insert(np.insert(matrix, last, 0, 0), last, np.eye(len(matrix) + 1)[last], 1)


def attributes_of(layer: Any) -> dict[str, Any]:
    """Return what `as_volume` asks of a layer, without its look."""
    found = {name: getattr(layer, name) for name in (*PLACE, "name", "metadata")}
    found["affine"] = np.asarray(layer.affine.affine_matrix)
    return {**found, "rgb": getattr(layer, "rgb", False)}


def mirrored(layer_attributes: Mapping[str, Any], axes: str) -> str:
    """Return the spatial axes along which a layer shows its voxels mirrored."""
    steps, _ = _grid(layer_attributes, axes, None)
    return mirrored_axes(Volume(np.empty(0), orientation=steps_apart(steps)[1]))


def _transform(volume: Volume) -> dict[str, Any]:
    """Return scale and translation of a layer; with an affine if the volume is turned."""
    axes, ndim = volume.axes, len(volume.axes)
    step = dict(zip("zyx", volume.step, strict=True))
    start = dict(zip("zyx", volume.origin, strict=True))
    backwards = mirrored_axes(volume)
    scale = np.array([step.get(a, 1.0) * (-1 if a in backwards else 1) for a in axes])
    origin = np.array([start.get(a, 0.0) for a in axes])
    if is_upright(volume) or backwards or "z" not in axes:
        return {"scale": scale.tolist(), "translate": origin.tolist()}
    affine = np.eye(ndim + 1)
    at = [axes.index(a) for a in "zyx"]
    affine[np.ix_(at, at)] = np.asarray(volume.orientation).T
    affine[:ndim, ndim] = origin
    return {"scale": scale.tolist(), "affine": affine}


def _grid(
    attributes: Mapping[str, Any], axes: str, microns: Mapping[str, float] | None
) -> tuple[np.ndarray, tuple[float, ...]]:
    """Return the steps (3, 3) along z, y and x from voxel to voxel, and the first one's place.

    Raises
    ------
    UserError
        If the layer is sheared, or turned between space and another axis.
    """
    ndim = len(axes)
    own = CompositeAffine(
        attributes["scale"],
        attributes["translate"],
        rotate=attributes.get("rotate"),
        shear=attributes.get("shear"),
    )
    affine = np.asarray(attributes.get("affine", np.eye(ndim + 1)), float)
    matrix = affine @ own.affine_matrix
    lengths = [(microns or {}).get(a, 1.0) for a in axes]
    matrix[:ndim] *= np.array(lengths)[:, None]
    linear = matrix[:ndim, :ndim]
    at = {a: i for i, a in enumerate(axes) if a in "zyx"}
    others = [i for i in range(ndim) if i not in at.values()]
    steps, place = np.eye(3), [0.0, 0.0, 0.0]
    for i, a in enumerate("zyx"):
        if a in at:
            place[i] = float(matrix[at[a], ndim])
            for j, b in enumerate("zyx"):
                steps[i, j] = linear[at[b], at[a]] if b in at else 0.0
    across = np.array(steps_apart(steps)[1])
    mixed = any(linear[i, k] or linear[k, i] for i in at.values() for k in others)
    if mixed or not np.allclose(across @ across.T, np.eye(3), atol=1e-3):
        name = attributes.get("name", "layer")
        raise UserError(f"{name} is sheared or transformed: apply that to its voxels first.")
    return steps, tuple(place)


def _microns(attributes: Mapping[str, Any], axes: str) -> dict[str, float] | None:
    """Return the length in µm of each spatial axis' unit; None where the layer has no lengths."""
    units = attributes.get("units") or ["pixel"] * len(axes)
    known = {a: to_micron(str(u)) for a, u in zip(axes, units, strict=True) if a in "zyx"}
    lengths = {a: m for a, m in known.items() if m is not None}
    return lengths if len(lengths) == len(known) else None
