"""Which way the axes of a volume run in space."""

from __future__ import annotations

from typing import Any

import numpy as np

from .volume import Orientation, Spacing, Volume

UPRIGHT: Orientation = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def steps_apart(steps: Any) -> tuple[Spacing, Orientation]:
    """Return lengths and directions of steps from voxel to voxel.

    Parameters
    ----------
    steps : array-like
        3 × 3: a row (z, y, x) for one step along each of the axes z, y and x.
    """
    steps = np.asarray(steps, float)
    # Of a step along one axis of space the length is exactly that number.
    straight = np.count_nonzero(steps, axis=1) == 1
    lengths = np.where(straight, np.abs(steps).max(1), np.linalg.norm(steps, axis=1))
    directions = steps / np.where(lengths, lengths, 1.0)[:, None] + 0.0  # no -0
    z, y, x = (tuple(row) for row in directions.tolist())
    return tuple(lengths.tolist()), (z, y, x)


def is_upright(volume: Volume) -> bool:
    """Tell whether each axis runs along its own in space, as far as is known."""
    return volume.orientation is None or np.allclose(volume.orientation, np.eye(3), atol=1e-6)


def mirrored_axes(volume: Volume) -> str:
    """Return which axes run backwards; none if the volume is turned."""
    if volume.orientation is None:
        return ""
    directions = np.asarray(volume.orientation)
    if not np.allclose(np.abs(directions), np.eye(3), atol=1e-6):
        return ""
    return "".join(a for a, d in zip("zyx", np.diag(directions), strict=True) if d < 0)


def unmirrored(volume: Volume) -> Volume:
    """Return the volume with the axes that run backwards turned round: no voxel moves in space."""
    axes = mirrored_axes(volume)
    if not axes:
        return volume
    last = [n - 1 if a in axes else 0 for a, n in zip(volume.axes, volume.shape, strict=True)]
    corner = dict(zip(volume.axes, last, strict=True))
    z, y, x = (np.array([corner.get(a, 0) for a in "zyx"]) @ volume.steps + volume.origin).tolist()
    index = tuple(slice(None, None, -1 if a in axes else 1) for a in volume.axes)
    return volume.replace(data=sliceable(volume.data)[index], origin=(z, y, x), orientation=UPRIGHT)


def upright(volume: Volume) -> Volume:
    """Return the volume with axes swapped and turned round so that each runs along its own.

    No voxel moves in space. A volume that is turned by other than right angles stays as it is.
    """
    if volume.orientation is None or not set("zyx") <= set(volume.axes):
        return volume
    directions = np.asarray(volume.orientation)
    source = np.abs(directions).argmax(0)  # of each axis in space, which of the array runs along it
    if not np.allclose(np.abs(directions[source]), np.eye(3), atol=1e-6):
        return volume
    order = [
        volume.axes.index("zyx"[source["zyx".index(a)]]) if a in "zyx" else i
        for i, a in enumerate(volume.axes)
    ]
    sizes, turned = steps_apart(volume.steps[source])
    swapped = volume.replace(data=volume.data.transpose(order), orientation=turned)
    known = volume.spacing is not None
    return unmirrored(swapped.replace(spacing=sizes) if known else swapped.replace(scale=sizes))


def sliceable(data: Any) -> Any:
    """Return an array that can be indexed, also backwards, without being read."""
    if isinstance(data, np.ndarray) or hasattr(data, "dask"):
        return data
    import dask.array as da

    # As it is stored, or plane by plane: dask reads whole chunks, those of its own choice are of
    # 128 MB. A name would be made from the voxels, and read them.
    chunks = getattr(data, "chunks", None) or (1,) * (data.ndim - 2) + tuple(data.shape[-2:])
    return da.from_array(data, chunks=chunks, name=False)
