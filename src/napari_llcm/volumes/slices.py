"""Folders of numbered planes, and single pictures."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from ..events import UserError
from .dicom import is_dicom
from .images import StoredImage
from .plane_names import Series, find_series, listed
from .read_errors import read_errors
from .tiff import tiff_grid
from .volume import Volume

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
_DAMAGED = "cannot be read: it is not an image, or is damaged"
_LOOKED_AT = 8  # files
_PLANES = (".tif", ".tiff", *PICTURES)


def folder_images(path: Path) -> list[StoredImage]:
    """Return the series of planes in a folder, by their names, each as one lazy image.

    Names tell planes, channels and time points apart (`find_series`); a plane that is missing stays
    empty, one that belongs to no series is left out, and both are noted.

    Raises
    ------
    UserError
        If the folder holds no planes, or, when it is opened, planes that are not alike.
    """
    files = plane_files(path)
    if not files:
        raise UserError(f"{path} is a folder without images (TIFF or PNG planes).")
    if not holds_planes(path):
        raise UserError(
            f"{files[0]} is not a single grey plane: to read a stack, name its file, "
            "not its folder."
        )
    found = find_series(files)
    series = [one for one in found if len(one.files) > 1] or found[:1]
    strays = [file.name for one in found if one not in series for file in one.files.values()]
    if len(found) > 1 and len(series[0].files) == 1:
        raise UserError(
            f"The names of the {len(files)} images in {path} ({listed([f.name for f in files])}) "
            "hold no numbers that would make them the planes of a stack: number them."
        )
    notes = []
    if strays:
        verb = "belong" if len(strays) > 1 else "belongs"
        notes = [f"{listed(strays)} in {path.name} {verb} to no series of planes: left out."]
    return [
        StoredImage(one.name, partial(_look, one), partial(_open, path, one), tuple(notes))
        for one in series
    ]


def plane_files(path: Path) -> list[Path]:
    """Return the files in a folder that may be planes, in the order of their numbers."""
    there = (f for f in path.iterdir() if f.suffix.lower() in _PLANES and f.name[0] != ".")
    return sorted(there, key=_natural)


def holds_planes(path: Path) -> bool:
    """Whether most images of a folder, a few being looked at, are single planes and not stacks."""
    files = plane_files(path)
    if not files:
        return any(f.is_file() and f.name[0] != "." and is_dicom(f) for f in path.iterdir())
    flat = []
    for file in files[:: max(len(files) // _LOOKED_AT, 1)]:
        with suppress(UserError):  # a damaged file tells nothing of the others
            flat.append(len(_describe(file)[0]) == 2)
    return 2 * sum(flat) > len(flat)


def _look(series: Series) -> tuple[str, tuple[int, ...]]:
    shape = tuple(len(n) for n in series.numbers())
    plane = _describe(next(iter(series.files.values())))[0]
    return (f"{series.axes or 'z'}yx", (*(shape or (1,)), *plane))


def _open(path: Path, series: Series) -> Volume:
    import dask.array as da
    from dask.delayed import delayed

    files = list(series.files.values())
    shape, dtype = _describe(files[0])
    for file in files[1:]:
        other = _describe(file)
        if other != (shape, dtype):
            raise UserError(
                f"{file.name} is {_words(*other)}, but {files[0].name} is {_words(shape, dtype)}: "
                f"the planes in {path} must be alike."
            )
    if series.twice:
        raise UserError(
            f"{series.twice[0].name} in {path} has the same number as another plane: keep one."
        )
    load = delayed(_load)
    empty = da.zeros(shape, dtype, chunks=shape)
    planes = [
        empty if f is None else da.from_delayed(load(f), shape=shape, dtype=dtype)
        for f in series.grid()
    ]
    axes, sizes = _look(series)
    volume = Volume(da.stack(planes).reshape(sizes), axes=axes, channels=series.channels)
    if files[0].suffix.lower() not in PICTURES:
        volume = volume.replace(file_grid=tiff_grid(files[0]))
    told = [f"{len(series.channels)} channels ({listed(series.channels)})"] * ("c" in axes)
    told += [f"{sizes[0]} time points"] * ("t" in axes)
    if told:
        volume = volume.noted(f"The planes in {path.name} are of {' and '.join(told)}, by name.")
    if "t" in axes and (times := series.numbers()[0])[0] != 0:
        volume = volume.noted(
            f"The time points in {path.name} are numbered from {times[0]} in the names of their "
            "planes, and from 0 here."
        )
    if missing := series.missing():
        verb = "are missing and stay" if len(missing) > 1 else "is missing and stays"
        volume = volume.noted(f"Of the planes in {path.name}, {listed(missing)} {verb} empty.")
    if not series.is_even():
        volume = volume.noted(
            f"The planes in {path.name} are not numbered in even steps: they are taken to lie at "
            "even distances."
        )
    return volume


def read_picture(path: Path) -> Volume:
    """Return a PNG or JPEG picture: axes "yx", or "yxs" in colour.

    Raises
    ------
    UserError
        If the file is no picture, or damaged.
    """
    data = _load(path)
    return Volume(data, axes="yxs" if data.ndim == 3 else "yx")


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort z2 before z10."""
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", path.name.lower())]


def _load(path: Path) -> np.ndarray:
    import imageio.v3
    import tifffile

    with read_errors(path, _DAMAGED):
        if path.suffix.lower() in PICTURES:
            return np.asarray(imageio.v3.imread(path))
        return tifffile.imread(path, is_ome=False)


def _describe(path: Path) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and type of a plane from its header."""
    import imageio.v3
    import tifffile

    with read_errors(path, _DAMAGED):
        if path.suffix.lower() in PICTURES:
            header = imageio.v3.improps(path)
            return header.shape, header.dtype
        # Planes of one OME-TIFF in many files name each other: each is read as itself.
        with tifffile.TiffFile(path, is_ome=False) as tif:
            return tif.series[0].shape, tif.series[0].dtype


def _words(shape: tuple[int, ...], dtype: np.dtype) -> str:
    return f"{' × '.join(str(n) for n in shape)} {dtype}"
