"""Folders of planes: their names tell what belongs together, and what does not is told."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_llcm.events import UserError
from napari_llcm.volumes import ChoiceNeeded, read

pytestmark = pytest.mark.versions


def _folder(path: Path, names: Iterable[str], shape: tuple[int, ...] = (6, 8)) -> Path:
    """Write planes; every voxel of one is its place in `names`."""
    path.mkdir()
    for value, name in enumerate(names):
        tifffile.imwrite(path / f"{name}.tif", np.full(shape, value, "u2"))
    return path


def _values(folder: Path, **choice: int | str) -> list[int]:
    return [int(v) for v in read(folder, **choice).select().numpy()[:, 0, 0]]


@pytest.mark.parametrize(
    "form",
    [
        "z{}",
        "z{:03}",
        "img_{}",
        "imgZ{:02}",
        "DAPI_z_{:02}",
        "Z={}",
        "stack{:04}",
        "s{}",
        "2024-5_{}",
    ],
)
def test_planes_are_in_the_order_of_their_numbers(tmp_path: Path, form: str) -> None:
    folder = _folder(tmp_path / "a", [form.format(i) for i in range(1, 13)])
    assert _values(folder) == list(range(12))
    assert read(folder).notes == ()


def test_a_missing_plane_is_named_and_keeps_its_place(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", [f"z{i}" for i in range(1, 11) if i != 7])
    assert _values(folder) == [0, 1, 2, 3, 4, 5, 0, 6, 7, 8]
    (note,) = read(folder).notes
    assert "z7 is missing" in note


@pytest.mark.parametrize("step", [5, 500])
def test_numbers_in_steps_have_no_gaps(tmp_path: Path, step: int) -> None:
    folder = _folder(tmp_path / "a", [f"z{i * step}" for i in range(6)])
    assert read(folder).shape == (6, 6, 8)
    assert read(folder).notes == ()


def test_uneven_numbers_are_told(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", ["z0", "z10", "z20", "z33"])
    assert read(folder).shape[0] == 4
    assert "not numbered in even steps" in read(folder).notes[0]


@pytest.mark.parametrize("form", ["ch{c}_z{z:02}", "z{z:02}_ch{c}", "a_Ch{c}_Z{z}", "w{c}z{z}"])
def test_channels_are_told_apart(tmp_path: Path, form: str) -> None:
    names = [form.format(c=c, z=z) for c in (1, 2) for z in range(5)]
    folder = _folder(tmp_path / "a", names)
    volume = read(folder)
    assert volume.axes == "czyx"
    with pytest.raises(ChoiceNeeded, match="2 channels"):
        volume.select()
    assert _values(folder, channel=volume.channels[1]) == [5, 6, 7, 8, 9]


def test_time_points_are_told_apart(tmp_path: Path) -> None:
    names = [f"t{t:02}_z{z:02}" for t in (1, 2, 3) for z in range(5)]
    folder = _folder(tmp_path / "a", names)
    with pytest.raises(ChoiceNeeded, match="3 time points"):
        read(folder).select()
    assert _values(folder, time=1) == [5, 6, 7, 8, 9]
    told, numbered = read(folder).notes
    assert "3 time points, by name" in told
    assert "numbered from 1" in numbered


@pytest.mark.parametrize(
    ("forms", "names"),
    [
        (["DAPI_z{}", "Phase_z{}"], ["DAPI", "Phase"]),
        (["pos1_z{}", "pos2_z{}"], ["pos1", "pos2"]),
        (["a_1_{}", "a_2_{}"], ["a_1", "a_2"]),  # nothing tells what the first number is
        (["A01_z{}", "B01_z{}"], ["A01", "B01"]),
    ],
)
def test_other_series_are_images_to_choose_from(
    tmp_path: Path, forms: list[str], names: list[str]
) -> None:
    folder = _folder(tmp_path / "a", [f.format(z) for f in forms for z in range(5)])
    with pytest.raises(ChoiceNeeded, match="2 images") as needed:
        read(folder)
    assert (needed.value.option, needed.value.example) == ("image", names[0])
    for i, name in enumerate(names):
        assert _values(folder, image=name) == [*range(5 * i, 5 * i + 5)]


def test_micro_manager_names_hold_everything(tmp_path: Path) -> None:
    form = "img_channel{:03}_position{:03}_time{:09}_z{:03}"
    names = [
        form.format(c, p, t, z) for p in (0, 1) for t in (0, 1) for c in (0, 1) for z in (0, 1)
    ]
    folder = _folder(tmp_path / "a", names)
    volume = read(folder, image=1)
    assert (volume.axes, volume.shape) == ("tczyx", (2, 2, 2, 6, 8))
    np.testing.assert_array_equal(volume.numpy()[..., 0, 0].ravel(), np.arange(8, 16))


def test_planes_of_one_ome_tiff_are_read_as_themselves(tmp_path: Path) -> None:
    """Each file of a set names all others; a plane is still a plane."""
    folder = tmp_path / "a"
    folder.mkdir()
    names = [f"z{z}.ome.tif" for z in range(4)]
    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{z}</UUID>'
        "</TiffData>"
        for z, name in enumerate(names)
    )
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="8" SizeY="6" SizeZ="4" '
        'SizeC="1" SizeT="1"><Channel ID="C:0" SamplesPerPixel="1"/>'
        f"{planes}</Pixels></Image></OME>"
    )
    for value, name in enumerate(names):
        plane = np.full((6, 8), value, "u2")
        tifffile.imwrite(folder / name, plane, description=xml, metadata=None)
    assert _values(folder) == [0, 1, 2, 3]


def test_a_height_beside_the_number_is_no_second_index(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", [f"z{i}_{i * 250}nm" for i in range(6)])
    assert _values(folder) == [*range(6)]


def test_a_time_of_exposure_is_no_second_index(tmp_path: Path) -> None:
    names = [f"z{z}_ch{c}_{120000 + 7 * z + 3 * c}" for z in range(4) for c in (0, 1)]
    volume = read(_folder(tmp_path / "a", names))
    assert (volume.axes, volume.shape[:2]) == ("czyx", (2, 4))
    assert volume.select("ch1").numpy()[:, 0, 0].tolist() == [1, 3, 5, 7]


def test_planes_numbered_on_through_the_channels_are_no_deep_stack(tmp_path: Path) -> None:
    names = [f"ch{c}_z{z}" for c in (0, 1) for z in range(5 * c, 5 * c + 5)]
    volume = read(_folder(tmp_path / "a", names))
    assert volume.axes == "czyx"
    assert "missing" in volume.notes[1]


def test_stage_positions_are_no_planes(tmp_path: Path) -> None:
    """MetaMorph's s1, s2 beside channels: stacking them would be a picture of nothing."""
    names = [f"exp_w{c}_s{s}_t{t}" for c in (1, 2) for s in (1, 2, 3) for t in (1, 2)]
    folder = _folder(tmp_path / "a", names)
    with pytest.raises(ChoiceNeeded, match="3 images"):
        read(folder)
    with pytest.raises(ChoiceNeeded, match="of one plane"):
        read(folder, image=0).select()


