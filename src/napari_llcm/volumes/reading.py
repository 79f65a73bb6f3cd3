"""Read a volume from any format a microscope or a colleague may hand over."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..events import UserError
from .atomic import is_zarr
from .axes import arranged
from .bioio_reading import bioio_images
from .dicom import dicom_images, holds_dicom, is_dicom, refuse_single
from .images import StoredImage, pick_image
from .nifti import read_nifti
from .options import ChoiceNeeded, ReadOptions, options_from
from .plates import is_plate
from .read_errors import read_errors
from .slices import PICTURES, folder_images, plane_files, read_picture
from .tiff import tiff_images
from .units import calibrated
from .volume import Volume
from .zarr_reading import zarr_images

_COLOURS = ("red", "green", "blue", "alpha")
_DYES = ("dapi", "hoechst", "draq")
# Words by which microscopes and people name a channel; ours are "dapi" and "spread".
CHANNEL_NAMES: dict[str, tuple[str, ...]] = {
    "qpi": ("phase", "qpi", "dpc", "qobm", "odt"),
    "dapi": _DYES,
    "truth": _DYES,
    "stain": _DYES,
    "labels": ("labels", "nuclei", "mask", "masks"),
}


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
        TIFF, ImageJ TIFF, OME-TIFF, a folder of numbered planes, OME-Zarr 0.4 or 0.5, NIfTI, a
        folder with a DICOM series, or a microscope's own format where bioio can read it. Of a
        file with several images the first stack is read, and a note says so; of several series
        in a folder one must be chosen.
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
        found = _picked(path, chosen.image)
    found = found.replace(name=" ".join([stem(path), found.name]).rstrip(), source=str(path))
    if 0 in found.shape:
        raise UserError(f"{path} is an empty image.")
    volume = calibrated(arranged(found, axes), spacing)
    if axes is not None:
        volume = volume.replace(chosen={**volume.chosen, "axes": axes})
    elif "s" in found.axes and "c" in volume.axes and not volume.channels:
        volume = volume.replace(channels=_COLOURS[: volume.shape[volume.axes.index("c")]])
    volume = volume.replace(channels=_channels(volume, channels))
    if channel is not None or time is not None:
        return volume.select(channel, time)
    return volume


def _picked(path: Path, image: int | str | None) -> Volume:
    """Return the image of a file that is chosen; of a plate or well it is named by its path."""
    inner = path / str(image)
    if image is not None and is_zarr(path) and is_zarr(inner):
        if not is_plate(path):
            with suppress(UserError):  # of a well
                return pick_image(path, stored_images(path), image)
        name = str(image).replace("/", " ")
        return pick_image(inner, stored_images(inner), None).replace(
            name=name, chosen={"image": image}
        )
    planes = path.is_dir() and not is_zarr(path)
    return pick_image(path, stored_images(path), image, must=planes)


def read_role(
    path: Path | str, options: ReadOptions, role: str | None, kind: str | None = None
) -> Volume:
    """Return the z-y-x volume of one of a verb's inputs.

    Parameters
    ----------
    path : Path or str
        As for `read`.
    options : ReadOptions
        How the verb's files are read.
    role : str, optional
        Which of them it is: a field of `options`.
    kind : str, optional
        What it shall show, a key of `CHANNEL_NAMES`; as `role` if none. Of several channels, the
        one that is called so is taken, with a note.

    Raises
    ------
    UserError
        If it cannot be read, or a choice is needed; that one tells its role.
    """
    chosen = options.of(role)
    known = CHANNEL_NAMES.get(kind or role or "", ())
    try:
        volume = read(path, chosen.model_copy(update={"channel": None, "time": None}))
        return volume.select(chosen.channel, chosen.time, known)
    except ChoiceNeeded as error:
        raise error.of(role) from error


def stem(path: Path) -> str:
    """Return a file's name without its (possibly double) suffix: "a.ome.tif" gives "a"."""
    return re.sub(r"(\.(ome|nii))?\.[a-z]\w*$", "", path.name, flags=re.IGNORECASE)


def stored_images(path: Path) -> list[StoredImage]:
    """Return the images that a file or folder holds, not opened yet.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        if is_zarr(path) or suffix == ".zarr":
            return zarr_images(path)
        if not plane_files(path) and holds_dicom(path):
            return dicom_images(path)
        return folder_images(path)
    if suffix in (".tif", ".tiff") or path.name.lower().endswith(".companion.ome"):
        return tiff_images(path)
    if path.name.lower().endswith((".nii", ".nii.gz")):
        return [StoredImage.of(read_nifti(path))]
    if suffix in PICTURES:
        return [StoredImage.of(read_picture(path))]
    if is_dicom(path):
        refuse_single(path)
    return bioio_images(path)


def image_labels(path: Path) -> list[tuple[str, bool]]:
    """Return the label of each image that a file holds, and whether it is a stack.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    return [(one.label(i), one.is_stack) for i, one in enumerate(stored_images(path))]


def _channels(volume: Volume, names: Sequence[str] | None) -> tuple[str, ...]:
    count = volume.shape[volume.axes.index("c")] if "c" in volume.axes else 1
    if names is None:
        return volume.channels if len(volume.channels) == count and count > 1 else ()
    if len(names) != count:
        raise UserError(f"{volume.name} has {count} channels, but {len(names)} names were given.")
    return tuple(names)
