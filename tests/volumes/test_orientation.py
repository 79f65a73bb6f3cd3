"""Volumes keep which way their axes run: NIfTI, and files of one field that lie differently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from napari_llcm.events import UserError
from napari_llcm.volumes import Volume, on_one_grid, read, resample, write

pytestmark = pytest.mark.versions
SPACING = (0.8, 0.5, 0.4)
FLIPPED = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0))


def _noise(shape: tuple[int, ...] = (5, 12, 9), dtype: str = "uint16") -> np.ndarray:
    return (np.random.default_rng(0).random(shape) * 200).astype(dtype)


def _nifti(path: Path, affine: Any, unit: str = "mm", data: Any = None) -> Path:
    image = nibabel.Nifti1Image(_noise((9, 12, 5)) if data is None else data, affine)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    return path


def test_a_mirrored_nifti_stays_as_it_is(tmp_path: Path) -> None:
    """ITK writes stacks with x and y mirrored; in millimetres, which most viewers take it for."""
    affine = np.array([[-4e-4, 0, 0, 0.03], [0, -5e-4, 0, -0.02], [0, 0, 8e-4, 0.01], [0, 0, 0, 1]])
    path = _nifti(tmp_path / "a.nii.gz", affine)
    volume = read(path)
    np.testing.assert_allclose(volume.spacing, SPACING)
    np.testing.assert_allclose(volume.origin, (10, -20, 30), rtol=1e-6)
    np.testing.assert_allclose(volume.place((0, 0, 1)), (10, -20, 29.6), rtol=1e-6)
    assert volume.notes == ()
    result = nibabel.load(write(tmp_path / "b.nii.gz", volume))
    np.testing.assert_array_equal(result.affine, nibabel.load(path).affine)
    assert result.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_array_equal(
        np.asarray(result.dataobj), np.asarray(nibabel.load(path).dataobj)
    )


def test_a_turned_and_sheared_nifti_stays_as_it_is(tmp_path: Path) -> None:
    affine = np.array([[0.3, -0.4, 0.1, 5], [0.4, 0.3, 0, -6], [0, 0, 0.8, 7], [0, 0, 0, 1.0]])
    path = _nifti(tmp_path / "a.nii", affine, "micron")
    result = nibabel.load(write(tmp_path / "b.nii", read(path)))
    np.testing.assert_allclose(result.affine, affine, rtol=1e-5, atol=1e-6)


def test_a_nifti_without_a_position_gets_none(tmp_path: Path) -> None:
    """Nibabel makes up an affine with x mirrored for a header that tells none."""
    image = nibabel.Nifti1Image(_noise((9, 12, 5)), None)
    image.header.set_zooms((0.4, 0.5, 0.8))
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    assert (volume.spacing, volume.origin, volume.orientation) == (SPACING, (0, 0, 0), None)


@pytest.mark.parametrize("affine", [np.diag([0.0, 0, 0, 1]), np.diag([0.4, np.nan, 0.8, 1])])
def test_a_nifti_whose_matrix_is_none(tmp_path: Path, affine: Any) -> None:
    image = nibabel.Nifti1Image(_noise((9, 12, 5)), np.eye(4))
    image.header.set_xyzt_units("micron")
    image.header["srow_x"], image.header["srow_y"], image.header["srow_z"] = affine[:3]
    image.header["sform_code"] = 1
    (tmp_path / "a.nii").write_bytes(
        image.header.binaryblock + bytes(4) + _noise((9, 12, 5)).tobytes("F")
    )
    volume = read(tmp_path / "a.nii")
    assert (volume.spacing, volume.orientation) == (None, None)
    assert "in part" in volume.notes[0] or "nan" in volume.notes[0]
    write(tmp_path / "b.nii", volume)


def test_a_flat_nifti_may_be_mirrored(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(_noise((9, 12)), np.diag([-0.4, 0.5, -1, 1]))
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    assert (volume.axes, volume.spacing) == ("yx", (1.0, 0.5, 0.4))


def test_a_nifti_keeps_time_channels_and_how_it_was_made(tmp_path: Path) -> None:
    data = _noise((2, 3, 4, 12, 9))
    made = Volume(data, SPACING, "tczyx", channels=("a", "b", "c"), metadata={"seed": 1})
    back = read(write(tmp_path / "a.nii.gz", made))
    assert (back.axes, back.channels, back.metadata) == ("tczyx", ("a", "b", "c"), {"seed": 1})
    np.testing.assert_array_equal(back.numpy(), data)
    np.testing.assert_array_equal(
        read(write(tmp_path / "b.nii", made.replace(data=data[0], axes="czyx"))).numpy(), data[0]
    )


# Volumes of one field


def test_a_mirrored_file_is_laid_on_the_other_one(tmp_path: Path) -> None:
    """Both tell where they lie, so that voxel by voxel would be the wrong nucleus."""
    data = _noise()
    plain = _nifti(tmp_path / "a.nii", np.diag([0.4, 0.5, 0.8, 1]), "micron", data.T)
    affine = np.diag([-0.4, 0.5, -0.8, 1.0])
    affine[:3, 3] = (0.4 * 8, 0, 0.8 * 4)
    turned = _nifti(tmp_path / "b.nii", affine, "micron", data.T[::-1, :, ::-1])
    for paths in ((plain, turned), (turned, plain)):
        first, second = on_one_grid(*(read(path) for path in paths))
        np.testing.assert_array_equal(first.numpy(), data)
        np.testing.assert_array_equal(second.numpy(), data)
        np.testing.assert_allclose(first.origin, (0, 0, 0), atol=1e-6)
        assert first.notes == second.notes == ()


def test_axes_that_are_swapped_are_swapped_back(tmp_path: Path) -> None:
    data = _noise((6, 7, 7))
    plain = _nifti(tmp_path / "a.nii", np.diag([0.5, 0.5, 0.8, 1]), "micron", data.T)
    affine = np.array([[0, 0.5, 0, 0], [-0.5, 0, 0, 3], [0, 0, 0.8, 0], [0, 0, 0, 1.0]])
    turned = _nifti(tmp_path / "b.nii", affine, "micron", data.T.transpose(1, 0, 2)[::-1])
    first, second = on_one_grid(read(plain), read(turned))
    np.testing.assert_array_equal(first.numpy(), second.numpy())
    np.testing.assert_allclose(first.steps, second.steps)


def test_a_file_that_does_not_tell_is_taken_voxel_by_voxel(tmp_path: Path) -> None:
    affine = np.diag([-0.4, 0.5, -0.8, 1.0])
    nifti = read(_nifti(tmp_path / "a.nii", affine, "micron", _noise().T))
    tiff = read(write(tmp_path / "b.ome.tif", Volume(_noise(), SPACING)))
    first, second = on_one_grid(nifti, tiff)
    np.testing.assert_array_equal(first.numpy(), second.numpy())
    assert "mirrored or turned in space, while" in " ".join(second.notes)


def test_volumes_turned_against_each_other_are_refused(tmp_path: Path) -> None:
    turned = np.array([[0.4, -0.3, 0, 0], [0.3, 0.4, 0, 0], [0, 0, 0.8, 0], [0, 0, 0, 1.0]])
    paths = [
        _nifti(tmp_path / f"{name}.nii", affine, "micron", _noise((5, 9, 9)).T)
        for name, affine in (("a", np.diag([0.5, 0.5, 0.8, 1])), ("b", turned))
    ]
    with pytest.raises(UserError, match="turned in space against each other"):
        on_one_grid(*(read(path) for path in paths))


def test_a_resampled_volume_covers_the_same_place() -> None:
    volume = Volume(_noise((6, 8, 8), "float32"), (0.8, 0.5, 0.5), orientation=FLIPPED)
    coarse = resample(volume, (1.6, 1.0, 1.0))
    corners = np.array([(-0.5, -0.5, -0.5), (5.5, 7.5, 7.5)])
    halves = (corners + 0.5) / 2 - 0.5
    np.testing.assert_allclose(coarse.place(halves), volume.place(corners))
