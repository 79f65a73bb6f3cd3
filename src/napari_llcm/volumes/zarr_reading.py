"""Read OME-Zarr 0.4 and 0.5."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..events import UserError
from .axes import to_micron
from .volume import Spacing, Volume

if TYPE_CHECKING:
    import zarr


def read_zarr(path: Path) -> Volume:
    """Return level 0 of the first image of an OME-Zarr 0.4 or 0.5 store, lazily.

    Raises
    ------
    UserError
        If the store has no OME metadata, or an array is missing.
    """
    import dask.array as da
    import zarr

    try:
        group: Any = zarr.open_group(path, mode="r")
        attributes = ome_attributes(group)
        if "bioformats2raw.layout" in attributes and "multiscales" not in attributes:
            group = group["0"]  # the first image of a converted microscope file
            attributes = ome_attributes(group)
        image = attributes["multiscales"][0]
        array = group[image["datasets"][0]["path"]]
        names = "".join(axis["name"] for axis in image["axes"])
    except (KeyError, TypeError, IndexError, FileNotFoundError, ValueError) as error:
        raise UserError(
            f"{path} is a Zarr without the OME metadata (0.4 or 0.5) of an image."
        ) from error
    scale, origin = _transform(image, names)
    channels = tuple(c.get("label", "") for c in attributes.get("omero", {}).get("channels", ()))
    return Volume(
        da.from_zarr(array),
        spacing=scale,
        origin=origin or (0.0, 0.0, 0.0),
        axes=names,
        channels=channels if all(channels) else (),
        metadata=dict(group.attrs.get("napari_llcm", {})),
    )


def ome_attributes(group: zarr.Group) -> dict[str, Any]:
    """Return the OME metadata of a group of either version."""
    # 0.5 keeps its metadata one level down
    return cast("dict[str, Any]", group.attrs.asdict().get("ome", group.attrs.asdict()))


def _transform(image: dict[str, Any], names: str) -> tuple[Spacing | None, Spacing | None]:
    """Return spacing and origin (z, y, x) in µm; None where the store gives no unit."""
    scale, origin = np.ones(len(names)), np.zeros(len(names))
    first = image["datasets"][0].get("coordinateTransformations", [])
    for step in [*first, *image.get("coordinateTransformations", [])]:
        if step["type"] == "scale":
            factor = np.asarray(step["scale"], float)
            scale, origin = scale * factor, origin * factor
        elif step["type"] == "translation":
            origin = origin + np.asarray(step["translation"], float)
    units = {axis["name"]: to_micron(axis.get("unit")) for axis in image["axes"]}
    if any(units.get(a) is None for a in "zyx"):
        return None, None
    at = [names.index(a) for a in "zyx"]
    microns = np.array([units[a] for a in "zyx"], float)
    z, y, x = (scale[at] * microns).tolist()
    oz, oy, ox = (origin[at] * microns).tolist()
    return (z, y, x), (oz, oy, ox)
