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
    if volume.spacing is not None or volume.scale != (1.0, 1.0, 1.0):
        unit = "µm" if volume.spacing else "pixel"  # OME's word for a size without a unit
        for axis, size in zip("zyx", volume.step, strict=True):
            if axis in volume.axes:
                key = f"PhysicalSize{axis.upper()}"
                metadata |= {key: size, f"{key}Unit": unit}
    if volume.spacing is not None:
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
    at = np.zeros((count, 3))
    at[:, 0] = np.arange(count) % depth
    unit = "µm" if volume.spacing else "reference frame"
    positions: dict[str, list[Any]] = {}
    for axis, places in zip("ZYX", (at @ volume.steps + volume.origin).T, strict=True):
        positions |= {f"Position{axis}": places.tolist(), f"Position{axis}Unit": [unit] * count}
    return positions


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
