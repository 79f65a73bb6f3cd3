"""Which planes of a TIFF are there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .ome_xml import OmeImage
from .volume import Volume

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

_NAMES = {"t": "time point", "c": "channel", "z": "plane"}


@contextmanager
def no_lost_tags() -> Iterator[None]:
    """Raise a ValueError where tifffile logs a tag beyond the file's end (and goes on without)."""
    lost: list[str] = []

    class Listener(logging.Handler):
        """Collects what is said of lost tags."""

        def emit(self, record: logging.LogRecord) -> None:
            """Keep a message of that kind."""
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


def check_whole(tif: TiffFile, series: TiffPageSeries) -> None:
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
            continue  # only OME-XML promises planes that have no directory
        ends = (o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False))
        if max(ends, default=0) > page.parent.filehandle.size:
            raise ValueError("pixels are missing")


def with_planes_there(
    volume: Volume, image: OmeImage, series: TiffPageSeries, path: Path
) -> Volume:
    """Return what is there of an OME-TIFF, and note what its description promises besides.

    Time points and channels of which nothing is there are left out, planes at the end of the
    stack too; so are time points of which a part is missing, as long as there is a whole one.
    Other gaps are left empty.

    Parameters
    ----------
    volume : Volume
        All that is promised.
    image : OmeImage
        What promises it.
    series : tifffile.TiffPageSeries
        Its pages, which are None where they are not there.
    path : Path
        The file.
    """
    pages = [page is not None for page in series.pages]
    there = np.array(pages).reshape(volume.shape[: volume.data.ndim - len(series.keyframe.shape)])
    if there.all():
        return volume
    beside = not_beside(path, image.files)
    said = [f"{path.name} promises {there.size} planes, of which {there.sum()} are there{beside}"]
    letters, promised = volume.axes[: there.ndim], there.shape
    kept = {axis: np.arange(n) for axis, n in zip(letters, promised, strict=True)}
    for axis in letters:
        any_there = np.flatnonzero(there.any(_others(letters, axis)))
        # a plane in the middle of a stack keeps its place
        at = np.arange(any_there[-1] + 1) if axis == "z" else any_there
        kept[axis], there = kept[axis][at], there.take(at, letters.index(axis))
    whole = np.flatnonzero(there.all(_others(letters, "t"))) if "t" in letters else np.array([])
    if len(whole):
        kept["t"], there = kept["t"][whole], there.take(whole, letters.index("t"))
    for axis, n in zip(letters, promised, strict=True):
        if len(kept[axis]) < n:
            said.append(_numbers(_NAMES.get(axis, axis), kept[axis], n))
            volume = _taken(volume, axis, kept[axis])
    if not there.all():
        said.append(f"{(~there).sum()} planes as empty ones")
    return volume.noted(f"{said[0]}; opened are {', '.join(said[1:])}.")


def not_beside(path: Path, files: Sequence[str]) -> str:
    """Return, in brackets, which files are not where they should be; empty if all are."""
    lost = [name for name in files if not path.with_name(name).is_file()]
    if not lost:
        return ""
    words = "is" if len(lost) == 1 else "are"
    return f" ({', '.join(lost[:3])}{', …' * (len(lost) > 3)} {words} not beside it)"


def _others(letters: str, axis: str) -> tuple[int, ...]:
    return tuple(i for i, letter in enumerate(letters) if letter != axis)


def _taken(volume: Volume, axis: str, kept: np.ndarray) -> Volume:
    index = [kept if a == axis else slice(None) for a in volume.axes]
    names = volume.channels
    if axis == "c" and names:
        names = tuple(names[i] for i in kept)
    return volume.replace(data=volume.data[tuple(index)], channels=names)


def _numbers(word: str, kept: np.ndarray, count: int) -> str:
    first, last = int(kept[0]), int(kept[-1])
    word += "s" * (len(kept) > 1)
    if last - first + 1 == len(kept):
        return f"{word} {first}{f' to {last}' * (last > first)} of {count}"
    return f"{word} {', '.join(str(int(i)) for i in kept)} of {count} (numbered from 0 here)"
