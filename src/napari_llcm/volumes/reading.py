"""Read a volume from any format a microscope or a colleague may hand over."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ..events import UserError
from .atomic import is_zarr
from .axes import arranged
from .nifti import read_nifti
from .options import ChoiceNeeded, ReadOptions, options_from
from .read_errors import read_errors
from .slices import PICTURES, read_folder, read_picture
from .tiff import read_tiff
from .units import FileGrid, calibrated
from .volume import Volume
from .zarr_reading import read_zarr

_COLOURS = ("red", "green", "blue", "alpha")


def read(
    path: Path | str,
    options: ReadOptions | None = None,
    *,
    axes: str | None = None,
    spacing: Sequence[float] | None = None,
    channels: Sequence[str] | None = None,
    channel: int | str | None = None,
    time: int | None = None,
    image: int | str | None = None,
) -> Volume:
    """Open a volume lazily, with axes, spacing and channel names as the file gives them.

    Parameters
    ----------
    path : Path or str
        TIFF, ImageJ TIFF, OME-TIFF, a folder of numbered planes, OME-Zarr 0.4 or 0.5, NIfTI, or
        a microscope's own format where bioio can read it. Of a file with several images the
        first is read.
    options : ReadOptions, optional
        The choices below as one value; those given by themselves overrule it.
    axes : str, optional
        What the file's axes are, in its order, such as "tzyx"; in place of the file's word.
    spacing : sequence of float, optional
        Voxel size (z, y, x) in µm; in place of the file's word.
    channels : sequence of str, optional
        Channel names; in place of the file's.
    channel, time : int or str, optional
        Return the z-y-x volume of this channel (number or name) and time point.
    image : int or str, optional
        Image of a file that holds several: number or name.

    Returns
    -------
    Volume
        Axes within "tczyx", in that order; `spacing` is None where the file does not tell it.

    Raises
    ------
    UserError
        If there is no such file, or it is empty, damaged, or of a kind that cannot be read.
    """
    chosen = options_from(
        options, axes=axes, spacing=spacing, channel=channel, time=time, image=image
    )
    axes, spacing = chosen.axes, chosen.spacing
    channel, time = chosen.channel, chosen.time
    path = Path(path).expanduser()
    if not path.exists():
        raise UserError(f"There is no file or folder {path}.")
    if path.is_file() and path.stat().st_size == 0:
        raise UserError(f"{path} is an empty file.")
    with read_errors(path):
        found = _reader(path)(path)
    found = found.replace(name=stem(path), source=str(path))
    if 0 in found.shape:
        raise UserError(f"{path} is an empty image.")
    colour = axes is None and "s" in found.axes and found.shape[found.axes.index("s")] > 1
    volume = calibrated(arranged(found, axes), spacing)
    if colour:
        if channel is None:
            raise UserError(
                f"{path} is a colour (RGB) image: save it in grey, or choose red, green or blue "
                "as its channel."
            )
        volume = volume.replace(channels=_COLOURS[: volume.shape[volume.axes.index("c")]])
    volume = volume.replace(channels=_channels(volume, channels))
    if channel is not None or time is not None:
        return volume.select(channel, time)
    return volume


def read_role(path: Path | str, options: ReadOptions, role: str | None) -> Volume:
    """Return the z-y-x volume of one of a verb's inputs.

    Parameters
    ----------
    path : Path or str
        As for `read`.
    options : ReadOptions
        How the verb's files are read.
    role : str, optional
        Which of them it is: a field of `options`.

    Raises
    ------
    UserError
        If it cannot be read, or a choice is needed; that one tells its role.
    """
    try:
        return read(path, options.of(role)).select()
    except ChoiceNeeded as error:
        raise error.of(role) from error


def stem(path: Path) -> str:
    """Return a file's name without its (possibly double) suffix: "a.ome.tif" gives "a"."""
    return re.sub(r"(\.(ome|nii))?\.[a-z]\w*$", "", path.name, flags=re.IGNORECASE)


def _reader(path: Path) -> Callable[[Path], Volume]:
    suffix = path.suffix.lower()
    if path.is_dir():
        return read_zarr if is_zarr(path) or suffix == ".zarr" else read_folder
    if suffix in (".tif", ".tiff"):
        return read_tiff
    if path.name.lower().endswith((".nii", ".nii.gz")):
        return read_nifti
    if suffix in PICTURES:
        return read_picture
    return _read_bioio


def _read_bioio(path: Path) -> Volume:
    """Return the first scene of a microscope's own format.

    Raises
    ------
    UserError
        If bioio is not installed, or cannot read the file.
    """
    try:
        from bioio import BioImage
    except ImportError as error:
        raise UserError(
            f"{path} is not a TIFF, OME-Zarr or NIfTI; to read a microscope's own format "
            '(CZI, ND2, LIF), run: pip install "napari-llcm[formats]"'
        ) from error
    with read_errors(path, "is not an image that bioio can read"):
        image = BioImage(path)
        data = image.dask_data
        size = image.physical_pixel_sizes  # in µm
        return Volume(
            data,
            axes=image.dims.order.lower(),
            channels=tuple(str(name) for name in image.channel_names or ()),
            file_grid=FileGrid({a: (getattr(size, a.upper()), "µm") for a in "zyx"}),
        )


def _channels(volume: Volume, names: Sequence[str] | None) -> tuple[str, ...]:
    count = volume.shape[volume.axes.index("c")] if "c" in volume.axes else 1
    if names is None:
        return volume.channels if len(volume.channels) == count and count > 1 else ()
    if len(names) != count:
        raise UserError(f"{volume.name} has {count} channels, but {len(names)} names were given.")
    return tuple(names)
