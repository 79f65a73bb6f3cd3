"""Read TIFF, ImageJ TIFF and OME-TIFF."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .imagej import imagej_grid, plain_grid
from .ome_xml import companion_name, with_ome
from .read_errors import lazy, read_errors
from .tiff_planes import check_whole, no_lost_tags, with_planes_there
from .volume import Volume

if TYPE_CHECKING:
    from tifffile import TiffFile

_AT_ONCE = 2**22  # bytes that are read together


def read_tiff(path: Path) -> Volume:
    """Return the first image series of a TIFF file, lazily, with the file's own axes.

    Planes or files that an OME-TIFF promises and that are not there are noted.

    Raises
    ------
    UserError
        If the file is no TIFF, or cut short.
    """
    import zarr

    sentence = "is not a TIFF file, or is cut short or damaged: copy or export it again"
    with ExitStack() as on_error, read_errors(path, sentence):
        with no_lost_tags():
            tif, notes = _opened(path, on_error)
            series = tif.series[0]
            check_whole(tif, series)
        array = zarr.open_array(series.aszarr(level=0), mode="r")
        on_error.pop_all()  # the lazy array keeps the file open
        volume = Volume(lazy(array, path, _blocks(array)), axes=series.axes.lower(), notes=notes)
        if series.kind == "ome":
            volume = with_ome(volume, tif.ome_metadata or "")
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
