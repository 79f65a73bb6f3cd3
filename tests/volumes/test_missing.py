"""What is missing from a file is named, and what is there can be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from napari_llcm.events import UserError
from napari_llcm.volumes import Volume, check_stack, looks_like_labels, read, write

pytestmark = pytest.mark.versions
SPACING = (0.8, 0.5, 0.4)
_OME = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype("float32") + 1


def _image(
    number: int, where: list[tuple[str, int]], order: str = "XYZCT", c: int = 1, t: int = 1
) -> str:
    """Return the XML of an image of six planes of 8 × 8, each in a file at a directory."""
    z = len(where) // (c * t)
    sizes = dict(zip(order, (8, 8, *[{"Z": z, "C": c, "T": t}[a] for a in order[2:]]), strict=True))
    planes = ""
    for i, (file, ifd) in enumerate(where):
        at = dict(zip(order[4:1:-1], np.unravel_index(i, [sizes[a] for a in order[4:1:-1]])))  # noqa: B905
        first = " ".join(f'First{a}="{n}"' for a, n in at.items())
        planes += (
            f'<TiffData {first} IFD="{ifd}" PlaneCount="1"><UUID FileName="{file}">'
            f"urn:uuid:{file}</UUID></TiffData>"
        )
    size = " ".join(f'Size{a}="{n}"' for a, n in sizes.items())
    channels = "".join(f'<Channel ID="C:{i}" Name="channel {i}"/>' for i in range(c))
    return (
        f'<Image ID="Image:{number}" Name="i{number}"><Pixels ID="P:{number}" Type="float" '
        f'DimensionOrder="{order}" {size} PhysicalSizeZ="0.8" PhysicalSizeY="0.5" '
        f'PhysicalSizeX="0.{4 + number}">{channels}{planes}</Pixels></Image>'
    )


def _xml(file: str, *images: str) -> str:
    return f'<?xml version="1.0"?><OME {_OME} UUID="urn:uuid:{file}">{"".join(images)}</OME>'


def _ome(folder: Path, file: str, data: np.ndarray, xml: str) -> Path:
    tifffile.imwrite(folder / file, data, metadata=None, description=xml, photometric="minisblack")
    return folder / file


def _cut(path: Path, data: np.ndarray, axes: str, kept: int) -> Path:
    """Write an OME-TIFF that promises all planes of `data` and holds the first few."""
    full = path.with_name("full.ome.tif")
    tifffile.imwrite(full, data, metadata={"axes": axes}, photometric="minisblack")
    with tifffile.TiffFile(full) as tif:
        xml = tif.ome_metadata or ""
    return _ome(path.parent, path.name, data.reshape(-1, 8, 8)[:kept], xml)


# OME-TIFF


@pytest.mark.parametrize(
    ("axes", "shape", "kept", "shown", "words"),
    [
        ("TZYX", (5, 6, 8, 8), 18, (3, 6, 8, 8), "30 planes, of which 18 are there"),
        ("TZYX", (5, 6, 8, 8), 18, (3, 6, 8, 8), "opened are time points 0 to 2 of 5."),
        ("TZYX", (5, 6, 8, 8), 20, (3, 6, 8, 8), "opened are time points 0 to 2 of 5."),
        ("TZYX", (5, 6, 8, 8), 6, (6, 8, 8), "opened are time point 0 of 5."),
        ("ZYX", (6, 8, 8), 4, (4, 8, 8), "opened are planes 0 to 3 of 6."),
        ("CZYX", (2, 6, 8, 8), 6, (6, 8, 8), "opened are channel 0 of 2."),
        ("CZYX", (2, 6, 8, 8), 10, (2, 6, 8, 8), "opened are 2 planes as empty ones."),
    ],
)
def test_planes_that_are_promised_and_missing(
    tmp_path: Path, axes: str, shape: Any, kept: int, shown: Any, words: str
) -> None:
    data = _noise(*shape)
    volume = read(_cut(tmp_path / "a.ome.tif", data, axes, kept))
    assert volume.shape == shown
    assert words in volume.notes[0]
    planes = volume.numpy().reshape(-1, 8, 8)
    there = min(kept, len(planes))
    np.testing.assert_array_equal(planes[:there], data.reshape(-1, 8, 8)[:there])
    assert not planes[there:].any()


def test_a_time_point_in_the_middle_may_be_missing(tmp_path: Path) -> None:
    data = _noise(2, 3, 8, 8)
    where = [("a.ome.tif", z) for z in range(3)]
    where += [("gone.ome.tif", z) for z in range(3)] + [("a.ome.tif", z + 3) for z in range(3)]
    xml = _xml("a.ome.tif", _image(0, where, t=3))
    volume = read(_ome(tmp_path, "a.ome.tif", data.reshape(-1, 8, 8), xml))
    assert "(gone.ome.tif is not beside it)" in volume.notes[0]
    assert "time points 0, 2 of 3 (numbered from 0 here)" in volume.notes[0]
    np.testing.assert_array_equal(volume.numpy(), data)


def test_a_channel_in_a_file_that_is_not_there(tmp_path: Path) -> None:
    data = _noise(6, 8, 8)
    where = [(f"{c}.ome.tif", z) for c in range(2) for z in range(6)]
    _ome(tmp_path, "1.ome.tif", data, _xml("1.ome.tif", _image(0, where, c=2)))
    volume = read(tmp_path / "1.ome.tif")
    assert "(0.ome.tif is not beside it); opened are channel 1 of 2." in volume.notes[0]
    np.testing.assert_array_equal(volume.numpy(), data)
    _ome(tmp_path, "0.ome.tif", data + 1, _xml("0.ome.tif", _image(0, where, c=2)))
    whole = read(tmp_path / "1.ome.tif")
    assert (whole.axes, whole.channels, whole.notes) == ("czyx", ("channel 0", "channel 1"), ())
    np.testing.assert_array_equal(whole.numpy(), [data + 1, data])


@pytest.mark.parametrize("other_is_there", [True, False])
def test_a_file_of_a_set_of_images_is_read_as_itself(tmp_path: Path, other_is_there: bool) -> None:
    """With the voxels, and the voxel size, of its own image and not of the first one."""
    data = _noise(6, 8, 8)
    images = [_image(i, [(f"{i}.ome.tif", z) for z in range(6)]) for i in range(2)]
    for i in range(2):
        _ome(tmp_path, f"{i}.ome.tif", data + i, _xml(f"{i}.ome.tif", *images))
    if not other_is_there:
        (tmp_path / "0.ome.tif").unlink()
    volume = read(tmp_path / "1.ome.tif")
    np.testing.assert_array_equal(volume.numpy(), data + 1)
    assert volume.spacing == (0.8, 0.5, 0.5)


def test_a_description_in_a_companion_file(tmp_path: Path) -> None:
    data = _noise(6, 8, 8)
    only = f'<OME {_OME} UUID="urn:uuid:a.ome.tif"><BinaryOnly MetadataFile="a.companion.ome" '
    only = f'<?xml version="1.0"?>{only} UUID="urn:uuid:b"/></OME>'
    path = _ome(tmp_path, "a.ome.tif", data, only)
    volume = read(path)
    assert "in a.companion.ome, which is not beside it" in volume.notes[0]
    assert volume.spacing is None
    xml = _xml("b", _image(0, [("a.ome.tif", z) for z in range(6)]))
    companion = tmp_path / "a.companion.ome"
    companion.write_text(xml)
    for file in (path, companion):
        volume = read(file)
        assert (volume.spacing, volume.notes) == (SPACING, ())
        np.testing.assert_array_equal(volume.numpy(), data)
    path.unlink()
    with pytest.raises(UserError, match=r"no file is there \(a\.ome\.tif is not beside it\)"):
        read(companion)


def test_a_damaged_description_leaves_the_pixels(tmp_path: Path) -> None:
    data = _noise(6, 8, 8)
    volume = read(_ome(tmp_path, "a.ome.tif", data, f'<?xml version="1.0"?><OME {_OME}><Ima</OME>'))
    np.testing.assert_array_equal(volume.numpy(), data)
    assert "description in a.ome.tif is damaged" in volume.notes[0]


def test_a_description_that_does_not_fit_is_told(tmp_path: Path) -> None:
    data = _noise(6, 8, 8)
    fewer = _xml("a.ome.tif", _image(0, [("a.ome.tif", z) for z in range(4)]))
    volume = read(_ome(tmp_path, "a.ome.tif", data, fewer))
    assert volume.shape == (4, 8, 8)
    assert "holds 6 planes, of which its description names 4" in volume.notes[0]
    wide = fewer.replace('SizeX="8"', 'SizeX="9"')
    volume = read(_ome(tmp_path, "a.ome.tif", data, wide))
    assert (volume.shape, volume.spacing) == ((6, 8, 8), None)
    assert "does not fit its planes" in volume.notes[0]


def test_a_second_file_that_is_cut_short(tmp_path: Path) -> None:
    data = _noise(6, 8, 8)
    where = [(f"{c}.ome.tif", z) for c in range(2) for z in range(6)]
    paths = [
        _ome(tmp_path, f"{c}.ome.tif", data, _xml(f"{c}.ome.tif", _image(0, where, c=2)))
        for c in range(2)
    ]
    os.truncate(paths[1], paths[1].stat().st_size - 3000)
    with pytest.raises(UserError, match=r"0\.ome\.tif"):
        read(paths[0]).numpy()


def test_fields_of_a_plate_are_named_after_their_wells(tmp_path: Path) -> None:
    images = [_image(i, [("a.ome.tif", 6 * i + z) for z in range(6)]) for i in range(2)]
    wells = "".join(
        f'<Well Row="{i}" Column="2"><WellSample><ImageRef ID="Image:{i}"/></WellSample></Well>'
        for i in range(2)
    )
    xml = _xml("a.ome.tif", f"<Plate>{wells}</Plate>", *images)
    path = _ome(tmp_path, "a.ome.tif", _noise(12, 8, 8), xml)
    assert "2 images: 0 A/3/0 (6 × 8 × 8), 1 B/3/0" in read(path).notes[0]
    assert read(path, image="B/3/0").spacing == (0.8, 0.5, 0.5)


# OME-Zarr


def _plate(path: Path, version: int) -> Path:
    def describe(group: Any, **attributes: Any) -> None:
        group.attrs.update(
            attributes if version == 2 else {"ome": {"version": "0.5", **attributes}}
        )

    plate = zarr.open_group(path, mode="w", zarr_format=2 if version == 2 else 3)
    wells = ["B/03", "C/11"]
    describe(plate, plate={"wells": [{"path": w} for w in wells]})
    for well in wells:
        group = plate.create_group(well)
        describe(group, well={"images": [{"path": "0"}, {"path": "left"}]})
        for field in ("0", "left"):
            image = group.create_group(field)
            image.create_array("0", data=_noise(3, 8, 8))
            axes = [{"name": a, "type": "space"} for a in "zyx"]
            describe(image, multiscales=[{"axes": axes, "datasets": [{"path": "0"}]}])
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_a_plate_and_a_well_name_their_fields(tmp_path: Path, version: int) -> None:
    path = _plate(tmp_path / "p.zarr", version)
    words = "plate of 2 wells with the fields B/03/0, B/03/left, C/11/0, C/11/left: give one"
    with pytest.raises(UserError, match=words):
        read(path)
    with pytest.raises(UserError, match="a well with the fields 0, left: give one of these"):
        read(path / "B" / "03")
    assert read(path / "B" / "03" / "left").shape == (3, 8, 8)


def _described(path: Path, version: int, **chunked: Any) -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=version)
    group.create_array("0", data=_noise(2, 10, 50, 45), chunks=(1, 4, 16, 16), **chunked)
    axes = [{"name": "t", "type": "time"}, *({"name": a, "type": "space"} for a in "zyx")]
    image = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    group.attrs.update(image if version == 2 else {"ome": {"version": "0.5", **image}})
    return path


@pytest.mark.parametrize(
    ("version", "chunked"),
    [
        (2, {}),
        (2, {"chunk_key_encoding": {"name": "v2", "separator": "/"}}),
        (3, {}),
        (3, {"shards": (1, 8, 32, 32)}),
        (3, {"shards": {"shape": (1, 8, 32, 32), "index_location": "start"}}),
    ],
)
def test_chunks_that_are_missing_are_counted(tmp_path: Path, version: int, chunked: Any) -> None:
    path = _described(tmp_path / "a.zarr", version, **chunked)
    assert read(path).notes == ()
    names = {"zarr.json", ".zarray", ".zattrs"}
    stored = sorted(p for p in (path / "0").rglob("*") if p.is_file() and p.name not in names)
    stored[-1].unlink()
    lost = 2 if "shards" in chunked else 1  # of the last shard, 2 chunks lie within the array
    verb = "are" if lost > 1 else "is"
    note = f"{lost} of 72 chunks of a.zarr (time point 1) {verb} not there and {verb} read as 0.0"
    assert note in read(path).notes[0]
    if "shards" in chunked:  # and one within a shard
        zarr.open_group(path, mode="r+")["0"][0, :4, :16, :16] = 0
        assert "3 of 72 chunks of a.zarr are not there" in read(path).notes[0]


@pytest.mark.parametrize("chunked", [{}, {"shards": (1, 8, 32, 32)}])
def test_a_chunk_that_is_cut_short_is_one_sentence(tmp_path: Path, chunked: Any) -> None:
    path = _described(tmp_path / "a.zarr", 3, **chunked)
    chunk = next(p for p in (path / "0" / "c").rglob("*") if p.is_file())
    os.truncate(chunk, 10)
    with pytest.raises(UserError, match=r"a\.zarr cannot be read to its end"):
        read(path).numpy()


def test_empty_chunks_of_our_own_are_there(tmp_path: Path) -> None:
    labels = np.zeros((40, 200, 200), np.uint32)
    path = write(tmp_path / "a.ome.zarr", Volume(labels, SPACING), labels=True)
    assert read(path).notes == ()
    next((path / "0" / "c" / "1").rglob("1")).rename(tmp_path / "gone")
    assert "of 8 chunks of a.ome.zarr are not there" in read(path).notes[0]


def test_damage_does_not_keep_a_stack_from_being_opened(tmp_path: Path) -> None:
    """What reads all of it tells; a look at a few planes, for labels, does not."""
    path = write(tmp_path / "a.ome.zarr", Volume(_noise(4, 64, 64), SPACING))
    for chunk in (path / "0" / "c").rglob("0"):
        if chunk.is_file():
            os.truncate(chunk, 10)
    assert looks_like_labels(read(path)) is False
    with pytest.raises(UserError, match="damaged"):
        check_stack(read(path))


# NIfTI


def test_a_damaged_nifti_fails_its_checksum(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii.gz", Volume(_noise(6, 8, 8), SPACING))
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # of the checksum: what unpacks need not be what was packed
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"a\.nii\.gz is not a NIfTI image, or is cut short"):
        read(path)


def test_voxels_of_a_nifti_are_checked_as_they_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", Volume(_noise(6, 8, 8), SPACING))
    volume = read(path)
    os.truncate(path, 1000)
    with pytest.raises(UserError, match=r"a\.nii cannot be read to its end"):
        check_stack(volume)
