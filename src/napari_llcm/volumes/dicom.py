"""DICOM series: a folder with one file for each slice, as CT scanners and archives hand it over.

Only the tags in `_TAGS` are ever read. None of them names the patient, the hospital or the date, so
nothing of that can reach a volume's metadata or what is made of it. Free text such as the series'
description is left out too, since people write names into it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..events import UserError
from .atomic import is_zarr
from .dicom_slices import PLACE, Slice, in_order, stacks
from .images import StoredImage
from .plane_names import listed
from .read_errors import read_errors
from .volume import Volume

AIR = -1024  # HU; fills the place of slices that are missing
_LOOKED_AT = 8  # files of a folder, to tell whether it holds DICOM
_DAMAGED = "cannot be read: it is not DICOM, or is damaged"
_TAGS = [
    *PLACE, "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsStored",
    "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType", "ImageType",
    "Modality", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "AcquisitionNumber",
    "SliceThickness", "ConvolutionKernel",
]  # fmt: skip


def is_dicom(path: Path) -> bool:
    """Tell whether a file is DICOM: by its mark behind 128 bytes, as its name tells nothing."""
    with read_errors(path), path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def holds_dicom(folder: Path) -> bool:
    """Tell whether a folder, or one inside it as on a CD of a hospital, holds DICOM files.

    A few files of each folder are looked at.
    """
    return next(_files(folder, _LOOKED_AT), None) is not None


def _files(folder: Path, most: int | None = None) -> Iterator[Path]:
    """Yield the DICOM files in a folder and the folders in it, by name; not the index of a CD."""
    entries = sorted(e for e in folder.iterdir() if e.name[0] != ".")
    files = [e for e in entries if e.is_file() and e.name != "DICOMDIR"]
    yield from (e for e in files[:most] if is_dicom(e))
    for inner in entries:
        # a link may lead back to where it lies
        if inner.is_dir() and not inner.is_symlink() and not is_zarr(inner):
            yield from _files(inner, most)


def dicom_images(folder: Path) -> list[StoredImage]:
    """Return the series in a folder, each as one lazy image.

    Raises
    ------
    UserError
        If pydicom is not installed, or the folder holds no slices with a place in space; by an
        image as it is opened, if its slices make no even grid (see `in_order`).
    """
    slices, strays = list[Slice](), list[str]()
    several = 0
    for file in _files(folder):
        header = _header(file)
        several += int(header.get("NumberOfFrames") or 1) > 1
        if "LOCALIZER" in (header.get("ImageType") or ()) or not Slice.has_place(header):
            strays.append(file.name)
        else:
            slices.append(Slice.of(file, header))
    if not slices:
        raise UserError(
            f"{folder} holds DICOM files with several slices in each (enhanced DICOM), which "
            "cannot be read: convert them to NIfTI with dcm2niix first."
            if several
            else f"{folder} holds DICOM files, but no slices of a stack: scouts, reports or images "
            "that do not tell their position."
        )
    found = stacks(slices)
    whole = {name: s for name, s in found.items() if len(s) > 1} or found
    strays += [one.file.name for name, s in found.items() if name not in whole for one in s]
    notes = [f"Left out of {folder.name}, as they belong to no stack: {listed(strays)}."]
    return [
        StoredImage(
            name,
            partial(_look, stack),
            partial(_open, folder, name, stack),
            tuple(notes if strays else ()),
        )
        for name, stack in whole.items()
    ]


def refuse_single(path: Path) -> None:
    """Say that one file of a series is no stack.

    Raises
    ------
    UserError
        Always.
    """
    raise UserError(
        f"{path} is one file of a DICOM series: give the folder {path.parent} in its place."
    )


def _header(file: Path) -> Any:
    try:
        import pydicom
    except ImportError as error:
        raise UserError(
            f'{file} is DICOM; to read it, run: pip install "napari-llcm[dicom]"'
        ) from error
    with read_errors(file, _DAMAGED), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are longer than the standard allows
        return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS))


def _look(stack: Sequence[Slice]) -> tuple[str, tuple[int, ...]]:
    places = {round(one.height, 2) for one in stack}
    return "zyx", (len(places), *stack[0].shape)


def _open(folder: Path, name: str, stack: Sequence[Slice]) -> Volume:
    import dask.array as da
    from dask.delayed import delayed

    called = f"{folder} ({name})"
    planes, grid, notes = in_order(stack, called, _stored)
    first = stack[0]
    dtype = _dtype(stack)
    is_ct = first.modality == "CT" and first.rescale_type in ("", "HU")
    empty = da.full(first.shape, AIR if is_ct else 0, dtype=dtype, chunks=first.shape)
    load = delayed(_load)
    data = [
        empty if one is None else da.from_delayed(load(one, dtype), shape=one.shape, dtype=dtype)
        for one in planes
    ]
    if is_ct and not all(one.rescaled for one in stack):
        is_ct = False
        notes = [*notes, f"{called} does not tell how its values become HU: they are as stored."]
    about = {"unit": "HU"} if is_ct else {}
    about |= {"modality": first.modality} if first.modality else {}
    about |= {"kernel": first.kernel} if first.kernel else {}
    thickness = {"slice_thickness": 1000 * first.thickness} if first.thickness else {}  # in µm
    volume = Volume(
        da.stack(data), axes="zyx", unit="mm", metadata={**about, **thickness}, file_grid=grid
    )
    return volume.noted(*notes)


def _dtype(stack: Sequence[Slice]) -> np.dtype:
    """Return a type that holds all values that the slices can have, exactly where it can be."""
    limits = [v for one in stack for v in one.limits()]
    if all(float(one.slope).is_integer() and float(one.intercept).is_integer() for one in stack):
        for name in ("i2", "i4"):
            if np.iinfo(name).min <= min(limits) and max(limits) <= np.iinfo(name).max:
                return np.dtype(name)
    return np.dtype("f4")


def _stored(one: Slice) -> np.ndarray:
    """Return the values of a slice as they are stored."""
    import pydicom

    from .dicom_codecs import add_decoders

    with read_errors(one.file, _DAMAGED):
        add_decoders()
        return np.asarray(pydicom.dcmread(one.file).pixel_array)


def _load(one: Slice, dtype: np.dtype) -> np.ndarray:
    stored = _stored(one)
    if stored.shape != one.shape:
        raise UserError(f"{one.file} holds other pixels than its header says: it is damaged.")
    exact = np.int64 if dtype.kind == "i" else np.float64
    return (stored.astype(exact) * exact(one.slope) + exact(one.intercept)).astype(dtype)
