"""Write OME-TIFF, which Fiji, napari and QuPath read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..events import UserError
from .atomic import whole_or_nothing
from .volume import Volume, planes

_CLASSIC_LIMIT = 2**32 - 2**25  # classic TIFF counts bytes in 32 bits; leave room for the tags


def write_tiff(path: Path, volume: Volume, *, overwrite: bool = False) -> None:
    """Write an OME-TIFF plane by plane; BigTIFF where the voxels need it.

    Raises
    ------
    UserError
        If the file exists, the disk is full, or OME-TIFF cannot hold the type of the voxels.
    """
    from tifffile import TiffWriter

    dtype = _ome_dtype(volume)
    metadata: dict[str, Any] = {"axes": volume.axes.upper(), "Name": volume.name}
    resolution: dict[str, Any] = {}
    if volume.spacing is not None:
        for axis, size in zip("ZYX", volume.spacing, strict=True):
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
        # For readers that know no OME, such as ImageJ without Bio-Formats: pixels per cm.
        resolution = {
            "resolution": (1e4 / volume.spacing[2], 1e4 / volume.spacing[1]),
            "resolutionunit": "CENTIMETER",
        }
    if any(volume.origin):
        metadata["Plane"] = _positions(volume)
    if volume.channels:
        metadata["Channel"] = {"Name": list(volume.channels)}
    if volume.metadata:
        metadata["Description"] = json.dumps({"napari_llcm": volume.metadata})
    big = int(np.prod(volume.shape)) * dtype.itemsize > _CLASSIC_LIMIT
    with (
        whole_or_nothing(path, overwrite=overwrite) as partial,
        TiffWriter(partial, ome=True, bigtiff=big) as writer,
    ):
        writer.write(
            _cast(planes(volume), dtype, volume.name),
            shape=volume.shape,
            dtype=dtype,
            photometric="minisblack",
            compression="zlib",
            metadata=metadata,
            **resolution,
        )


def _positions(volume: Volume) -> dict[str, list[Any]]:
    """Return where each plane lies; OME has no other place for the origin."""
    count = int(np.prod(volume.shape[:-2]))
    depth = volume.shape[-3] if "z" in volume.axes else 1
    step = volume.spacing[0] if volume.spacing else 0.0
    z, y, x = volume.origin
    along = {
        "Z": [z + step * (i % depth) for i in range(count)],
        "Y": [y] * count,
        "X": [x] * count,
    }
    return {f"Position{a}": values for a, values in along.items()} | {
        f"Position{a}Unit": ["µm"] * count for a in along
    }


def _ome_dtype(volume: Volume) -> np.dtype:
    """Return the type OME-TIFF has for these voxels (it has no bool, float16 or 64-bit integer)."""
    dtype = volume.dtype
    stand_in = {"b1": "u1", "f2": "f4", "i8": "i4", "u8": "u4"}
    dtype = np.dtype(stand_in.get(f"{dtype.kind}{dtype.itemsize}", dtype.str))
    if dtype.kind not in "iuf":
        raise UserError(f"{volume.name} holds {volume.dtype} voxels, which OME-TIFF cannot hold.")
    return dtype.newbyteorder("=")


def _cast(source: Iterator[np.ndarray], dtype: np.dtype, name: str) -> Iterator[np.ndarray]:
    for plane in source:
        cast = plane.astype(dtype, copy=False)
        if plane.dtype.kind in "iu" and not np.array_equal(cast, plane):
            raise UserError(f"{name} holds numbers too large for OME-TIFF: write an OME-Zarr.")
        yield cast
