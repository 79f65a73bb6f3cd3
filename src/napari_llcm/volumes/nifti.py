"""NIfTI, whose axes run x, y, z and whose unit is usually the millimetre."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..events import UserError
from .atomic import whole_or_nothing
from .orientation import steps_apart
from .read_errors import lazy, read_errors
from .units import FileGrid, to_micron
from .volume import Volume

if TYPE_CHECKING:
    import nibabel

_UNITS = {"meter": "m", "mm": "mm", "micron": "µm"}
_NAMES = {unit: name for name, unit in _UNITS.items()}


def read_nifti(path: Path) -> Volume:
    """Return a NIfTI image, lazily where it is not compressed, with axes "xyz", "xyzt" or "xyztc".

    The voxels keep their order and the affine goes into origin and orientation, so that a result
    written as NIfTI again lies voxel by voxel on its input.

    Raises
    ------
    UserError
        If the file is no NIfTI image, or cut short or damaged.
    """
    import nibabel

    with read_errors(path, "is not a NIfTI image, or is cut short or damaged"):
        image = cast("nibabel.Nifti1Image", nibabel.load(path))
        axes = "xyztc"[: len(image.shape)]
        if len(axes) != len(image.shape):
            raise UserError(f"{path} has {len(image.shape)} axes; at most 5 can be read.")
        data = _unpacked(image, path) if path.suffix.lower() == ".gz" else _lazily(image, path)
        about = _about(image.header)
        is_labels = image.header.get_intent()[0] == "label"
        return Volume(
            data,
            axes=axes,
            channels=tuple(about.get("channels", ())),
            metadata={**about.get("napari_llcm", {}), **({"labels": True} if is_labels else {})},
            unit=_UNITS.get(image.header.get_xyzt_units()[0], "µm"),
            file_grid=_grid(image),
        )


def _unpacked(image: nibabel.Nifti1Image, path: Path) -> np.ndarray:
    """Return the voxels of a compressed file; its checksum, at its end, is read too.

    A gzip stream has no random access: each tile would unpack the whole file again.
    """
    import gzip

    from nibabel.arrayproxy import ArrayProxy

    proxy: Any = image.dataobj
    with gzip.open(path) as stream:
        spec = (proxy.shape, proxy.dtype, proxy.offset, proxy.slope, proxy.inter)
        data = np.asarray(ArrayProxy(stream, spec))
        while stream.read(2**20):
            pass
    return data


def _lazily(image: nibabel.Nifti1Image, path: Path) -> Any:
    last = np.asarray(image.dataobj[tuple(n - 1 for n in image.shape)])  # so the file is whole
    typed = _Typed(image.dataobj, last.dtype)
    return lazy(typed, path, (*image.shape[:2], *[1] * (len(image.shape) > 2), *image.shape[3:]))


class _Typed:
    """Voxels whose dtype is that after scaling; nibabel's own `dtype` is that in the file."""

    def __init__(self, proxy: Any, dtype: np.dtype) -> None:
        self._proxy, self.shape, self.dtype = proxy, proxy.shape, dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.asarray(self._proxy[index])


def _grid(image: nibabel.Nifti1Image) -> FileGrid:
    header = image.header
    unit = _UNITS.get(header.get_xyzt_units()[0])
    # By way of text: the header's float32 0.36 is 0.36, not 0.36000001430511475.
    zooms = [float(str(s)) for s in header.get_zooms()[:3]]
    if not (int(header["sform_code"]) or int(header["qform_code"])):
        # nibabel would make up a position and a mirrored x for a file that tells neither
        return FileGrid({a: (s, unit) for a, s in zip("xyz", zooms, strict=False)})
    steps = np.asarray(image.affine, float)[:3, :3].T  # a row (x, y, z) for each axis
    sizes, orientation = steps_apart(steps[::-1, ::-1])
    zooms += [1.0] * (3 - len(zooms))
    pairs = zip(sizes, zooms[::-1], strict=True)
    told = [zoom if np.isclose(size, zoom, rtol=1e-5) else size for size, zoom in pairs]
    place = [float(str(np.float32(p))) for p in image.affine[2::-1, 3]]
    sound = bool(np.isfinite(steps).all()) and all(sizes)
    return FileGrid(
        {a: (s, unit) for a, s in zip("zyx", told, strict=True)},
        {a: (p, unit) for a, p in zip("zyx", place, strict=True)},
        orientation if sound else None,
    )


def _about(header: Any) -> dict[str, Any]:
    """Return the record of how the volume was made, which `write_nifti` adds as a comment."""
    for extension in header.extensions:
        with suppress(ValueError, TypeError):
            record = json.loads(bytes(extension.get_content()).decode().rstrip("\0"))
            if isinstance(record, dict) and "napari_llcm" in record:
                return record
    return {}


def write_nifti(path: Path, volume: Volume, *, overwrite: bool = False) -> None:
    """Write a volume as NIfTI, held in memory, with its grid and the record of how it was made.

    Lengths are in µm, or in the unit of the NIfTI that it was made from: most viewers lay files
    on each other by the numbers alone.

    Raises
    ------
    UserError
        If NIfTI cannot hold the type of the voxels, the file exists, or the disk is full.
    """
    import nibabel
    from nibabel.nifti1 import Nifti1Extension

    length = 1.0 if volume.spacing is None else to_micron(volume.unit) or 1.0
    affine = np.eye(4)
    affine[:3, :3] = volume.steps[::-1, ::-1].T / length
    affine[:3, 3] = np.asarray(volume.origin[::-1]) / length
    letters = "xyztc" if "c" in volume.axes else "xyzt" if "t" in volume.axes else "xyz"
    data = volume.numpy().astype(_nifti_dtype(volume), copy=False)
    data = data.transpose([volume.axes.index(a) for a in letters if a in volume.axes])
    data = data[tuple(slice(None) if a in volume.axes else None for a in letters)]
    image = nibabel.Nifti1Image(data, affine, dtype=data.dtype)
    image.header.set_xyzt_units(_NAMES.get(volume.unit, "micron") if volume.spacing else "unknown")
    if volume.metadata.get("labels"):
        image.header.set_intent("label")
    about = {"napari_llcm": volume.metadata, "channels": volume.channels}
    if any(about.values()):
        comment = Nifti1Extension("comment", json.dumps(about).encode())
        image.header.extensions.append(comment)
    packed = path.suffix == ".gz"
    with whole_or_nothing(path, overwrite=overwrite) as partial:
        # nibabel chooses the format by the suffix, which a partial file must keep.
        named = partial.with_name(partial.name + (".nii.gz" if packed else ".nii"))
        try:
            nibabel.save(image, named)
            named.replace(partial)
        finally:
            named.unlink(missing_ok=True)


def _nifti_dtype(volume: Volume) -> np.dtype:
    """Return the type that NIfTI has for these voxels (it has no bool and no float16)."""
    dtype = volume.dtype
    stand_in = {"b1": "u1", "f2": "f4"}
    dtype = np.dtype(stand_in.get(f"{dtype.kind}{dtype.itemsize}", dtype.str))
    if dtype.kind not in "iufc":
        raise UserError(f"{volume.name} holds {volume.dtype} voxels, which NIfTI cannot hold.")
    return dtype
