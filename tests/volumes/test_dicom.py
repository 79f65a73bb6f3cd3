"""DICOM series of CT: slices by their places, values in HU, and nothing of the patient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    generate_uid,
)

from napari_llcm.events import UserError
from napari_llcm.volumes import Volume, find_stacks, losses, read, write

pytestmark = pytest.mark.versions
SHAPE = (6, 9, 7)
STEP, PIXEL = 1.25, (0.7, 0.6)  # mm: between slices; rows, columns
CORNER = (-30.0, -40.0, 100.0)
PATIENT = "Doe^Jane"


def _stored(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3000, shape).astype("u2")


def _series(
    folder: Path,
    stored: np.ndarray | None = None,
    *,
    number: int = 3,
    heights: Sequence[float] | None = None,
    sideways: float = 0.0,
    **tags: Any,
) -> Path:
    """Write slices in an order and under names that tell nothing, as archives do."""
    stored = _stored() if stored is None else stored
    heights = [k * STEP for k in range(len(stored))] if heights is None else heights
    folder.mkdir(parents=True, exist_ok=True)
    series = generate_uid()
    for k in np.random.default_rng(1).permutation(len(stored)):
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
        ds.SeriesInstanceUID, ds.SeriesNumber, ds.Modality = series, number, "CT"
        ds.PatientName, ds.PatientID, ds.PatientBirthDate = PATIENT, "4711", "19570101"
        ds.SeriesDescription, ds.InstitutionName = f"Thorax of {PATIENT}", "General Hospital"
        x, y, z = CORNER
        ds.ImagePositionPatient = [x, y + sideways * k, z + heights[k]]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing, ds.SliceThickness = list(PIXEL), 1.5
        ds.InstanceNumber = len(stored) - int(k)  # not the order in space
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        ds.Rows, ds.Columns = stored.shape[1:]
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
        ds.PixelData = stored[k].tobytes()
        for name, value in tags.items():
            setattr(ds, name, value)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        count = len(list(folder.iterdir()))
        ds.save_as(folder / f"IM{count:05d}", enforce_file_format=True)
    return folder


def test_slices_lie_where_the_scanner_saw_them(tmp_path: Path) -> None:
    volume = read(_series(tmp_path / "scan"))
    assert (volume.shape, volume.axes, volume.dtype) == (SHAPE, "zyx", np.dtype("i2"))
    np.testing.assert_array_equal(volume.numpy(), _stored().astype(int) - 1024)
    assert volume.spacing == (1250, 700, 600)
    assert volume.metadata["unit"] == "HU"
    assert volume.metadata["slice_thickness"] == 1500
    assert volume.notes == ()
    # DICOM's x and y run to the left and the back of the patient, NIfTI's to the right and front
    np.testing.assert_allclose(volume.place((2, 3, 4)), (102500, 37900, 27600))


def test_a_scan_lies_in_one_place_in_dicom_and_in_nifti(tmp_path: Path) -> None:
    volume = read(_series(tmp_path / "scan"))
    image = nibabel.load(write(tmp_path / "scan.nii.gz", volume))
    np.testing.assert_allclose(image.affine @ [4, 3, 2, 1], (27.6, 37.9, 102.5, 1))
    assert image.header.get_xyzt_units()[0] == "mm"
    again = read(tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(again.numpy(), volume.numpy())
    assert again.metadata["unit"] == "HU"
    for voxel in ((0, 0, 0), (5, 8, 6)):
        np.testing.assert_allclose(again.place(voxel), volume.place(voxel), rtol=1e-5)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.ome.zarr", "a.dicom", "layer"])
def test_nothing_of_the_patient_goes_further(tmp_path: Path, name: str) -> None:
    from napari_llcm.gui.layers.conversion import as_layers

    volume = read(_series(tmp_path / "scan"))
    if name == "layer":
        written = str(as_layers(volume)[0][1]).encode()
    else:
        path = write(tmp_path / name, volume)
        files = [f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path]
        written = b"".join(f.read_bytes() for f in files)
        if name.endswith(".gz"):
            written = bytes(str(nibabel.load(path).header.extensions), "utf-8")
    for word in ("Doe", "4711", "1957", "Hospital"):
        assert word.encode() not in written


def test_a_derived_series_reads_back_and_says_what_it_is(tmp_path: Path) -> None:
    volume = read(_series(tmp_path / "scan"))
    out = write(tmp_path / "thin.dicom", volume)
    again = read(out)
    np.testing.assert_array_equal(again.numpy(), volume.numpy())
    assert again.spacing == pytest.approx(volume.spacing)
    np.testing.assert_allclose(again.place((5, 8, 6)), volume.place((5, 8, 6)))
    assert again.metadata["unit"] == "HU"
    headers = [pydicom.dcmread(f) for f in sorted(out.iterdir())]
    assert [int(h.InstanceNumber) for h in headers] == [1, 2, 3, 4, 5, 6]
    first, source = headers[0], pydicom.dcmread(next((tmp_path / "scan").iterdir()))
    assert list(first.ImageType[:2]) == ["DERIVED", "SECONDARY"]
    assert "not acquired by a scanner" in first.DerivationDescription
    assert (str(first.PatientName), first.PatientID) == ("", "")
    assert first.SeriesInstanceUID != source.SeriesInstanceUID
    assert len({h.SOPInstanceUID for h in headers}) == len(headers)
    with pytest.raises(UserError, match="exists already"):
        write(out, volume)
    write(out, volume.replace(data=volume.numpy()[:4]), overwrite=True)
    assert read(out).shape[0] == 4


def test_a_scan_is_never_overwritten(tmp_path: Path) -> None:
    volume = read(_series(tmp_path / "scan.dicom"))
    with pytest.raises(UserError, match="exists already"):
        write(tmp_path / "scan.dicom", volume, overwrite=True)
    assert len(list((tmp_path / "scan.dicom").iterdir())) == len(volume.data)


def test_an_oblique_grid_and_values_between_whole_numbers(tmp_path: Path) -> None:
    turn = ((0.8, 0.6, 0.0), (-0.6, 0.8, 0.0), (0.0, 0.0, -1.0))
    data = np.linspace(-500, 500, 4 * 5 * 6).reshape(4, 5, 6).astype("f4")
    data[1, 2, 3] = np.nan
    volume = Volume(data, (2000, 800, 700), orientation=turn, origin=(1, 2, 3), name="thin")
    hu = volume.replace(metadata={"unit": "HU"})
    assert "rounded" in " ".join(losses(tmp_path / "a.dicom", hu))
    assert "does not tell that its values are HU" in " ".join(losses("a.dicom", volume))
    again = read(write(tmp_path / "a.dicom", hu))
    # slices are read in the direction of their normal, here backwards
    last = np.asarray(again.voxel(volume.place((0, 0, 0)))).round(6)
    z = int(last[0])
    np.testing.assert_allclose(last[1:], 0, atol=1e-6)
    known = np.isfinite(data[0])
    np.testing.assert_allclose(again.numpy()[z][known], data[0][known], atol=0.5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda v: v.replace(metadata={"unit": "counts"}), "is no CT (counts)"),
        (lambda v: v.replace(spacing=None), "voxel size"),
        (lambda v: v.replace(data=v.numpy() + 1e6), "beyond those of a CT"),
        (lambda v: v.replace(axes="tyx"), "one stack of planes"),
    ],
)
def test_what_no_ct_series_can_hold(tmp_path: Path, make: Any, words: str) -> None:
    volume = Volume(np.zeros((3, 4, 5), "f4"), (1000, 700, 700), name="a")
    with pytest.raises(UserError) as refused:
        write(tmp_path / "a.dicom", make(volume))
    assert words in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_missing_and_doubled_slices_are_told(tmp_path: Path) -> None:
    stored = _stored((20, 9, 7))
    folder = _series(tmp_path / "scan", stored)
    at = {pydicom.dcmread(f).ImagePositionPatient[2]: f for f in folder.iterdir()}
    at[CORNER[2] + 4 * STEP].unlink()
    double = at[CORNER[2] + 7 * STEP]
    (folder / "copy").write_bytes(double.read_bytes())
    volume = read(folder)
    assert volume.shape[0] == 20
    assert volume.spacing == pytest.approx((1250, 700, 600))
    expected = stored.astype(int) - 1024
    expected[4] = -1024
    np.testing.assert_array_equal(volume.numpy(), expected)
    assert any("of the 20 slices" in n.lower() and " 4 is missing" in n for n in volume.notes)
    assert any("1 slice is there twice" in n for n in volume.notes)
    other = pydicom.dcmread(double)
    other.SOPInstanceUID = generate_uid()
    other.PixelData = bytes(len(other.PixelData))
    other.save_as(folder / "other")
    with pytest.raises(UserError, match="lie at one place and differ"):
        read(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sideways": 0.3}, "tilted gantry"),
        ({"heights": [0, 1, 2, 3, 4.5, 6]}, "uneven distances"),
        ({"heights": [0, 5, 10, 15, 25, 35]}, "uneven distances"),
    ],
)
def test_slices_that_make_no_grid_are_refused(tmp_path: Path, changes: Any, words: str) -> None:
    with pytest.raises(UserError) as refused:
        read(_series(tmp_path / "scan", **changes))
    assert words in str(refused.value)


def test_positions_that_are_rounded_are_even(tmp_path: Path) -> None:
    heights = [round(k * 0.625, 1) for k in range(6)]
    with pytest.raises(UserError, match="uneven"):  # 0.05 mm off is a twelfth of a slice
        read(_series(tmp_path / "coarse", heights=heights))
    heights = [round(k * 2 / 3, 2) for k in range(6)]
    volume = read(_series(tmp_path / "fine", heights=heights))
    assert volume.spacing is not None
    assert volume.spacing[0] == pytest.approx(667, abs=1)


def test_one_of_several_series_is_chosen(tmp_path: Path) -> None:
    """As on a CD: folders in folders, a scout, a report, and a second reconstruction."""
    _series(tmp_path / "cd" / "DICOM" / "S1", number=2, ConvolutionKernel="B30f")
    sharp = _stored() // 2
    _series(tmp_path / "cd" / "DICOM" / "S2", sharp, number=5, ConvolutionKernel="B70f")
    scout = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    _series(tmp_path / "cd" / "DICOM" / "S0", _stored()[:1], number=1, ImageType=scout)
    (tmp_path / "cd" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(UserError) as needed:
        read(tmp_path / "cd")
    assert "0 series 2 1.5 mm B30f (6 × 9 × 7), 1 series 5 1.5 mm B70f" in str(needed.value)
    volume = read(tmp_path / "cd", image=1)
    np.testing.assert_array_equal(volume.numpy(), sharp.astype(int) - 1024)
    assert volume.name == "cd series 5 1.5 mm B70f"
    assert volume.metadata["kernel"] == "B70f"
    assert any("IM00000" in n and "no stack" in n for n in volume.notes)
    assert read(tmp_path / "cd", image="series 5 1.5 mm B70f").shape == SHAPE


def test_passes_of_one_series_are_apart(tmp_path: Path) -> None:
    folder = _series(tmp_path / "scan", AcquisitionNumber=1, SeriesInstanceUID="1.2.3")
    after = _stored() + 50
    _series(folder, after, AcquisitionNumber=2, SeriesInstanceUID="1.2.3")
    volume = read(folder, image=1)
    np.testing.assert_array_equal(volume.numpy(), after.astype(int) - 1024)


def test_values_that_are_no_whole_numbers_and_no_hu(tmp_path: Path) -> None:
    pet = read(_series(tmp_path / "pet", Modality="PT", RescaleSlope="0.5", RescaleIntercept="0"))
    assert pet.dtype == np.float32
    assert "unit" not in pet.metadata
    np.testing.assert_allclose(pet.numpy(), _stored() / 2)
    folder = _series(tmp_path / "ct")
    for file in folder.iterdir():
        header = pydicom.dcmread(file)
        del header.RescaleIntercept
        header.save_as(file)
    unscaled = read(folder)
    assert "unit" not in unscaled.metadata
    assert any("how its values become HU" in n for n in unscaled.notes)


@pytest.mark.parametrize(
    ("syntax", "codec", "how"),
    [
        (JPEG2000Lossless, "jpeg2k", {"level": 0, "reversible": True, "codecformat": 0}),
        (JPEGLSLossless, "jpegls", {}),
        (JPEGLosslessSV1, "ljpeg", {"bitspersample": 12}),
    ],
)
def test_compressed_pixels(tmp_path: Path, syntax: str, codec: str, how: dict[str, Any]) -> None:
    import imagecodecs
    from pydicom.encaps import encapsulate

    folder = _series(tmp_path / "scan", _stored((3, 32, 32)))
    for file in folder.iterdir():
        ds = pydicom.dcmread(file)
        frame = getattr(imagecodecs, f"{codec}_encode")(ds.pixel_array, **how)
        ds.PixelData = encapsulate([bytes(frame)])
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = syntax
        ds.save_as(file)
    volume = read(folder)
    np.testing.assert_array_equal(volume.numpy(), _stored((3, 32, 32)).astype(int) - 1024)


def test_colours_that_others_read_are_left_to_their_decoders(tmp_path: Path) -> None:
    from pydicom.data import get_testdata_file

    from napari_llcm.volumes.dicom_codecs import add_decoders

    photo = get_testdata_file("SC_rgb_jpeg_dcmtk.dcm", read=True)
    before = photo.pixel_array.copy()
    add_decoders()
    again = get_testdata_file("SC_rgb_jpeg_dcmtk.dcm", read=True)
    np.testing.assert_array_equal(again.pixel_array, before)


def test_bad_input_ends_in_one_sentence(tmp_path: Path) -> None:
    folder = _series(tmp_path / "scan")
    one = next(folder.iterdir())
    with pytest.raises(UserError, match="give the folder"):
        read(one)
    one.write_bytes(one.read_bytes()[:-40])
    volume = read(folder)
    with pytest.raises(UserError, match=one.name):
        volume.numpy()
    report = _series(tmp_path / "report", PixelSpacing=None)
    with pytest.raises(UserError, match="no slices of a stack"):
        read(report)
    enhanced = _series(tmp_path / "enhanced", NumberOfFrames=6)
    with pytest.raises(UserError, match="dcm2niix"):
        read(enhanced)


def test_a_series_is_one_stack_of_a_folder(tmp_path: Path) -> None:
    for name in ("one", "two/DICOM/S1"):
        _series(tmp_path / "all" / name)
    (tmp_path / "all" / "two" / "again").symlink_to(tmp_path / "all")
    (tmp_path / "all" / "empty").mkdir()
    (tmp_path / "all" / "notes.txt").write_text("x")
    found = find_stacks(tmp_path / "all")
    assert [path.name for path in found] == ["one", "two"]
    assert "empty" in found.notes[0]
    assert read(found[1]).shape == SHAPE


def test_napari_opens_a_folder(tmp_path: Path) -> None:
    from napari.components import ViewerModel
    from npe2 import PluginManager

    PluginManager.instance().discover()
    folder = _series(tmp_path / "scan")
    (layer,) = ViewerModel().open(str(folder), plugin="napari-llcm")
    # as a NIfTI: x runs to the right and y to the front of the patient
    np.testing.assert_allclose(layer.scale, (1250, -700, -600))
    assert layer.metadata["napari_llcm"]["unit"] == "HU"


def test_nifti_in_hounsfield_units_keeps_slope_and_thick_slices(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(_stored((7, 9, 6)).astype("i2"), np.diag([0.7, 0.7, 5, 1]))
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(1, -1024)
    nibabel.save(image, tmp_path / "ct.nii")
    raw = bytearray((tmp_path / "ct.nii").read_bytes())
    header = nibabel.Nifti1Header(raw[:348], check=False)
    header["scl_slope"], header["scl_inter"] = 1, -1024
    raw[:348] = header.binaryblock
    (tmp_path / "ct.nii").write_bytes(raw)
    volume = read(tmp_path / "ct.nii")
    assert volume.spacing == (5000, 700, 700)
    stored = np.asarray(nibabel.load(tmp_path / "ct.nii").dataobj).T
    np.testing.assert_allclose(volume.numpy(), stored)
    assert volume.numpy().min() < -900
