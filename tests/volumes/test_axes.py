"""Which axis is what: told, judged where it is sure, and asked for where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_llcm.events import UserError
from napari_llcm.volumes import ChoiceNeeded, ReadOptions, Volume, read, write
from napari_llcm.volumes.axes import likely_axes
from napari_llcm.volumes.options import CheckReadOptions
from napari_llcm.volumes.reading import read_role

STACK = np.random.default_rng(0).integers(0, 1000, (24, 40, 48)).astype("u2")


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((40, 48), ("yx",)),
        ((24, 40, 48), ("zyx",)),
        ((3, 40, 48), ("zyx",)),
        ((40, 48, 3), ("yxc", "zyx")),
        ((24, 40, 48, 3), ("zyxc",)),  # three last entries that no label calls colours
        ((24, 40, 48, 1), ("zyx?",)),
        ((1, 24, 1, 40, 48), ("?z?yx",)),
        ((24, 2, 40, 48), ("zcyx", "tzyx")),
        ((2, 24, 40, 48), ("czyx", "tzyx")),
        ((10, 24, 40, 48), ("tzyx",)),
        ((10, 2, 24, 40, 48), ("tczyx",)),
        ((10, 24, 2, 40, 48), ("tzcyx",)),
        ((10, 24, 30, 40, 48), ("tczyx", "tzcyx")),
        ((2, 3, 10, 24, 40, 48), ()),
        ((40,), ()),
    ],
)
def test_axes_are_judged_by_sizes(shape: tuple[int, ...], axes: tuple[str, ...]) -> None:
    assert likely_axes(shape) == axes


def _imagej(path: Path, axes: str) -> Path:
    metadata = {"axes": axes, "unit": "micron", "spacing": 0.8}
    tifffile.imwrite(path, STACK, imagej=True, resolution=(2, 2), metadata=metadata)
    return path


@pytest.mark.parametrize("axes", ["TYX", "CYX"])
def test_planes_that_are_called_times_or_channels(tmp_path: Path, axes: str) -> None:
    path = _imagej(tmp_path / "a.tif", axes)
    with pytest.raises(ChoiceNeeded, match=r"24 .*of one plane") as needed:
        read(path).select()
    assert str(path) in str(needed.value)
    assert (needed.value.option, needed.value.example) == ("axes", "zyx")
    volume = read(path, ReadOptions(axes="zyx")).select()
    np.testing.assert_array_equal(volume.numpy(), STACK)
    assert volume.spacing == pytest.approx((0.8, 0.5, 0.5))


def test_the_example_is_in_the_order_of_the_file(tmp_path: Path) -> None:
    """NIfTI's axes run x, y, z, t: frames along t of a stack of one plane."""
    frames = Volume(STACK[:, None], axes="tzyx")
    path = tmp_path / "a.nii"
    import nibabel

    nibabel.save(nibabel.Nifti1Image(frames.numpy().T, np.eye(4), dtype=STACK.dtype), path)
    with pytest.raises(ChoiceNeeded) as needed:
        read(path).select()
    assert needed.value.example == "xytz"
    np.testing.assert_array_equal(read(path, axes="xytz").select().numpy(), STACK)


@pytest.mark.parametrize(
    ("data", "options", "example"),
    [
        (np.stack([STACK] * 2, 1), {"photometric": "minisblack"}, "zcyx"),
        (np.stack([STACK] * 3, -1), {"photometric": "minisblack"}, "zyxc"),
        (STACK[:, :, :3], {"photometric": "minisblack"}, "yxc"),
    ],
)
def test_axes_that_nothing_tells_are_asked_for(
    tmp_path: Path, data: np.ndarray, options: dict[str, Any], example: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", data, **options)
    with pytest.raises(ChoiceNeeded, match=r"what its axes") as needed:
        read(tmp_path / "a.tif")
    assert needed.value.example == example
    assert read(tmp_path / "a.tif", axes=example).shape[-2:] in {
        data.shape[1:3],
        data.shape[:2],
    } | {data.shape[-2:]}


def test_axes_of_one_entry_are_dropped(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK[..., None])
    np.testing.assert_array_equal(read(tmp_path / "a.tif").numpy(), STACK)
    tifffile.imwrite(tmp_path / "b.tif", STACK[None, None], photometric="minisblack")
    np.testing.assert_array_equal(read(tmp_path / "b.tif", axes="zyx").numpy(), STACK)


def test_six_axes_are_refused_in_a_sentence(tmp_path: Path) -> None:
    data = np.zeros((2, 3, 2, 4, 8, 9), "u2")
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
    with pytest.raises(UserError, match=r"6 axes.*save each stack in a file of its own"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_are_channels_of_each_plane(tmp_path: Path, planar: str) -> None:
    colours = np.stack([STACK, STACK + 1, STACK + 2], -1 if planar == "contig" else 1)
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb", planarconfig=planar)
    volume = read(tmp_path / "a.tif")
    assert volume.channels == ("red", "green", "blue")
    np.testing.assert_array_equal(volume.select("blue").numpy(), STACK + 2)
    with pytest.raises(ChoiceNeeded, match="red, green, blue"):
        volume.select()


def test_colours_of_channels_are_refused(tmp_path: Path) -> None:
    data = np.zeros((2, 5, 40, 48, 3), "u1")
    tifffile.imwrite(tmp_path / "a.ome.tif", data, photometric="rgb", metadata={"axes": "CZYXS"})
    with pytest.raises(UserError, match=r"colours .* in each of its channels"):
        read(tmp_path / "a.ome.tif")


def test_a_colour_photograph_is_no_stack(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((40, 48, 3), "u1"), photometric="rgb")
    with pytest.raises(UserError, match="colour image of one plane"):
        read(tmp_path / "a.tif").select()


@pytest.mark.parametrize(
    ("channels", "role", "taken"),
    [
        (("Phase", "DAPI"), "qpi", 0),
        (("Phase", "DAPI"), "truth", 1),
        (("dapi", "spread"), "stain", 0),
        (("EGFP", "Hoechst 33342"), "truth", 1),
        (("DAPI 1", "DAPI 2"), "truth", None),  # two of them
        (("a", "b"), "qpi", None),
        ((), "qpi", None),
    ],
)
def test_a_channel_is_known_by_its_name_or_asked_for(
    tmp_path: Path, channels: tuple[str, ...], role: str, taken: int | None
) -> None:
    both = np.stack([STACK, STACK + 1])
    path = write(tmp_path / "a.ome.tif", Volume(both, axes="czyx", channels=channels))
    if taken is None:
        with pytest.raises(ChoiceNeeded, match="2 channels") as needed:
            read_role(path, CheckReadOptions(), role)
        assert (needed.value.option, needed.value.role) == ("channel", role)
        return
    volume = read_role(path, CheckReadOptions(), role)
    np.testing.assert_array_equal(volume.numpy(), both[taken])
    assert volume.notes == (
        f"{path} has the channels {', '.join(channels)}: {channels[taken]} is taken.",
    )
    other = read_role(path, CheckReadOptions(**{role: {"channel": 1 - taken}}), role)
    np.testing.assert_array_equal(other.numpy(), both[1 - taken])


def test_a_choice_that_changes_nothing_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ome.tif", Volume(STACK))
    assert "the choice of 'DAPI' changes nothing" in read(path, channel="DAPI").notes[0]
    assert read(path, channel=0, time=0).notes == ()