def test_plane_numbers_of_a_screening_microscope(tmp_path: Path) -> None:
    names = [
        f"r01c01f{f:02}p{p:02}-ch{c}sk1fk1fl1" for f in (1, 2) for p in (1, 2, 3) for c in (1, 2)
    ]
    volume = read(_folder(tmp_path / "a", names), image=1)
    assert (volume.axes, volume.channels) == ("czyx", ("ch1", "ch2"))
    assert volume.select("ch2").numpy()[:, 0, 0].tolist() == [7, 9, 11]


def test_a_stray_picture_is_named_and_left_out(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", [f"z{i}" for i in range(5)])
    tifffile.imwrite(folder / "overview.tif", np.zeros((50, 60), "u1"))
    assert _values(folder) == [*range(5)]
    assert "overview.tif in a belongs to no series" in read(folder).notes[0]


def test_a_missing_plane_of_one_channel_is_named(tmp_path: Path) -> None:
    names = [f"c{c}_z{z}" for c in (0, 1) for z in range(5)]
    folder = _folder(tmp_path / "a", names[:-1])
    told, missing = read(folder).notes
    assert "2 channels (c0, c1), by name" in told
    assert "c1 z4 is missing" in missing


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["left", "middle", "right"], "hold no numbers"),
        (["z1", "z01", "z2"], r"z1\.tif.*same number"),
    ],
)
def test_names_that_order_nothing_are_refused(tmp_path: Path, names: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        read(_folder(tmp_path / "a", names))


def test_a_folder_of_time_points_of_one_plane_can_be_a_stack(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", [f"t{i}" for i in range(5)])
    with pytest.raises(ChoiceNeeded, match="5 time points of one plane") as needed:
        read(folder).select()
    assert _values(folder, axes=str(needed.value.example)) == [*range(5)]
