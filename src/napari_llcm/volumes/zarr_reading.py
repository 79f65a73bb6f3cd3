"""Read OME-Zarr 0.1 to 0.5."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..events import UserError
from .images import StoredImage
from .plates import check_is_image
from .read_errors import lazy, read_errors
from .units import FileGrid
from .volume import Orientation, Volume
from .zarr_chunks import missing_chunks

if TYPE_CHECKING:
    import zarr

_NO_IMAGE = "is a Zarr without the OME metadata (0.1 to 0.5) of an image"
_OF_TYPE = {"time": "t", "channel": "c"}


def zarr_images(path: Path) -> list[StoredImage]:
    """Return the images of an OME-Zarr store, level 0 of each, lazily.

    A converted microscope file (bioformats2raw) has one in each of its groups 0, 1, …. Chunks that
    are not there, and so are read as empty, are noted.

    Raises
    ------
    UserError
        If the store has no OME metadata, is a plate or a well, or an array is missing.
    """
    import zarr

    with read_errors(path, _NO_IMAGE):
        if isinstance(zarr.open(path, mode="r"), zarr.Array):
            raise UserError(
                f"{path} is a single array, without axes and voxel size: give the OME-Zarr that it "
                f"belongs to, such as {path.parent}."
            )
        group: Any = zarr.open_group(path, mode="r")
        attributes = ome_attributes(group)
        check_is_image(attributes, path)
        groups = [group]
        if "bioformats2raw.layout" in attributes and "multiscales" not in attributes:
            names = sorted((name for name, _ in group.groups() if name.isdigit()), key=int)
            groups = [group[name] for name in names]
        found = [
            StoredImage(
                str(image.get("name") or one.basename),
                partial(_look, path, one, image),
                partial(_open, path, one, image),
            )
            for one in groups
            for image in ome_attributes(one)["multiscales"]
        ]
        if not found:
            raise ValueError("it holds no image")
    return found


def _look(path: Path, group: Any, image: Mapping[str, Any]) -> tuple[str, tuple[int, ...]]:
    with read_errors(path):
        shape = group[image["datasets"][0]["path"]].shape
    return _letters(image, len(shape), path), tuple(int(n) for n in shape)


def _open(path: Path, group: Any, image: Mapping[str, Any]) -> Volume:
    with read_errors(path, _NO_IMAGE):
        attributes = ome_attributes(group)
        level = image["datasets"][0]
    with read_errors(path, f"names the array {level['path']!r}, which is not there or damaged"):
        array = group[level["path"]]
        data = lazy(array, path, array.chunks)
    letters = _letters(image, len(array.shape), path)
    channels = tuple(c.get("label", "") for c in attributes.get("omero", {}).get("channels", ()))
    if channels and "c" in letters:  # of a channel that is being added, the name comes last
        count = array.shape[letters.index("c")]
        channels += tuple(f"channel {i}" for i in range(len(channels), count))
    volume = Volume(
        data,
        axes=letters,
        channels=channels if all(channels) else (),
        metadata=dict(group.attrs.get("napari_llcm", {}))
        | ({"labels": True} if "image-label" in attributes else {}),
        file_grid=_grid(image, letters, group, path.name),
    )
    return volume.noted(*missing_chunks(array, letters, path))


def ome_attributes(group: zarr.Group) -> dict[str, Any]:
    """Return the OME metadata of a group of either version."""
    # 0.5 keeps its metadata one level down
    return cast("dict[str, Any]", group.attrs.asdict().get("ome", group.attrs.asdict()))


def _letters(image: Mapping[str, Any], count: int, path: Path) -> str:
    """Return a letter for each axis: 0.4 has names and types, 0.3 names, older ones "tczyx"."""
    axes = image.get("axes") or list("tczyx")
    letters = ""
    for axis in axes:
        axis = {"name": axis} if isinstance(axis, str) else axis
        name = str(axis.get("name", "")).lower()
        letters += _OF_TYPE.get(axis.get("type", ""), name if len(name) == 1 else "?")
    if len(letters) != count:
        raise UserError(
            f"{path} names {len(letters)} axes, but its array has {count}: its OME metadata are "
            "wrong."
        )
    return letters


def _grid(image: Mapping[str, Any], letters: str, group: Any, name: str) -> FileGrid:
    """Return voxel size and position after all transformations of level 0 and of the image."""
    scale, place, told = np.ones(len(letters)), np.zeros(len(letters)), False
    first = image["datasets"][0].get("coordinateTransformations") or []
    for step in [*first, *(image.get("coordinateTransformations") or [])]:
        kind = step.get("type") if isinstance(step, dict) else None
        if kind == "identity":
            continue
        values = _values(step, kind, group) if kind in ("scale", "translation") else None
        if values is None or values.shape != scale.shape or not np.isfinite(values).all():
            return FileGrid(
                notes=(
                    f"{name} has a transformation ({kind or 'of no kind'}) that does not fit its "
                    f"{len(letters)} axes, or cannot be read: its voxel size and position are not "
                    "known, and not kept.",
                )
            )
        if kind == "scale":
            scale, place, told = scale * values, place * values, True
        else:
            place = place + values
    axes = image.get("axes") or []
    units = {
        letter: axis.get("unit") for letter, axis in zip(letters, axes, strict=False)
        if isinstance(axis, dict)
    }  # fmt: skip
    at = {a: i for i, a in enumerate(letters) if a in "zyx"}
    return FileGrid(
        {a: (abs(float(scale[i])) if told else None, units.get(a)) for a, i in at.items()},
        {a: (float(place[i]), units.get(a)) for a, i in at.items()},
        _orientation({a: float(scale[i]) for a, i in at.items()}),
    )


def _values(step: Mapping[str, Any], kind: str, group: Any) -> np.ndarray | None:
    """Return the numbers of a transformation, which may lie in an array of their own."""
    try:
        if kind in step:
            return np.asarray(step[kind], float)
        return np.asarray(group[step["path"]][:], float).ravel()
    except (KeyError, TypeError, ValueError):
        return None


def _orientation(scale: Mapping[str, float]) -> Orientation | None:
    """Return which axes run backwards: those of negative scale."""
    if not any(s < 0 for s in scale.values()):
        return None
    z, y, x = np.diag([float(np.sign(scale.get(a, 1.0)) or 1.0) for a in "zyx"]).tolist()
    return tuple(z), tuple(y), tuple(x)
