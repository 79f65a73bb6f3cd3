"""Volumes come back as they were written, with their scale; so do other people's files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
import zarr

from napari_llcm.events import UserError
from napari_llcm.volumes import Volume, ZarrWriter, planes, read, write

pytestmark = pytest.mark.versions
SPACING = (0.8, 0.25, 0.5)


def _noise(shape: tuple[int, ...] = (5, 12, 9), dtype: str = "uint16") -> np.ndarray:
    return (np.random.default_rng(0).random(shape) * 200).astype(dtype)


def _tiff(path: Path, data: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, data, **options)
    return path


# What is written is read back


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr", ".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "uint32"])
def test_write_then_read(tmp_path: Path, suffix: str, dtype: str) -> None:
    data = _noise(dtype=dtype)
    volume = Volume(
        data, SPACING, origin=(1.0, 2.0, 3.5), name="a", metadata={"seed": 1, "by": "é"}
    )
    back = read(write(tmp_path / f"a{suffix}", volume))
    assert back.name == "a"
    assert back.axes == "zyx"
    assert back.dtype == data.dtype
    np.testing.assert_array_equal(back.numpy(), data)
    np.testing.assert_allclose(back.spacing, SPACING)
    np.testing.assert_allclose(back.origin, (1.0, 2.0, 3.5))
    if "nii" not in suffix:
        assert back.metadata == {"seed": 1, "by": "é"}
    assert [p.name for p in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
def test_channels_and_time_survive_and_can_be_chosen(tmp_path: Path, suffix: str) -> None:
    data = _noise((2, 3, 4, 12, 9))
    volume = Volume(data, SPACING, axes="tczyx", channels=("phase", "DAPI", "actin"))
    path = write(tmp_path / f"a{suffix}", volume)
    back = read(path)
    assert back.axes == "tczyx"
    assert back.channels == ("phase", "DAPI", "actin")
    np.testing.assert_array_equal(read(path, channel="DAPI", time=1).numpy(), data[1, 1])
    with pytest.raises(UserError, match="phase, DAPI, actin"):
        read(path, time=0)
    assert read(path, channels=["a", "b", "c"]).channels == ("a", "b", "c")


def test_a_volume_without_spacing_stays_without(tmp_path: Path) -> None:
    for suffix in (".ome.tif", ".ome.zarr", ".nii"):
        assert read(write(tmp_path / f"a{suffix}", Volume(_noise()))).spacing is None


def test_planes_of_an_ome_tiff_know_their_depth(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.tif", Volume(_noise((2, 3, 4, 5)), SPACING, "czyx", origin=(1, 0, 0))
    )
    with tifffile.TiffFile(path) as tif:
        positions = re.findall(r'PositionZ="([\d.]+)"', tif.ome_metadata or "")
    np.testing.assert_allclose([float(p) for p in positions], [1, 1.8, 2.6] * 2)


def test_64_bit_labels_fit_ome_tiff_or_say_so(tmp_path: Path) -> None:
    labels = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    assert read(write(tmp_path / "a.tif", Volume(labels))).dtype == np.int32
    with pytest.raises(UserError, match="too large"):
        write(tmp_path / "b.tif", Volume(labels + 2**40))
    assert not (tmp_path / "b.tif").exists()


def test_tiff_turns_big_where_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_llcm.volumes.tiff_writing._CLASSIC_LIMIT", 1000)
    with tifffile.TiffFile(write(tmp_path / "a.ome.tif", Volume(_noise()))) as tif:
        assert tif.is_bigtiff


def test_zarr_is_valid_multiscale_with_scale_and_translation(tmp_path: Path) -> None:
    data = _noise((6, 600, 300), "float32")
    path = write(tmp_path / "a.ome.zarr", Volume(data, (2.0, 0.5, 0.5), origin=(0.0, 0.0, 10.0)))
    ome = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    assert ome["version"] == "0.5"
    image = ome["multiscales"][0]
    assert [a["unit"] for a in image["axes"]] == ["micrometer"] * 3
    levels = [zarr.open_array(path / d["path"], mode="r") for d in image["datasets"]]
    assert [a.shape for a in levels] == [(6, 600, 300), (6, 300, 150), (6, 150, 75)]
    scale, translation = image["datasets"][1]["coordinateTransformations"]
    assert scale["scale"] == [2.0, 1.0, 1.0]
    assert translation["translation"] == [0.0, 0.25, 10.25]
    mean = data.reshape(6, 300, 2, 150, 2).mean((2, 4))
    np.testing.assert_allclose(levels[1][:], mean, rtol=1e-6)


def test_a_pyramid_of_labels_is_not_averaged(tmp_path: Path) -> None:
    labels = np.where(_noise((4, 300, 300)) > 100, 7, 90).astype(np.uint32)
    path = write(tmp_path / "a.zarr", Volume(labels, SPACING), labels=True)
    assert set(np.unique(zarr.open_array(path / "1", mode="r")[:])) == {7, 90}


def test_a_store_is_filled_tile_by_tile_and_resumed(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.zarr"
    like = Volume(np.empty(0), SPACING)
    first = ZarrWriter(path, (4, 40, 40), "float32", like=like, chunks=(2, 20, 20))
    first.array[:2] = 1
    assert not path.exists()
    second = ZarrWriter(path, (4, 40, 40), "float32", like=like, resume=True)
    assert second.resumed
    second.array[2:] = 2
    back = read(second.finish({"model": "x"}))
    assert back.numpy()[:, 0, 0].tolist() == [1, 1, 2, 2]
    assert back.metadata == {"model": "x"}
    assert not second.partial.exists()
    with pytest.raises(UserError, match="exists already"):
        ZarrWriter(path, (4, 40, 40), "float32", like=like)


# Other people's files


@pytest.mark.parametrize(("unit", "length"), [("micron", 1.0), ("nm", 1e-3), ("\\u00B5m", 1.0)])
def test_imagej_calibration(tmp_path: Path, unit: str, length: float) -> None:
    data = _noise((3, 2, 12, 9))
    path = _tiff(
        tmp_path / "a.tif",
        data,
        imagej=True,
        resolution=(4.0, 2.0),
        metadata={"axes": "ZCYX", "spacing": 1.5, "unit": unit},
    )
    volume = read(path)
    assert volume.axes == "czyx"
    np.testing.assert_allclose(volume.spacing, np.array([1.5, 0.5, 0.25]) * length, rtol=1e-6)
    np.testing.assert_array_equal(volume.select(1).numpy(), data[:, 1])


def test_imagej_in_inches(tmp_path: Path) -> None:
    path = _tiff(
        tmp_path / "a.tif",
        _noise(),
        imagej=True,
        resolution=(25400.0, 12700.0),
        resolutionunit="INCH",
        metadata={"axes": "ZYX", "spacing": 1e-4},
    )
    np.testing.assert_allclose(read(path).spacing, (2.54, 2.0, 1.0), rtol=1e-6)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_a_plain_tiff_is_a_lazy_stack(tmp_path: Path, compression: str | None) -> None:
    data = _noise()
    volume = read(_tiff(tmp_path / "a.tif", data, compression=compression))
    assert volume.axes == "zyx"
    assert volume.spacing is None
    assert not isinstance(volume.data, np.ndarray)
    np.testing.assert_array_equal(np.asarray(volume.data[2, 3:5]), data[2, 3:5])


def test_small_planes_of_a_tiff_are_read_together_and_large_ones_alone(tmp_path: Path) -> None:
    """Each read has its price: 48 planes one by one take thirty times as long as together."""
    for size, together in ((64, 6), (1600, 1)):
        stack = np.zeros((6, size, size), "uint16")
        tifffile.imwrite(tmp_path / "a.tif", stack, compression="zlib", metadata={"axes": "ZYX"})
        assert read(tmp_path / "a.tif").data.chunksize[0] == together


def test_ome_units_and_overrides(tmp_path: Path) -> None:
    metadata: dict[str, Any] = {"axes": "ZYX"}
    for axis, size in zip("ZYX", (800, 250, 500), strict=True):
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "nm"}
    data = _noise()
    path = _tiff(tmp_path / "a.ome.tif", data, metadata=metadata)
    np.testing.assert_allclose(read(path).spacing, SPACING)
    other = read(path, axes="xyz", spacing=(1, 2, 3))
    assert other.spacing == (1.0, 2.0, 3.0)
    np.testing.assert_array_equal(other.numpy(), data.transpose(2, 1, 0))
    frames = read(path, axes="tyx")
    with pytest.raises(UserError, match=r"5 time points of one plane.*axes='zyx'"):
        frames.select()


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_of_either_version(tmp_path: Path, version: str) -> None:
    data = _noise((1, 2, 4, 12, 9))
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2 if version == "0.4" else 3)
    group.create_array("s0", data=data)
    space = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
    image = {
        "axes": [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}, *space],
        "datasets": [
            {
                "path": "s0",
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1, 1, 400, 125, 250]},
                    {"type": "translation", "translation": [0, 0, 100, 0, 0]},
                ],
            }
        ],
        "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 2, 2, 2]}],
    }
    ome = {"multiscales": [image], "omero": {"channels": [{"label": "a"}, {"label": "b"}]}}
    group.attrs.update(ome if version == "0.4" else {"ome": {"version": "0.5", **ome}})
    volume = read(tmp_path / "a.zarr")
    assert volume.axes == "czyx"
    assert volume.channels == ("a", "b")
    np.testing.assert_allclose(volume.spacing, SPACING)
    np.testing.assert_allclose(volume.origin, (0.2, 0, 0))
    np.testing.assert_array_equal(volume.select("b").numpy(), data[0, 1])


def test_nifti_in_millimetres_is_turned_to_zyx(tmp_path: Path) -> None:
    data = _noise((9, 12, 5), "int16")
    image = nibabel.Nifti1Image(data, np.diag([5e-4, 2.5e-4, 8e-4, 1.0]))
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(2.0, 1.0)
    nibabel.save(image, tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.spacing, SPACING)
    np.testing.assert_array_equal(volume.numpy(), nibabel.load(tmp_path / "a.nii").get_fdata().T)


def test_a_folder_of_planes_is_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    import imageio.v3

    data = _noise((11, 12, 9), "uint8")
    for z, plane in enumerate(data):
        _tiff(tmp_path / f"z{z}.tif", plane) if z % 2 else imageio.v3.imwrite(
            tmp_path / f"z{z}.png", plane
        )
    (tmp_path / "notes.txt").write_text("about")
    volume = read(tmp_path, spacing=SPACING)
    assert volume.axes == "zyx"
    np.testing.assert_array_equal(volume.numpy(), data)
    _tiff(tmp_path / "z20.tif", data[0, :5])
    with pytest.raises(UserError, match=r"z20\.tif is 5 × 9.*12 × 9"):
        read(tmp_path)


def test_planes_are_read_a_chunk_at_a_time(tmp_path: Path) -> None:
    data = _noise((70, 12, 9))
    volume = read(write(tmp_path / "a.zarr", Volume(data)))
    np.testing.assert_array_equal(np.stack(list(planes(volume))), data)
