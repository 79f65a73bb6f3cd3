"""Wrong files, wrong stacks and full disks end with one sentence, and leave nothing behind."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from napari_llcm.events import UserError
from napari_llcm.volumes import Volume, check_stack, read, write

pytestmark = pytest.mark.versions
SPACING = (0.8, 0.25, 0.5)


def _noise(shape: tuple[int, ...] = (5, 12, 9), dtype: str = "uint16") -> np.ndarray:
    return (np.random.default_rng(0).random(shape) * 200).astype(dtype)


def _tiff(path: Path, data: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, data, **options)
    return path


def _empty_folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def _file(name: str, content: bytes) -> Any:
    def make(tmp_path: Path) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return make


def _bare_zarr(tmp_path: Path) -> Path:
    zarr.open_group(tmp_path / "a.zarr", mode="w").create_array("0", data=_noise())
    return tmp_path / "a.zarr"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: p / "gone.tif", "no file or folder"),
        (_empty_folder, "folder without images"),
        (_file("a.tif", b""), "empty file"),
        (_file("a.tif", b"not an image, I fear"), "not a TIFF"),
        (_file("a.tif", b"II*\0\x08\0\0\0"), "TIFF|no image"),
        (_file("a.nii", b"no" * 400), "not a NIfTI"),
        (_file("a.png", b"no" * 400), "not an image"),
        (_file("a.czi", b"no" * 400), r"pip install|bioio"),
        (_bare_zarr, "without the OME metadata"),
        (lambda p: _tiff(p / "a.tif", _noise((3, 4, 5, 12, 9))), "what its axes .* are"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, make: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read(make(tmp_path))


@pytest.mark.parametrize(
    "options",
    [
        {"axes": "zy"},
        {"axes": "zyy"},
        {"axes": "zyq"},
        {"spacing": (1, 2)},
        {"spacing": (0, 1, 1)},
        {"spacing": (float("nan"), 1, 1)},
        {"spacing": (50_000, 1, 1)},
        {"channels": ["a", "b"]},
        {"channel": 7, "axes": "cyx"},
    ],
)
def test_overrides_that_do_not_fit(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        read(_tiff(tmp_path / "a.tif", _noise()), **options)


@pytest.mark.parametrize("kind", ["plain", "zlib", "imagej", "ome", "bigtiff"])
@pytest.mark.parametrize("share", [0.002, 0.05, 0.3, 0.6, 0.99])
def test_a_truncated_tiff_is_noticed_on_opening(tmp_path: Path, kind: str, share: float) -> None:
    options: dict[str, Any] = {
        "plain": {"metadata": None},
        "zlib": {"compression": "zlib"},
        "imagej": {"imagej": True},
        "ome": {"ome": True, "compression": "zlib"},
        "bigtiff": {"bigtiff": True, "compression": "zlib", "metadata": None},
    }[kind]
    path = _tiff(tmp_path / "a.tif", _noise((20, 64, 64)), **options)
    whole = path.read_bytes()
    assert read(path).shape == (20, 64, 64)
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match=r"cut short|damaged|no image"):
        read(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_nifti_is_noticed_on_opening(tmp_path: Path, suffix: str, share: float) -> None:
    path = write(tmp_path / f"a{suffix}", Volume(_noise((20, 64, 64))))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match="cut short"):
        read(path)


def test_a_damaged_chunk_of_a_zarr_is_found_by_the_check(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", Volume(_noise((40, 64, 64))))
    chunk = path / "0" / "c" / "1" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(UserError, match="damaged"):
        check_stack(read(path))


def test_damaged_pixels_are_found_by_the_check(tmp_path: Path) -> None:
    path = _tiff(tmp_path / "a.tif", _noise((8, 64, 64)), compression="zlib")
    with tifffile.TiffFile(path) as tif:
        start = tif.pages[5].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[start : start + 200] = bytes(200)
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="damaged"):
        check_stack(read(path))


@pytest.mark.parametrize(
    ("data", "axes", "words"),
    [
        (_noise((12, 9)), "yx", "2D image; a stack of at least 2 planes"),
        (_noise((1, 12, 9)), "zyx", "1 plane;"),
        (_noise((2, 4, 12, 9)), "czyx", "choose one channel"),
        (np.full((4, 5, 6), np.nan, "float32"), "zyx", "NaN"),
        (np.full((4, 5, 6), 3.0), "zyx", "same value"),
        (np.where(np.arange(120).reshape(4, 5, 6) == 99, np.inf, 1.0), "zyx", "same value"),
        (np.zeros((4, 0, 6)), "zyx", "empty"),
        (_noise((4, 5, 6)) * 1j, "zyx", "real numbers"),
    ],
)
def test_stacks_that_no_network_can_work_on(data: np.ndarray, axes: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_stack(Volume(data, axes=axes))


def test_a_sound_stack_passes() -> None:
    check_stack(Volume(_noise()))


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr", ".nii.gz"])
def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tifffile.TiffWriter.write", full)
    monkeypatch.setattr("dask.array.store", full)
    monkeypatch.setattr("nibabel.save", full)
    with pytest.raises(UserError, match="no space left"):
        write(tmp_path / f"a{suffix}", Volume(_noise()))
    assert list(tmp_path.iterdir()) == []


def test_targets_that_must_not_be_replaced(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", Volume(_noise()))
    with pytest.raises(UserError, match="exists already"):
        write(path, Volume(_noise()))
    write(path, Volume(_noise((3, 4, 5))), overwrite=True)
    assert read(path).shape == (3, 4, 5)
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "thesis.doc").write_text("precious")
    with pytest.raises(UserError, match="holds other files"):
        write(tmp_path / "mine.zarr", Volume(_noise()), overwrite=True)
    with pytest.raises(UserError, match="must end with"):
        write(tmp_path / "a.png", Volume(_noise()))


def test_a_voxel_that_no_microscope_has_is_not_believed(tmp_path: Path) -> None:
    path = _tiff(
        tmp_path / "a.tif",
        _noise(),
        imagej=True,
        resolution=(1e-5, 1),
        metadata={"axes": "ZYX", "spacing": 1, "unit": "um"},
    )
    volume = read(path)
    assert volume.spacing is None
    assert re.search(r"1e\+05 µm.*no microscope", " ".join(volume.notes))
    assert read(path, spacing=SPACING).spacing == SPACING
