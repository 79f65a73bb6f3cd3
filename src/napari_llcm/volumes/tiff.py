"""TIFF, ImageJ TIFF and OME-TIFF."""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from ..events import UserError
from .atomic import whole_or_nothing
from .axes import to_micron
from .volume import Spacing, Volume, planes

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

_CLASSIC_LIMIT = 2**32 - 2**25  # classic TIFF counts bytes in 32 bits; leave room for the tags
_AT_ONCE = 2**22  # bytes that are read together


def read_tiff(path: Path) -> Volume:
    """Return the first image series of a TIFF file, lazily, with the file's own axes.

    Raises
    ------
    UserError
        If the file is no TIFF, or cut short.
    """
    import dask.array as da
    import zarr
    from tifffile import TiffFile, TiffFileError

    with ExitStack() as on_error:
        try:
            with _no_lost_tags():
                tif = on_error.enter_context(TiffFile(path))
                series = tif.series[0]
                _check_whole(tif, series)
        except (TiffFileError, ValueError, IndexError, struct.error) as error:
            raise UserError(
                f"{path} is not a TIFF file, or is cut short or damaged: copy or export it again."
            ) from error
        array = zarr.open_array(series.aszarr(level=0), mode="r")
        on_error.pop_all()  # the lazy array keeps the file open
    volume = Volume(
        da.from_array(array, chunks=_blocks(array), name=False), axes=series.axes.lower()
    )
    if tif.is_ome and tif.ome_metadata:
        return _with_ome(volume, tif.ome_metadata)
    if tif.is_imagej:
        return volume.replace(spacing=_imagej_spacing(tif))
    return volume


def _blocks(array: Any) -> tuple[int, ...]:
    """Return the size of what is read at once: as many whole planes as are small together.

    Reading each by itself takes longer than unpacking it. Planes that are large by themselves are
    read by the file's own tiles or strips.
    """
    plane = int(np.prod(array.shape[-2:])) * array.dtype.itemsize
    if plane > _AT_ONCE:
        return tuple(array.chunks)
    *leading, y, x = array.shape
    depth = [min(leading.pop(), _AT_ONCE // max(plane, 1))] if leading else []
    return (*[1] * len(leading), *depth, y, x)


@contextmanager
def _no_lost_tags() -> Iterator[None]:
    """Raise a ValueError where tifffile logs a tag beyond the file's end (and goes on without)."""
    lost: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "invalid value offset" in record.getMessage():
                lost.append(record.getMessage())

    listener, logger = Listener(), logging.getLogger("tifffile")
    logger.addHandler(listener)
    try:
        yield
    finally:
        logger.removeHandler(listener)
    if lost:
        raise ValueError(lost[0])


def _check_whole(tif: TiffFile, series: TiffPageSeries) -> None:
    """Raise a ValueError where a directory or pixels end beyond the file's end."""
    where = tif.pages.next_page_offset
    if where is not None:
        tif.filehandle.seek(where)
        if tif.filehandle.read(tif.tiff.offsetsize).strip(b"\0"):
            raise ValueError("the last directory points to another one, which is not there")
    if series.dataoffset is not None:
        if series.dataoffset + series.nbytes > tif.filehandle.size:
            raise ValueError("pixels are missing")
        return
    for page in series.pages:
        if page is None:
            raise ValueError("planes are missing")
        ends = (o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False))
        if max(ends, default=0) > page.parent.filehandle.size:
            raise ValueError("pixels are missing")


def _with_ome(volume: Volume, xml: str) -> Volume:
    image = ElementTree.fromstring(xml).find("{*}Image")
    pixels = None if image is None else image.find("{*}Pixels")
    if image is None or pixels is None:
        return volume
    channels = tuple(c.get("Name") or "" for c in pixels.findall("{*}Channel"))
    return volume.replace(
        spacing=_ome_lengths(pixels, "PhysicalSize"),
        origin=_ome_lengths(pixels.find("{*}Plane"), "Position") or (0.0, 0.0, 0.0),
        channels=channels if all(channels) else (),
        metadata=_provenance(image.findtext("{*}Description")),
    )


def _ome_lengths(element: ElementTree.Element | None, stem: str) -> Spacing | None:
    if element is None:
        return None
    lengths = []
    for axis in "ZYX":
        value = element.get(f"{stem}{axis}")
        scale = to_micron(element.get(f"{stem}{axis}Unit", "µm"))
        if value is None or scale is None:
            return None
        lengths.append(float(value) * scale)
    return (lengths[0], lengths[1], lengths[2])


def _provenance(description: str | None) -> dict[str, Any]:
    try:
        record = json.loads(description or "")
    except ValueError:
        return {}  # a description in words, not ours
    return record.get("napari_llcm", {}) if isinstance(record, dict) else {}


def _imagej_spacing(tif: TiffFile) -> Spacing | None:
    """Return ImageJ's calibration: `spacing` for z, the resolution tags for y and x."""
    metadata = tif.imagej_metadata or {}
    tags = tif.pages.first.tags
    unit = metadata.get("unit")
    if unit is None and "ResolutionUnit" in tags:
        unit = {2: "inch", 3: "cm"}.get(int(tags["ResolutionUnit"].value))
    scale = to_micron(unit)
    ratios = [tags[t].value for t in ("YResolution", "XResolution") if t in tags]
    if (
        scale is None
        or "spacing" not in metadata
        or len(ratios) < 2
        or not all(r[0] for r in ratios)
    ):
        return None
    y, x = (scale * denominator / numerator for numerator, denominator in ratios)
    return (float(metadata["spacing"]) * scale, y, x)


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
