"""Write a DICOM series: a folder with one CT image for each plane, from voxels and grid alone.

Nothing of the patient is copied: names and dates stay empty, and every UID is new. So a viewer or
an archive takes the series for what it is, a computed one of nobody, until somebody files it.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..events import UserError
from .atomic import replacing
from .dicom_slices import TO_RAS
from .volume import Volume, planes

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_OURS = "2.25.249163094275431920717354085270436160518"  # ImplementationClassUID
_EMPTY = (  # that a CT image must have, though without a value
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName", "KVP", "AcquisitionNumber",
    "PositionReferenceIndicator", "PatientPosition",
)  # fmt: skip
_NO_DATA = -(2**15)  # stored where a voxel is not a number


def write_dicom(path: Path, volume: Volume, *, overwrite: bool = False) -> None:
    """Write a stack as a derived DICOM series, a file for each plane in a new folder.

    Values are rounded to whole numbers, as those of scanners are; voxels that are not numbers get
    the padding value.

    Parameters
    ----------
    path : Path
        The folder.
    volume : Volume
        Axes "zyx", in HU or without a unit.
    overwrite : bool
        Whether a folder that this function has written may be replaced; no other ever is.

    Raises
    ------
    UserError
        If the volume cannot be a CT series, pydicom is not installed, the folder exists, or the
        disk is full.
    """
    check_dicom(path, volume)
    from pydicom.uid import generate_uid

    if path.exists() and not (overwrite and _is_ours(path)):
        raise UserError(f"{path} exists already; choose another name.")
    steps = volume.steps[:, ::-1] * TO_RAS / 1000  # mm, x to the left; rows: along z, y, x
    origin = np.asarray(volume.origin)[::-1] * TO_RAS / 1000
    common = _common(volume)
    common.StudyInstanceUID, common.SeriesInstanceUID = generate_uid(None), generate_uid(None)
    common.FrameOfReferenceUID = generate_uid(None)
    with replacing(path) as partial:
        partial.mkdir()
        for k, plane in enumerate(planes(volume)):
            image = _image(common, plane, volume, generate_uid(None))
            image.InstanceNumber = k + 1
            image.ImagePositionPatient = _decimals(origin + k * steps[0])
            image.save_as(partial / f"{k + 1:04d}.dcm", enforce_file_format=True)


def check_dicom(path: Path, volume: Volume) -> None:
    """Refuse what is no CT stack, or cannot be written here.

    Parameters
    ----------
    path : Path
        The folder.
    volume : Volume
        What shall be written; its data need not be there.

    Raises
    ------
    UserError
        In one sentence.
    """
    if find_spec("pydicom") is None:
        raise UserError(f'To write the DICOM series {path}, run: pip install "napari-llcm[dicom]"')
    name, unit = volume.name, volume.metadata.get("unit")
    if volume.axes != "zyx":
        raise UserError(f"{name} has axes {volume.axes}: a DICOM series is one stack of planes.")
    if unit not in (None, "HU") or volume.metadata.get("labels"):
        raise UserError(
            f"{name} is no CT ({unit or 'labels'}): write .nii.gz or .ome.zarr in place of DICOM."
        )
    if volume.spacing is None:
        raise UserError(f"The voxel size of {name} is not known, which DICOM needs: give it first.")
    directions = volume.steps / np.linalg.norm(volume.steps, axis=1)[:, None]
    if not np.allclose(directions @ directions.T, np.eye(3), atol=1e-4):
        raise UserError(f"The grid of {name} is sheared, which DICOM cannot hold: write .nii.gz.")


def _is_ours(path: Path) -> bool:
    from pydicom import dcmread

    if not path.is_dir() or any(f.suffix != ".dcm" or f.is_dir() for f in path.iterdir()):
        return False
    made = (dcmread(f, stop_before_pixels=True, specific_tags=[]) for f in path.iterdir())
    return all(one.file_meta.get("ImplementationClassUID") == _OURS for one in made)


def _common(volume: Volume) -> Dataset:
    """Return what all slices say."""
    from pydicom.dataset import Dataset
    from pydicom.uid import CTImageStorage

    assert volume.spacing is not None
    common = Dataset()
    for name in _EMPTY:
        setattr(common, name, None if name in ("KVP", "AcquisitionNumber") else "")
    common.SOPClassUID, common.Modality = CTImageStorage, "CT"
    common.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    common.PatientIdentityRemoved = "YES"
    common.DeidentificationMethod = "Made from voxels and their grid alone"
    common.Manufacturer, common.ManufacturerModelName = "napari-llcm", "napari-llcm"
    common.SoftwareVersions = made_by = version("napari-llcm")
    common.SeriesNumber = 1
    common.SeriesDescription = "Computed, not acquired (napari-llcm)"
    model = volume.metadata.get("model")
    common.DerivationDescription = (
        f"Computed by napari-llcm {made_by}{f', model {model}' if model else ''}; not acquired "
        "by a scanner."
    )
    z, y, x = (s / 1000 for s in volume.spacing)
    common.PixelSpacing = _decimals((y, x))
    thickness = volume.metadata.get("slice_thickness")
    common.SliceThickness = _decimals([z if thickness is None else thickness / 1000])[0]
    along = volume.steps[:, ::-1] * TO_RAS
    along /= np.linalg.norm(along, axis=1)[:, None]
    common.ImageOrientationPatient = _decimals([*along[2], *along[1]])
    common.SamplesPerPixel, common.PhotometricInterpretation = 1, "MONOCHROME2"
    common.Rows, common.Columns = volume.shape[1:]
    common.BitsAllocated = common.BitsStored = 16
    common.HighBit, common.PixelRepresentation = 15, 1
    common.PixelPaddingValue = _NO_DATA
    common.RescaleIntercept, common.RescaleSlope = "0", "1"
    common.RescaleType = volume.metadata.get("unit", "US")  # US: not specified
    common.WindowCenter, common.WindowWidth = "40", "400"
    return common


def _image(common: Dataset, plane: np.ndarray, volume: Volume, uid: str) -> Any:
    """Return the image of one plane, but for its place."""
    from copy import deepcopy

    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    image = deepcopy(common)
    values = np.rint(plane)
    known = np.isfinite(values)
    low, high = (values[known].min(), values[known].max()) if known.any() else (0, 0)
    if low <= _NO_DATA or high >= 2**15:
        raise UserError(
            f"{volume.name} holds values from {low:g} to {high:g}, beyond those of a CT in DICOM: "
            "write .nii.gz or .ome.zarr."
        )
    image.PixelData = np.where(known, values, _NO_DATA).astype("<i2").tobytes()
    image.SOPInstanceUID = uid
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    image.file_meta.ImplementationClassUID = UID(_OURS)
    image.file_meta.ImplementationVersionName = "NAPARI_LLCM"
    return image


def _decimals(numbers: Any) -> list[str]:
    """Return numbers as DICOM's decimal strings, of 16 characters at most."""
    from pydicom.valuerep import format_number_as_ds

    return [format_number_as_ds(float(n)) for n in numbers]
