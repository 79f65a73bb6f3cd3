"""Files that hold several images: a note tells which was taken, any can be chosen."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr

from napari_llcm.events import UserError
from napari_llcm.volumes import Volume, read, write

pytestmark = pytest.mark.versions
LEFT = np.arange(4 * 6 * 8, dtype="f4").reshape(4, 6, 8)
MIDDLE = LEFT[:3, :5] + 1
THUMB = LEFT[0, ::2, ::2]


def _ome(path: Path, **images: np.ndarray) -> Path:
    with tifffile.TiffWriter(path, ome=True) as writer:
        for number, (name, data) in enumerate(images.items()):
            metadata: dict[str, Any] = {"axes": "ZYX"[-data.ndim :], "Name": name}
            for axis in "ZYX":
                metadata |= {f"PhysicalSize{axis}": number + 0.5, f"PhysicalSize{axis}Unit": "µm"}
            writer.write(data, metadata=metadata)
    return path


def _pages(path: Path, **images: np.ndarray) -> Path:
    """Plain TIFF: pages of another size are another image."""
    with tifffile.TiffWriter(path) as writer:
        for data in images.values():
            for plane in data.reshape(-1, *data.shape[-2:]):
                writer.write(plane, metadata=None)
    return path


def _converted(path: Path, **images: np.ndarray) -> Path:
    """As bioformats2raw lays several images out."""
    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.attrs["ome"] = {"version": "0.5", "bioformats2raw.layout": 3}
    for number, (name, data) in enumerate(images.items()):
        inner = write(path.parent / f"{name}.ome.zarr", Volume(data, name=name))
        inner.rename(path / str(number))
    return path


MAKERS = {"a.ome.tif": _ome, "a.tif": _pages, "a.zarr": _converted}


@pytest.mark.parametrize("file", MAKERS)
def test_several_images_are_told_and_any_can_be_chosen(tmp_path: Path, file: str) -> None:
    path = MAKERS[file](tmp_path / file, left=LEFT, middle=MIDDLE)
    first = read(path)
    np.testing.assert_array_equal(first.numpy(), LEFT)
    (note,) = first.notes
    for words in ("holds 2 images", "4 × 6 × 8", "3 × 5 × 8", "Image 0"):
        assert words in note
    second = read(path, image=1)
    np.testing.assert_array_equal(second.numpy(), MIDDLE)
    assert second.notes == ()
    with pytest.raises(UserError, match=r"has no image 'top'.*0 .*1 "):
        read(path, image="top")
    with pytest.raises(UserError, match="has no image 2"):
        read(path, image=2)


@pytest.mark.parametrize("file", ["a.ome.tif", "a.zarr"])
def test_images_are_chosen_by_name(tmp_path: Path, file: str) -> None:
    path = MAKERS[file](tmp_path / file, left=LEFT, middle=MIDDLE)
    assert "left" in read(path).notes[0]
    assert read(path, image="Middle").shape == MIDDLE.shape
    assert read(path, image="middle").name == "a middle"


def test_the_spacing_is_that_of_the_image(tmp_path: Path) -> None:
    path = _ome(tmp_path / "a.ome.tif", left=LEFT, middle=MIDDLE)
    assert read(path).spacing == (0.5, 0.5, 0.5)
    assert read(path, image=1).spacing == (1.5, 1.5, 1.5)


@pytest.mark.parametrize("file", ["a.ome.tif", "a.tif"])
def test_a_thumbnail_first_does_not_hide_the_stack(tmp_path: Path, file: str) -> None:
    path = MAKERS[file](tmp_path / file, thumb=THUMB, stack=LEFT)
    volume = read(path).select()
    np.testing.assert_array_equal(volume.numpy(), LEFT)
    assert "Image 1" in volume.notes[0]


def test_levels_of_a_pyramid_are_not_several_images(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        writer.write(np.tile(LEFT, (1, 8, 8)), subifds=1, metadata={"axes": "ZYX"})
        writer.write(np.tile(LEFT, (1, 4, 4)), subfiletype=1)
    store = write(tmp_path / "b.ome.zarr", Volume(np.ones((2, 600, 600), "u1"), (1, 1, 1)))
    for path in (tmp_path / "a.ome.tif", store):
        assert read(path).notes == ()


def test_a_field_of_a_plate_is_chosen_by_its_path(tmp_path: Path) -> None:
    plate = zarr.open_group(tmp_path / "p.zarr", mode="w", zarr_format=3)
    plate.attrs["ome"] = {"plate": {"wells": [{"path": "A/1"}]}, "version": "0.5"}
    well = plate.create_group("A/1")
    well.attrs["ome"] = {"well": {"images": [{"path": "0"}, {"path": "1"}]}, "version": "0.5"}
    for field, data in (("0", LEFT), ("1", MIDDLE)):
        written = write(tmp_path / f"{field}.ome.zarr", Volume(data, (1, 1, 1)))
        written.rename(tmp_path / "p.zarr" / "A" / "1" / field)
    with pytest.raises(UserError, match="A/1/0, A/1/1"):
        read(tmp_path / "p.zarr")
    volume = read(tmp_path / "p.zarr", image="A/1/1")
    np.testing.assert_array_equal(volume.numpy(), MIDDLE)
    assert volume.name == "p A 1 1"
    np.testing.assert_array_equal(read(tmp_path / "p.zarr" / "A" / "1", image="0").numpy(), LEFT)
    with pytest.raises(UserError, match="A/1/0, A/1/1"):
        read(tmp_path / "p.zarr", image="B/2/0")


class _Scenes:
    """As bioio shows a microscope's file of three scenes."""

    scenes = ("overview", "cells 1", "cells 2")
    channel_names = ("Phase",)

    def __init__(self, path: Path) -> None:
        self.set_scene(0)

    def set_scene(self, number: int) -> None:
        shape = [(1, 1, 1, 6, 8), (1, 1, 4, 6, 8), (1, 1, 5, 6, 8)][number]
        self.dask_data = da.full(shape, number)
        self.shape, self.dims = shape, SimpleNamespace(order="TCZYX")
        self.physical_pixel_sizes = SimpleNamespace(Z=number + 1.0, Y=0.5, X=0.5)


