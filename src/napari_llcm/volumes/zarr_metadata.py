"""What an OME-Zarr says of its image, in the words of version 0.4 or 0.5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .volume import Volume

if TYPE_CHECKING:
    import zarr

Version = Literal["0.4", "0.5"]
_FORMATS: dict[Version, Literal[2, 3]] = {"0.4": 2, "0.5": 3}
_KINDS: dict[str, dict[str, str]] = {"t": {"type": "time"}, "c": {"type": "channel"}}
_SEEN = (0.1, 99.9)  # percentiles of a channel between which a viewer shows it


def open_group(path: Any, version: Version, mode: Literal["w", "a", "r+"]) -> zarr.Group:
    """Open a group of the format of Zarr that a version of OME-Zarr has.

    Parameters
    ----------
    path : Path
        The folder.
    version : {"0.4", "0.5"}
        Of OME-Zarr.
    mode : {"w", "a", "r+"}
        As for `zarr.open_group`.
    """
    import zarr

    return zarr.open_group(path, mode=mode, zarr_format=_FORMATS[version])


def layout_of_array(version: Version, axes: str) -> dict[str, Any]:
    """Return how an array of a version is made: names of its axes, or of its chunks' files."""
    if version == "0.4":  # nested chunks: the specification asks for them
        return {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
    return {"dimension_names": list(axes)}


def format_of(version: Version) -> Any:
    """Return the writer's word for a version."""
    from ome_zarr.format import FormatV04, FormatV05

    return FormatV04() if version == "0.4" else FormatV05()


def describe_image(
    group: zarr.Group,
    datasets: Sequence[dict[str, Any]],
    like: Volume,
    *,
    labels: bool,
    version: Version,
) -> None:
    """Write the metadata of an image: axes, levels, channels.

    Parameters
    ----------
    group : zarr.Group
        The image, whose levels are there.
    datasets : sequence of dict
        Path and transformations of each level.
    like : Volume
        What the image is: axes, name, channels, and whether its voxel size is known.
    labels : bool
        Whether it holds labels.
    version : {"0.4", "0.5"}
        Of OME-Zarr.
    """
    from ome_zarr.writer import write_multiscales_metadata

    unit = {"unit": "micrometer"} if like.spacing else {}
    axes = [{"name": a, **_KINDS.get(a, {"type": "space", **unit})} for a in like.axes]
    write_multiscales_metadata(
        group, list(datasets), fmt=format_of(version), axes=axes, name=like.name
    )
    if like.channels:
        coarsest: Any = group[datasets[-1]["path"]]
        told = [_channel(c, _one(coarsest, like, i)) for i, c in enumerate(like.channels)]
        _add(group, version, {"omero": {"channels": told}})
    if labels:
        _add(group, version, {"image-label": {}})


def _one(level: Any, like: Volume, channel: int) -> np.ndarray:
    """Return a channel of a level, of a series at the middle time point."""
    at: dict[str, int] = {"c": channel}
    if "t" in like.axes:
        at["t"] = int(level.shape[like.axes.index("t")]) // 2
    return np.asarray(level[tuple(at.get(a, slice(None)) for a in like.axes)])


def _channel(label: str, values: np.ndarray) -> dict[str, Any]:
    """Return the entry of a channel; the specification asks for a colour and a window."""
    known = values[np.isfinite(values)]
    known = known if known.size else np.zeros(1)
    start, end = (float(v) for v in np.percentile(known, _SEEN))
    window = {"min": float(known.min()), "max": float(known.max()), "start": start, "end": end}
    return {"label": label, "active": True, "color": "FFFFFF", "window": window}


def _add(group: zarr.Group, version: Version, more: dict[str, Any]) -> None:
    if version == "0.4":
        group.attrs.update(more)
    else:
        known: Any = group.attrs.asdict().get("ome", {})
        group.attrs["ome"] = {**known, **more}
