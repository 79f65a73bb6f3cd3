"""Add channels to an OME-Zarr that is there already: the one place that writes into an input.

The name of a channel is written last. Until then readers find an entry without a name, and whoever
adds the same channels again begins anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..events import UserError
from .disk_errors import disk_errors
from .plate_writing import RECORD
from .plates import attributes_at

_AT_ONCE = 32  # planes in memory


def check_can_add(path: Path, names: Sequence[str]) -> bool:
    """Tell whether channels are there already; refuse an image that cannot take them.

    Parameters
    ----------
    path : Path
        The image.
    names : sequence of str
        The channels; float32.

    Returns
    -------
    bool
        Whether all of them are there.

    Raises
    ------
    UserError
        If the image has no channels, holds other numbers than float32 or float64, or is stored in
        such a way that voxels of its own would have to be written anew.
    """
    told = _told(path)
    labels = _labels(told)
    there = [name for name in names if name in labels]
    if len(there) == len(names):
        return True
    if there:
        raise UserError(f"{path} has a channel {there[0]} already, but not the others.")
    letters = [str(axis["name"]) for axis in told["multiscales"][0].get("axes", [])]
    if letters != list("tczyx"):
        raise UserError(f"{path} has not the axes t, c, z, y, x: write a plate beside it.")
    for folder in (path, path.parent, path.parent.parent.parent):
        if _is_consolidated(folder):
            raise UserError(
                f"The metadata of {folder} are consolidated, and would no longer be true: write a "
                "plate beside it."
            )
    first = _levels(path, told)[0]
    for level in _levels(path, told):
        stored = level.shards or level.chunks
        if stored[1] != 1:
            raise UserError(
                f"{path} stores {stored[1]} channels in one chunk, which would have to be written "
                "anew: write a plate beside it."
            )
        if level.dtype not in (np.dtype("float32"), np.dtype("float64")):
            raise UserError(
                f"{path} holds {level.dtype}, and a prediction is float32: write a plate beside it."
            )
        _factors(first, level, path)
    if not labels or first.shape[1] not in (len(labels), len(labels) + len(names)):
        raise UserError(
            f"{path} has {first.shape[1]} channels and names for {len(labels)}: write a plate "
            "beside it."
        )
    return False


def add_channels(path: Path, source: Path) -> None:
    """Add the channels of another image to one, on all its levels.

    Parameters
    ----------
    path : Path
        The image, for which `check_can_add` has given False.
    source : Path
        The other one, of the same size (t, z, y, x), with names for its channels.

    Raises
    ------
    UserError
        If the sizes differ, or the disk is full.
    """
    import zarr

    given = _told(source)
    new = _levels(source, given)[0]
    with disk_errors(path):
        group = zarr.open_group(path, mode="r+")
        told = _told(path)
        levels: list[Any] = [group[level["path"]] for level in told["multiscales"][0]["datasets"]]
        count = len(_labels(told))
        if (new.shape[0], *new.shape[2:]) != (levels[0].shape[0], *levels[0].shape[2:]):
            raise UserError(f"{source} has another size than {path}.")
        for level in levels:
            factors = _factors(levels[0], level, path)
            level.resize((level.shape[0], count + new.shape[1], *level.shape[2:]))
            _fill(level, new, count, factors)
        _name(group, [*told["omero"]["channels"], *given["omero"]["channels"]], source)


def _name(group: Any, channels: list[Any], source: Path) -> None:
    """Write how the channels were made, then their names."""
    import zarr

    made = zarr.open_group(source, mode="r").attrs.asdict().get(RECORD)
    if isinstance(made, dict):
        group.attrs[RECORD] = made
    attributes = group.attrs.asdict()
    told = attributes.get("ome", attributes)
    omero = {**told["omero"], "channels": channels}
    if "ome" in attributes:
        group.attrs["ome"] = {**told, "omero": omero}
    else:
        group.attrs["omero"] = omero


def _fill(level: Any, new: Any, first: int, factors: tuple[int, ...]) -> None:
    """Write the mean of blocks of voxels into the new entries of a level."""
    fz, fy, fx = factors
    planes, height, width = level.shape[2:]
    for time, channel in np.ndindex(new.shape[0], new.shape[1]):
        for start in range(0, planes, _AT_ONCE):
            stop = min(start + _AT_ONCE, planes)
            region = (slice(start * fz, stop * fz), slice(height * fy), slice(width * fx))
            part = np.asarray(new[(time, channel, *region)], np.float32)
            blocks = part.reshape(stop - start, fz, height, fy, width, fx)
            level[time, first + channel, start:stop] = blocks.mean((1, 3, 5))


def _factors(first: Any, level: Any, path: Path) -> tuple[int, ...]:
    """Return how many voxels (z, y, x) of the first level one of another stands for."""
    found = tuple(a // b for a, b in zip(first.shape[2:], level.shape[2:], strict=True))
    again = tuple(a // f for a, f in zip(first.shape[2:], found, strict=True) if f)
    if again != tuple(level.shape[2:]):
        raise UserError(
            f"The levels of {path} are no whole parts of the first: write a plate beside it."
        )
    return found


def _told(path: Path) -> dict[str, Any]:
    told = attributes_at(path)
    if told is None or not told.get("multiscales"):
        raise UserError(f"{path} is no OME-Zarr image.")
    return told


def _labels(told: dict[str, Any]) -> list[str]:
    return [str(c.get("label", "")) for c in told.get("omero", {}).get("channels", [])]


def _levels(path: Path, told: dict[str, Any]) -> list[Any]:
    import zarr

    group = zarr.open_group(path, mode="r")
    return [group[level["path"]] for level in told["multiscales"][0]["datasets"]]


def _is_consolidated(folder: Path) -> bool:
    if (folder / ".zmetadata").exists():
        return True
    try:
        known = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(known.get("consolidated_metadata"))
