"""NIfTI, whose axes run x, y, z and whose unit is usually the millimetre."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ..events import UserError
from .atomic import whole_or_nothing
from .axes import to_micron
from .volume import Volume

if TYPE_CHECKING:
    import nibabel

_UNITS = {"meter": "m", "mm": "mm", "micron": "µm"}


def read_nifti(path: Path) -> Volume:
    """Return a NIfTI image, lazily where it is not compressed, with axes "xyz", "xyzt" or "xyztc".

    Raises
    ------
    UserError
        If the file is no NIfTI image, or cut short.
    """
    import dask.array as da
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        image = cast("nibabel.Nifti1Image", nibabel.load(path))
        last = tuple(n - 1 for n in image.shape)
        dtype = np.asarray(image.dataobj[last]).dtype  # reads the last voxel: the file is whole
        # A gzip stream has no random access: each tile would unpack the whole file again.
        data = (
            np.asarray(image.dataobj)
            if path.suffix == ".gz"
            else da.from_array(
                image.dataobj,
                chunks=(*image.shape[:2], 1, *image.shape[3:]),
                name=False,
                meta=np.empty((0,) * len(image.shape), dtype),
            )
        )
    except (ImageFileError, OSError, ValueError, EOFError, IndexError, zlib.error) as error:
        raise UserError(f"{path} is not a NIfTI image, or is cut short.") from error
    axes = "xyztc"[: len(image.shape)]
    if len(axes) != len(image.shape):
        raise UserError(f"{path} has {len(image.shape)} axes; at most 5 can be read.")
    unit = image.header.get_xyzt_units()[0]
    scale = to_micron(_UNITS.get(unit))
    if scale is None or len(image.shape) < 3:
        return Volume(data, axes=axes)
    # By way of text: the header's float32 0.36 is 0.36, not 0.36000001430511475.
    x, y, z = (float(str(s)) * scale for s in image.header.get_zooms()[:3])
    affine = image.affine
    # An offset is a position in this grid only where the grid is not turned.
    upright = np.allclose(affine[:3, :3], np.diag(np.abs(np.diag(affine)[:3])))
    ox, oy, oz = (affine[:3, 3] * scale).tolist() if upright else (0.0, 0.0, 0.0)
    return Volume(data, spacing=(z, y, x), axes=axes, origin=(oz, oy, ox))


def write_nifti(path: Path, volume: Volume, *, overwrite: bool = False) -> None:
    """Write a z-y-x volume as NIfTI with its spacing in µm; the whole volume is held in memory.

    Raises
    ------
    UserError
        If the volume is not z-y-x, or the file exists, or the disk is full.
    """
    import nibabel

    if volume.axes != "zyx":
        raise UserError(f"NIfTI is written for single z-y-x volumes; {volume.name} is not one.")
    z, y, x = volume.spacing or (1.0, 1.0, 1.0)
    affine = np.diag([x, y, z, 1.0])
    affine[:3, 3] = volume.origin[::-1]
    data = volume.numpy().transpose(2, 1, 0)
    image = nibabel.Nifti1Image(data, affine, dtype=data.dtype)
    image.header.set_xyzt_units("micron" if volume.spacing else "unknown")
    packed = path.suffix == ".gz"
    with whole_or_nothing(path, overwrite=overwrite) as partial:
        # nibabel chooses the format by the suffix, which a partial file must keep.
        named = partial.with_name(partial.name + (".nii.gz" if packed else ".nii"))
        try:
            nibabel.save(image, named)
            named.replace(partial)
        finally:
            named.unlink(missing_ok=True)
