"""Read TIFF, ImageJ TIFF and OME-TIFF."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import finalize

import numpy as np

from ..events import UserError
from .imagej import imagej_grid, plain_grid
from .images import StoredImage
from .ome_xml import OmeImage, companion_name, is_xml, ome_images, with_ome
from .read_errors import lazy, read_errors
from .tiff_planes import check_whole, no_lost_tags, not_beside, with_planes_there
from .units import FileGrid
from .volume import Volume

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

_DAMAGED = "is not a TIFF file, or is cut short or damaged: copy or export it again"
_AT_ONCE = 2**22  # bytes that are read together


def tiff_images(path: Path) -> list[StoredImage]:
    """Return the image series of a TIFF file, each lazily, with the file's own axes.

    The levels of a pyramid are one series. Of an OME-TIFF in several files those images are
    returned that have planes in this one, or all for its companion file. Planes or files that it
    promises and that are not there are noted.

    Raises
    ------
    UserError
        If the file is no TIFF; of a series that is cut short, when it is opened.
    """
    with ExitStack() as on_error, read_errors(path, _DAMAGED), no_lost_tags():
        tif, notes = _opened(path, on_error)
        found, every = [], _series(tif, path)
        notes = (*notes, *_undescribed(tif, every, path, bool(notes)))
        for number, (series, image) in enumerate(every):
            name = series.name if image is None else image.field or image.name
            look, opening = partial(_look, series), partial(_open, path, tif, series, image, number)
            found.append(StoredImage(name, look, opening, notes))
        if not found:
            raise ValueError("it holds no image")
        on_error.pop_all()
        finalize(tif, tif.filehandle.close)  # once no lazy array needs it any more
    return found


def tiff_grid(path: Path) -> FileGrid:
    """Return what a TIFF that is one plane of a stack says about the grid.

    Raises
    ------
    UserError
        If the file is no TIFF.
    """
    from tifffile import TiffFile

    with read_errors(path, _DAMAGED), TiffFile(path) as tif:
        found = ome_images(tif.ome_metadata or "")
        if found:
            return with_ome(Volume(np.empty(0)), found[0]).file_grid or FileGrid()
        return imagej_grid(tif) if tif.is_imagej else plain_grid(tif)


def _series(tif: TiffFile, path: Path) -> list[tuple[TiffPageSeries, OmeImage | None]]:
    """Return the series of a file, each with its image where OME-XML describes it."""
    series = list(tif.series)
    if not (series and series[0].kind == "ome"):
        return [(one, None) for one in series]
    # An image of which nothing is there has no series.
    images = [
        image
        for image in ome_images(tif.ome_metadata or "")
        if not image.files or any(path.with_name(name).is_file() for name in image.files)
    ]
    found: list[tuple[TiffPageSeries, OmeImage | None]] = []
    for one in series:
        while len(images) > len(series) - len(found) and images[0].name != one.name:
            images.pop(0)  # nor has one of which every plane is missing from a file that is there
        found.append((one, images.pop(0) if images else None))
    if path.suffix.lower() == ".ome":
        return found
    own = path.resolve().name  # a link's own name is not the one that tifffile opens
    return [f for f in found if any(p and p.parent.filename == own for p in f[0].pages)]


def _undescribed(
    tif: TiffFile, found: list[tuple[TiffPageSeries, OmeImage | None]], path: Path, told: bool
) -> tuple[str, ...]:
    """Return a sentence if the OME-XML of a file does not fit its planes."""
    if not tif.is_ome or told or path.suffix.lower() == ".ome":
        return ()
    if any(image is None for _, image in found):
        return (
            f"The description in {path.name} does not fit its planes: axes, channels and voxel "
            "size that it tells are not used.",
        )
    named = sum(page is not None and page.parent is tif for s, _ in found for page in s.pages)
    if named and named < len(tif.pages):
        return (
            f"{path.name} holds {len(tif.pages)} planes, of which its description names {named}: "
            "the others are left out.",
        )
    return ()


def _look(series: TiffPageSeries) -> tuple[str, tuple[int, ...]]:
    return series.axes.lower(), tuple(int(n) for n in series.shape)


def _open(
    path: Path, tif: TiffFile, series: TiffPageSeries, image: OmeImage | None, number: int
) -> Volume:
    with read_errors(path, _DAMAGED):
        with no_lost_tags():
            check_whole(tif, series)
        array = _finest(series)
        data = lazy(array, path, _blocks(array), partial(_again, path, number))
        volume = Volume(data, axes=series.axes.lower())
        if image is not None:
            return with_planes_there(with_ome(volume, image), image, series, path)
        return volume.replace(file_grid=imagej_grid(tif) if tif.is_imagej else plain_grid(tif))


def _finest(series: TiffPageSeries) -> Any:
    import zarr

    return zarr.open_array(series.aszarr(level=0), mode="r")


def _again(path: Path, number: int) -> Any:
    """Return the voxels of a series of a file that was found to be whole before."""
    with ExitStack() as on_error:
        tif, _ = _opened(path, on_error)
        series, _ = _series(tif, path)[number]
        on_error.pop_all()
        finalize(tif, tif.filehandle.close)
        return _finest(series)


def _opened(path: Path, on_error: ExitStack) -> tuple[TiffFile, tuple[str, ...]]:
    """Open the file, with its description where that is in a companion file, or is the file."""
    from tifffile import TiffFile

    if path.suffix.lower() == ".ome":
        xml = path.read_text(encoding="utf-8")
        files = [name for image in ome_images(xml) for name in image.files]
        first = next((name for name in files if path.with_name(name).is_file()), None)
        if first is None:
            raise UserError(
                f"{path} describes an OME-TIFF of which no file is there{not_beside(path, files)}."
            )
        return on_error.enter_context(TiffFile(path.with_name(first), omexml=xml)), ()
    tif = on_error.enter_context(TiffFile(path))
    if tif.is_ome and not is_xml(tif.ome_metadata):
        sentence = (
            f"The description in {path.name} is damaged (it is no XML): its axes, channels and "
            "voxel size are not known."
        )
        tif.close()
        return on_error.enter_context(TiffFile(path, is_ome=False)), (sentence,)
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
    tif.close()
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