def test_scenes_of_a_microscope_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bioio.BioImage", _Scenes)
    path = tmp_path / "a.czi"
    path.write_bytes(b"x")
    volume = read(path)
    assert (volume.shape, volume.spacing) == ((4, 6, 8), (2.0, 0.5, 0.5))
    assert "holds 3 images: 0 overview" in volume.notes[0]
    other = read(path, image="cells 2")
    assert (other.shape, other.spacing, other.name) == ((5, 6, 8), (3.0, 0.5, 0.5), "a cells 2")
    assert int(other.numpy()[0, 0, 0]) == 2


def test_a_single_image_takes_its_own_number(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ome.tif", Volume(LEFT))
    assert read(path, image=0).name == "a"
    with pytest.raises(UserError, match="has no image 1"):
        read(path, image=1)


def test_a_link_of_another_name_is_the_file_that_it_leads_to(tmp_path: Path) -> None:
    data = np.arange(240, dtype=np.uint16).reshape(3, 8, 10)
    write(tmp_path / "data" / "a.ome.tif", Volume(data, spacing=(0.8, 0.5, 0.5)))
    link = tmp_path / "field 1.ome.tif"
    link.symlink_to(Path("data", "a.ome.tif"))
    volume = read(link)
    assert np.array_equal(volume.numpy(), data)
    assert volume.spacing == (0.8, 0.5, 0.5)


@pytest.mark.parametrize("choice", [{"channel": -1}, {"channel": "-1"}, {"time": -1}])
def test_numbers_below_0_choose_nothing(tmp_path: Path, choice: dict[str, Any]) -> None:
    shape, axes = ((2, 3, 8, 10), "tzyx") if "time" in choice else ((2, 3, 8, 10), "czyx")
    path = write(tmp_path / "a.ome.tif", Volume(np.ones(shape, np.uint16), axes=axes))
    with pytest.raises(UserError, match="0 to 1, not -1"):
        read(path, **choice)
