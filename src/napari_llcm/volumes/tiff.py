"""Read TIFF, ImageJ TIFF and OME-TIFF."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .imagej import imagej_grid, plain_grid
from .images import StoredImage
from .ome_xml import companion_name, with_ome
from .read_errors import lazy, read_errors
from .tiff_planes import check_whole, no_lost_tags, with_planes_there
from .volume import Volume

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

_DAMAGED = "is not a TIFF file, or is cut short or damaged: copy or export it again"
_AT_ONCE = 2**22  # bytes that are read together


def tiff_images(path: Path) -> list[StoredImage]:
    """Return the image series of a TIFF file, each lazily, with the file's own axes.

    The levels of a pyramid are one series. Planes or files that an OME-TIFF promises and that are
    not there are noted.

    Raises
    ------
    UserError
        If the file is no TIFF; of a series that is cut short, when it is opened.
    """
    with ExitStack() as on_error, read_errors(path, _DAMAGED), no_lost_tags():
        tif, notes = _opened(path, on_error)
        found = [
            StoredImage(
                series.name, partial(_look, series), partial(_open, path, tif, series, number)
            )
            for number, series in enumerate(tif.series)
        ]
        if not found:
            raise ValueError("it holds no image")
        on_error.pop_all()  # the lazy arrays keep the file open
    return [replace(image, notes=notes) for image in found]


def _look(series: TiffPageSeries) -> tuple[str, tuple[int, ...]]:
    return series.axes.lower(), tuple(int(n) for n in series.shape)


def _open(path: Path, tif: TiffFile, series: TiffPageSeries, number: int) -> Volume:
    import zarr

    with read_errors(path, _DAMAGED):
        with no_lost_tags():
            check_whole(tif, series)
        array = zarr.open_array(series.aszarr(level=0), mode="r")
        volume = Volume(lazy(array, path, _blocks(array)), axes=series.axes.lower())
        if series.kind == "ome":
            volume = with_ome(volume, tif.ome_metadata or "", number)
            return with_planes_there(volume, tif, series, path)
        return volume.replace(file_grid=imagej_grid(tif) if tif.is_imagej else plain_grid(tif))


def _opened(path: Path, on_error: ExitStack) -> tuple[TiffFile, tuple[str, ...]]:
    """Open the file, with its description where that is in a companion file."""
    from tifffile import TiffFile

    tif = on_error.enter_context(TiffFile(path))
    name = companion_name(tif.ome_metadata) if tif.is_ome else None
    if name is None:
        return tif, ()
    companion = path.with_name(Path(name).name)
    if not companion.is_file():
        sentence = (
            f"{path.name} belongs to an OME-TIFF whose description is in {name}, which is not "
            "beside it: its axes, channels and voxel size are not known."
        )
        return tif, (sentence,)
    xml = companion.read_text(encoding="utf-8")
    return on_error.enter_context(TiffFile(path, omexml=xml)), ()


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
