"""Write a volume so that napari and Fiji open it with its scale."""

from __future__ import annotations

from pathlib import Path

from ..events import UserError
from .dicom_writing import check_dicom, write_dicom
from .nifti import write_nifti
from .orientation import is_upright, mirrored_axes
from .tiff_writing import write_tiff
from .volume import Volume
from .zarr_writing import write_zarr


def write(
    path: Path | str, volume: Volume, *, overwrite: bool = False, labels: bool = False
) -> Path:
    """Write a volume with its spacing and the record of how it was made.

    Parameters
    ----------
    path : Path or str
        Ends with .ome.tif or .tif (OME-TIFF; BigTIFF when needed), .ome.zarr or .zarr (chunked,
        multiscale OME-Zarr 0.5), .nii or .nii.gz (NIfTI), or .dicom (a folder with a derived
        DICOM series of a CT).
    volume : Volume
        What to write; read chunk by chunk.
    overwrite : bool
        Whether a file that exists may be replaced.
    labels : bool
        Whether the voxels are instance labels, which a pyramid must not average; the file's
        metadata say so.

    Returns
    -------
    Path
        The file or folder written.

    Raises
    ------
    UserError
        If the suffix is unknown, the file exists, or the disk is full; nothing is left behind.
    """
    path = Path(path).expanduser()
    name = path.name.lower()
    if labels:
        volume = volume.replace(metadata={**volume.metadata, "labels": True})
    if name.endswith((".tif", ".tiff")):
        write_tiff(path, volume, overwrite=overwrite)
    elif name.endswith(".zarr"):
        write_zarr(path, volume, overwrite=overwrite, labels=labels)
    elif name.endswith((".nii", ".nii.gz")):
        write_nifti(path, volume, overwrite=overwrite)
    elif name.endswith(".dicom"):
        write_dicom(path, volume, overwrite=overwrite)
    else:
        raise UserError(f"{path} must end with .ome.tif, .ome.zarr, .nii.gz or .dicom.")
    return path


def check_writable(path: Path | str, volume: Volume) -> None:
    """Refuse a volume that a file of this format cannot hold at all, but for its values.

    Parameters
    ----------
    path : Path or str
        Where it shall be written.
    volume : Volume
        What shall be written; its data may not be there yet.

    Raises
    ------
    UserError
        If it cannot.
    """
    if Path(path).name.lower().endswith(".dicom"):
        check_dicom(Path(path), volume)


def losses(path: Path | str, volume: Volume) -> list[str]:
    """Return a sentence for each thing about a volume that a file of this format cannot hold.

    Parameters
    ----------
    path : Path or str
        Where it shall be written.
    volume : Volume
        What shall be written; where its data are not there yet, they will be float32.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(".dicom"):
        told = volume.metadata.get("unit") == "HU"
        rounded = [f"{path.name} holds whole numbers: the values of {volume.name} are rounded."]
        unknown = [f"{volume.name} does not tell that its values are HU: {path.name} neither."]
        return rounded * (volume.data is None or volume.dtype.kind == "f") + unknown * (not told)
    if is_upright(volume) or name.endswith((".nii", ".nii.gz")):
        return []
    mirrored = bool(mirrored_axes(volume))
    if name.endswith(".zarr") and mirrored:
        return []
    turned = "mirrored" if mirrored else "turned"
    better = "write .nii.gz or .ome.zarr" if mirrored else "write .nii.gz"
    return [
        f"The grid of {volume.name} is {turned} in space, which {path.name} cannot hold: its "
        f"voxels keep their order and the first one its position; {better} to keep all of it."
    ]
