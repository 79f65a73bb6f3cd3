"""Folders of numbered planes, and single pictures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..events import UserError
from .volume import Volume

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
_PLANES = (".tif", ".tiff", *PICTURES)


def read_folder(path: Path) -> Volume:
    """Return the planes of a folder, in the order of their numbers, as one lazy z stack.

    Raises
    ------
    UserError
        If the folder holds no images, or images that are not planes of one size and type.
    """
    import dask.array as da
    from dask.delayed import delayed

    files = sorted(
        (f for f in path.iterdir() if f.suffix.lower() in _PLANES and f.name[0] != "."),
        key=_natural,
    )
    if not files:
        raise UserError(f"{path} is a folder without images (TIFF or PNG planes).")
    shape, dtype = _describe(files[0])
    if len(shape) != 2:
        raise UserError(
            f"{files[0]} is not a single grey plane: to read a stack, name its file, "
            "not its folder."
        )
    for file in files[1:]:
        other = _describe(file)
        if other != (shape, dtype):
            raise UserError(
                f"{file.name} is {_words(*other)}, but {files[0].name} is {_words(shape, dtype)}: "
                f"the planes in {path} must be alike."
            )
    load = delayed(_load)
    planes = [da.from_delayed(load(f), shape=shape, dtype=dtype) for f in files]
    return Volume(da.stack(planes), axes="zyx")


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

    try:
        if path.suffix.lower() in PICTURES:
            return np.asarray(imageio.v3.imread(path))
        return tifffile.imread(path)
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{path} cannot be read: it is not an image, or is damaged.") from error


def _describe(path: Path) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and type of a plane from its header."""
    import imageio.v3
    import tifffile

    try:
        if path.suffix.lower() in PICTURES:
            header = imageio.v3.improps(path)
            return header.shape, header.dtype
        with tifffile.TiffFile(path) as tif:
            return tif.series[0].shape, tif.series[0].dtype
    except (OSError, ValueError, SyntaxError, IndexError) as error:
        raise UserError(f"{path} cannot be read: it is not an image, or is damaged.") from error


def _words(shape: tuple[int, ...], dtype: np.dtype) -> str:
    return f"{' × '.join(str(n) for n in shape)} {dtype}"
