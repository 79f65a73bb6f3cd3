"""Microscopes' own formats (CZI, LIF, ND2), by bioio."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ..events import UserError
from .images import StoredImage
from .read_errors import read_errors
from .units import FileGrid
from .volume import Volume


def bioio_images(path: Path) -> list[StoredImage]:
    """Return the scenes of a microscope's own format, each lazily.

    Raises
    ------
    UserError
        If bioio is not installed, or cannot read the file.
    """
    return [
        StoredImage(str(name), partial(_look, path, number), partial(_open, path, number))
        for number, name in enumerate(_scene(path, 0).scenes)
    ]


def _scene(path: Path, number: int) -> Any:
    """Return bioio's image of a file at one of its scenes."""
    try:
        from bioio import BioImage
    except ImportError as error:
        raise UserError(
            f"{path} is not a TIFF, OME-Zarr or NIfTI; to read a microscope's own format "
            '(CZI, ND2, LIF), run: pip install "napari-llcm[formats]"'
        ) from error
    with read_errors(path, "is not an image that bioio can read"):
        image = BioImage(path)
        image.set_scene(number)
        return image


def _look(path: Path, number: int) -> tuple[str, tuple[int, ...]]:
    image = _scene(path, number)
    with read_errors(path, "is not an image that bioio can read"):
        return image.dims.order.lower(), tuple(int(n) for n in image.shape)


def _open(path: Path, number: int) -> Volume:
    image = _scene(path, number)
    with read_errors(path, "is not an image that bioio can read"):
        size = image.physical_pixel_sizes  # in µm
        return Volume(
            image.dask_data,
            axes=image.dims.order.lower(),
            channels=tuple(str(name) for name in image.channel_names or ()),
            file_grid=FileGrid({a: (getattr(size, a.upper()), "µm") for a in "zyx"}),
        )
