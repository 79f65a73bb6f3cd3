"""Volumes become napari layers, and layers volumes, with nothing lost on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ...events import UserError
from ...volumes import Spacing, Volume
from ...volumes.axes import arranged
from ...volumes.units import to_micron
from .axes import SeveralChannels, axes_of

LayerKind = Literal["image", "labels"]
LayerData = tuple[Any, dict[str, Any], LayerKind]
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
        (data, attributes, kind), as napari takes them from a reader. Space is in µm, or in pixels
        where the spacing is unknown.
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
    if kind == "labels" and volume.dtype.kind == "f":
        volume = volume.replace(data=volume.data.astype(np.int64))  # napari takes no others
    known = volume.spacing is not None
    step = dict(zip("zyx", volume.spacing or (1.0, 1.0, 1.0), strict=True))
    start = dict(zip("zyx", volume.origin, strict=True))
    attributes = {
        "name": volume.name,
        "scale": [step.get(a, 1.0) for a in volume.axes],
        "translate": [start.get(a, 0.0) for a in volume.axes],
        "units": ["micrometer" if known and a in step else "pixel" for a in volume.axes],
        "axis_labels": tuple(volume.axes),
        "metadata": {
            KEY: {**volume.metadata, "source": volume.source, "notes": list(volume.notes)}
        },
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
    if not _upright(attributes, data.ndim):
        raise UserError(
            f"{name} is rotated, sheared or transformed: apply that to its voxels first."
        )
    axes = axes_of(attributes, data.shape)
    micron = _microns(attributes, axes)
    scale = dict(zip(axes, attributes["scale"], strict=True))
    start = dict(zip(axes, attributes["translate"], strict=True))
    turned = mirrored(attributes["scale"], axes)
    if turned:
        data = lazy(data)[tuple(slice(None, None, -1 if a in turned else 1) for a in axes)]
        start |= {
            a: start[a] + scale[a] * (n - 1)
            for a, n in zip(axes, data.shape, strict=True)
            if a in turned
        }
        scale |= {a: -scale[a] for a in turned}
    made = dict(attributes.get("metadata", {}).get(KEY, {}))
    volume = Volume(
        data,
        spacing=_zyx({a: scale[a] * m for a, m in micron.items()}, 1.0) if micron else None,
        axes=axes,
        name=name,
        origin=_zyx({a: start[a] * m for a, m in micron.items()}, 0.0),
        source=made.pop("source", None),
        notes=tuple(made.pop("notes", ())),
        metadata=made,
    )
    return arranged(volume, axes)


def channels_of(layer: Any) -> list[LayerData]:
    """Return a layer that holds channels, or a colour image, as one layer for each channel.

    Raises
    ------
    UserError
        If its axes are not known.
    """
    attributes = attributes_of(layer)
    data = lazy(layer.data[0] if layer.multiscale else layer.data)
    names: tuple[str, ...] = ()
    if attributes["rgb"]:
        axes = axes_of(attributes, data.shape[:-1]) + "c"
        names = ("red", "green", "blue", "alpha")[: data.shape[-1]]
        more = {"scale": 1.0, "translate": 0.0, "units": "pixel"}
        attributes |= {k: [*attributes[k], v] for k, v in more.items()}
        attributes |= {"rgb": False, "axis_labels": axes, "affine": np.eye(len(axes) + 1)}
        attributes |= {"rotate": np.eye(len(axes)), "shear": 0}
    volume = as_volume(data, attributes)
    return as_layers(volume.replace(channels=names or volume.channels))


def attributes_of(layer: Any) -> dict[str, Any]:
    """Return what `as_volume` asks of a layer, without its look."""
    names = ("name", "scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
    found = {name: getattr(layer, name) for name in (*names, "metadata")}
    found["affine"] = np.asarray(layer.affine.affine_matrix)
    return {**found, "rgb": getattr(layer, "rgb", False)}


def mirrored(scale: Sequence[float], axes: str) -> str:
    """Return the spatial axes along which a layer of this scale shows its voxels mirrored."""
    return "".join(a for a, s in zip(axes, scale, strict=True) if a in "zyx" and s < 0)


def lazy(data: Any) -> Any:
    """Return an array that can be indexed backwards without being read."""
    if isinstance(data, np.ndarray) or hasattr(data, "dask"):
        return data
    import dask.array as da

    return da.from_array(data)


def _zyx(values: Mapping[str, float], default: float) -> Spacing:
    z, y, x = (float(values.get(axis, default)) for axis in "zyx")
    return z, y, x


def _microns(attributes: Mapping[str, Any], axes: str) -> dict[str, float]:
    """Return the length in µm of each spatial axis' unit; empty where the layer has no lengths."""
    units = attributes.get("units") or ["pixel"] * len(axes)
    known = {a: to_micron(str(u)) for a, u in zip(axes, units, strict=True) if a in "zyx"}
    if all(known.values()):
        return {a: m for a, m in known.items() if m is not None}
    # Readers older than napari's units give µm in the scale and leave the unit at "pixel".
    scaled = any(s != 1 for a, s in zip(axes, attributes["scale"], strict=True) if a in known)
    return dict.fromkeys(known, 1.0) if scaled else {}


def _upright(attributes: Mapping[str, Any], ndim: int) -> bool:
    turned = (attributes.get("rotate", np.eye(ndim)), attributes.get("affine", np.eye(ndim + 1)))
    straight = all(np.allclose(m, np.eye(len(np.asarray(m)))) for m in turned)
    return straight and np.allclose(attributes.get("shear", 0), 0)
