"""Scale, unit, position and orientation go from any format into any other, or a note tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
import zarr

from napari_llcm.events import UserError
from napari_llcm.volumes import Volume, losses, read, write

SPACING, ORIGIN = (0.8, 0.5, 0.4), (10.0, 20.0, -30.0)
FLIPPED = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
TURNED = ((1.0, 0.0, 0.0), (0.0, 0.6, 0.8), (0.0, -0.8, 0.6))


def _noise(shape: tuple[int, ...] = (5, 12, 9), dtype: str = "uint16") -> np.ndarray:
    return (np.random.default_rng(0).random(shape) * 200).astype(dtype)


def _zarr(path: Path, steps: list[dict[str, Any]], axes: Any = None, data: Any = None) -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", data=_noise() if data is None else data)
    axes = [{"name": a, "type": "space"} for a in "zyx"] if axes is None else axes
    datasets = [{"path": "0", "coordinateTransformations": steps}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return path


def _space(*units: str | None) -> list[dict[str, str]]:
    return [
        {"name": a, "type": "space", **({"unit": u} if u else {})}
        for a, u in zip("zyx", units, strict=True)
    ]


def _nifti(path: Path, affine: Any, unit: str = "mm", data: Any = None) -> Path:
    image = nibabel.Nifti1Image(_noise((9, 12, 5)) if data is None else data, affine)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    return path


def _imagej(path: Path, **metadata: Any) -> Path:
    metadata = {"axes": "ZYX", **metadata}
    tifffile.imwrite(path, _noise(), imagej=True, resolution=(2.5, 2.0), metadata=metadata)
    return path


def _ome(path: Path, **metadata: Any) -> Path:
    tifffile.imwrite(path, _noise(), metadata={"axes": "ZYX", **metadata})
    return path


def _same_grid(a: Volume, b: Volume) -> None:
    assert (a.spacing is None) == (b.spacing is None)
    np.testing.assert_allclose(a.steps, b.steps, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(a.origin, b.origin, rtol=1e-5)


# From any format into any other


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr", ".nii", ".nii.gz"])
@pytest.mark.parametrize("spacing", [SPACING, None])
@pytest.mark.parametrize("orientation", [None, FLIPPED, TURNED])
def test_a_grid_is_read_as_it_was_written(
    tmp_path: Path, suffix: str, spacing: Any, orientation: Any
) -> None:
    volume = Volume(
        _noise(), spacing, origin=ORIGIN, scale=(1.0, 1.0, 1.0) if spacing else SPACING,
        orientation=orientation, name="a",
    )  # fmt: skip
    lost = losses(tmp_path / f"a{suffix}", volume)
    path = write(tmp_path / f"a{suffix}", volume)
    back = read(path)
    np.testing.assert_array_equal(back.numpy(), volume.numpy())
    holds = orientation is None or "nii" in suffix or (orientation is FLIPPED and "zarr" in suffix)
    assert bool(lost) is not holds
    _same_grid(back, volume if holds else volume.replace(orientation=None))
    # and on into each of the others
    for other in (".ome.tif", ".ome.zarr", ".nii.gz"):
        again = read(write(tmp_path / f"b{other}", back))
        _same_grid(again, back.replace(orientation=again.orientation))


# Units


@pytest.mark.parametrize(
    ("units", "spacing"),
    [
        ({"unit": "nm"}, (0.0008, 0.0005, 0.0004)),
        ({"unit": "micrometers"}, SPACING),
        ({"unit": "Microns"}, SPACING),
        ({"unit": "\\u00B5m"}, SPACING),
        ({"unit": "\\u03BCm"}, SPACING),
        ({"unit": "millimeters"}, (800.0, 500.0, 400.0)),
        ({"unit": "micron", "yunit": "nm"}, (0.8, 0.0005, 0.4)),
        ({"unit": "nm", "yunit": "micron", "zunit": "mm"}, (800.0, 0.5, 0.0004)),
    ],
)
def test_units_of_imagej(tmp_path: Path, units: dict[str, str], spacing: Any) -> None:
    volume = read(_imagej(tmp_path / "a.tif", spacing=0.8, **units))
    np.testing.assert_allclose(volume.spacing, spacing, rtol=1e-6)
    assert volume.notes == ()


def test_the_origin_of_imagej_is_where_its_coordinates_are_zero(tmp_path: Path) -> None:
    path = _imagej(tmp_path / "a.tif", spacing=0.8, unit="um", xorigin=10, zorigin=-5)
    np.testing.assert_allclose(read(path).origin, (4.0, 0.0, -4.0), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: _imagej(p / "a.tif", unit="micron"), "in part (z is not told, y is 0.5 µm"),
        (lambda p: _imagej(p / "a.tif", unit="micron", spacing=0), "in part (z is 0 µm, y is"),
        (
            lambda p: _imagej(p / "a.tif", unit="micron", zunit="sec", spacing=1),
            "in part (z is 1 sec, y is 0.5 µm",
        ),
        (
            lambda p: _ome(p / "a.ome.tif", PhysicalSizeX=0.4, PhysicalSizeY=0.5),
            "in part (z is not told, y is 0.5 µm, x is 0.4 µm)",
        ),
        (
            lambda p: _zarr(
                p / "a.zarr",
                [{"type": "scale", "scale": [1, 1, 1]}],
                _space("micrometer", "second", "micrometer"),
            ),
            "in part (z is 1 µm, y is 1 second, x is 1 µm)",
        ),
        (
            lambda p: _zarr(p / "a.zarr", [{"type": "scale", "scale": [0, 1, 1]}], _space(*"mmm")),
            "in part (z is 0 µm",
        ),
        (lambda p: _zarr(p / "a.zarr", [{"type": "scale", "scale": [1, 2]}]), "does not fit its 3"),
        (lambda p: _zarr(p / "a.zarr", [{"type": "scale", "path": "gone"}]), "does not fit"),
        (lambda p: _zarr(p / "a.zarr", [{"type": "rotation"}]), "(rotation) that does not fit"),
        (lambda p: _nifti(p / "a.nii", np.diag([50.0, 50, 50, 1])), "no microscope or scanner"),
    ],
)
def test_a_size_that_is_told_in_part_is_not_made_up(tmp_path: Path, make: Any, words: str) -> None:
    path = make(tmp_path)
    volume = read(path)
    assert volume.spacing is None
    assert words in " ".join(volume.notes)
    given = read(path, spacing=(3, 2, 1))
    assert given.spacing == (3.0, 2.0, 1.0)
    assert [n for n in given.notes if "used in its place" not in n] == []


def test_a_size_below_zero_loses_its_sign_with_a_word(tmp_path: Path) -> None:
    volume = read(_imagej(tmp_path / "a.tif", spacing=-0.8, unit="um"))
    np.testing.assert_allclose(volume.spacing, SPACING, rtol=1e-6)
    assert "below 0 (z is -0.8 µm" in volume.notes[0]


def test_a_zarr_axis_that_runs_backwards_stays_so(tmp_path: Path) -> None:
    steps = [
        {"type": "scale", "scale": [-0.8, 0.5, 0.4]},
        {"type": "translation", "translation": [10, 20, 30]},
    ]
    volume = read(_zarr(tmp_path / "a.zarr", steps, _space(*["micrometer"] * 3)))
    assert volume.spacing == SPACING
    np.testing.assert_allclose(volume.place((1, 0, 0)), (9.2, 20, 30))
    _same_grid(read(write(tmp_path / "b.ome.zarr", volume)), volume)


# OME-Zarr without units, and scales in odd places


def _without_unit(path: Path) -> Path:
    steps = [
        {"type": "scale", "scale": list(SPACING)},
        {"type": "translation", "translation": [10, 20, 30]},
    ]
    return _zarr(path, steps)


def test_a_zarr_without_unit_keeps_scale_and_position(tmp_path: Path) -> None:
    volume = read(_without_unit(tmp_path / "a.zarr"))
    assert volume.spacing is None
    assert (volume.scale, volume.origin) == (SPACING, (10.0, 20.0, 30.0))
    assert "without a unit of length (z is 0.8, y is 0.5, x is 0.4)" in volume.notes[0]
    image = zarr.open_group(write(tmp_path / "b.ome.zarr", volume), mode="r").attrs["ome"]
    image = image["multiscales"][0]
    assert not any("unit" in axis for axis in image["axes"])
    scale, translation = image["datasets"][0]["coordinateTransformations"]
    assert (scale["scale"], translation["translation"]) == ([0.8, 0.5, 0.4], [10, 20, 30])


@pytest.mark.parametrize("given", [SPACING, (0.4, 0.25, 0.2)])
def test_a_spacing_that_is_given_keeps_the_place_in_voxels(tmp_path: Path, given: Any) -> None:
    """A position without a unit is in that of the size: so many voxels from zero."""
    volume = read(_without_unit(tmp_path / "a.zarr"), spacing=given)
    np.testing.assert_allclose(volume.origin, np.array([10, 20, 30]) / SPACING * given)
    assert "names no unit of length for its position" in volume.notes[0]
    assert len(volume.notes) == 1


def test_a_spacing_that_overrules_keeps_the_position_in_micron(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ome.zarr", Volume(_noise(), SPACING, origin=ORIGIN))
    volume = read(path, spacing=(1, 1, 1))
    assert (volume.spacing, volume.origin) == ((1.0, 1.0, 1.0), ORIGIN)
    assert "tells a voxel size of 0.8 × 0.5 × 0.4 µm" in volume.notes[0]
    assert read(path, spacing=SPACING).notes == ()


@pytest.mark.parametrize("unit", [None, "micrometer"])
def test_a_zarr_without_a_scale_gets_none(tmp_path: Path, unit: str | None) -> None:
    volume = read(_zarr(tmp_path / "a.zarr", [], _space(unit, unit, unit)))
    assert volume.spacing is None
    assert (volume.scale, volume.notes) == ((1.0, 1.0, 1.0), ())


def test_a_scale_may_lie_in_an_array(tmp_path: Path) -> None:
    path = _zarr(
        tmp_path / "a.zarr", [{"type": "scale", "path": "scale"}], _space(*["micrometer"] * 3)
    )
    zarr.open_group(path, mode="r+").create_array("scale", data=np.array(SPACING))
    assert read(path).spacing == SPACING


@pytest.mark.parametrize("axes", [list("zyx"), None])
def test_older_zarrs_name_axes_only_or_nothing(tmp_path: Path, axes: Any) -> None:
    data = _noise() if axes else _noise((1, 2, 5, 12, 9))
    path = _zarr(tmp_path / "a.zarr", [], axes or [], data)
    assert read(path).axes == ("zyx" if axes else "czyx")


def test_axes_that_do_not_fit_the_array_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="names 2 axes, but its array has 3"):
        read(_zarr(tmp_path / "a.zarr", [], list("yx")))


# Sizes go with their axes


def test_axes_that_are_renamed_take_their_sizes_along(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ome.tif", Volume(_noise(), SPACING, origin=(1.0, 2.0, 3.0)))
    volume = read(path, axes="xyz")
    assert (volume.spacing, volume.origin) == ((0.4, 0.5, 0.8), (3.0, 2.0, 1.0))


def test_planes_that_imagej_calls_frames_have_their_distance(tmp_path: Path) -> None:
    path = _imagej(tmp_path / "a.tif", axes="TYX", spacing=0.8, unit="um")
    np.testing.assert_allclose(read(path, axes="zyx").spacing, SPACING, rtol=1e-6)


def test_the_position_of_ome_may_have_no_unit(tmp_path: Path) -> None:
    sizes = {f"PhysicalSize{a}": s for a, s in zip("ZYX", SPACING, strict=True)}
    plane = {f"Position{a}": [p] * 5 for a, p in zip("YX", (20, 30), strict=True)}
    volume = read(_ome(tmp_path / "a.ome.tif", **sizes, Plane=plane))
    assert volume.origin == (0.0, 20.0, 30.0)
    assert "names no unit of length for its position" in volume.notes[0]


@pytest.mark.parametrize("kind", ["ome", "imagej", "plain"])
def test_planes_in_a_folder_tell_their_size(tmp_path: Path, kind: str) -> None:
    sizes = {f"PhysicalSize{a}": s for a, s in zip("ZYX", SPACING, strict=True)}
    options: dict[str, Any] = {
        "ome": {"ome": True, "metadata": {"axes": "YX", **sizes}},
        "imagej": {"imagej": True, "resolution": (2.5, 2), "metadata": {"unit": "um"}},
        "plain": {"resolution": (25000, 20000), "resolutionunit": "CENTIMETER", "metadata": None},
    }[kind]
    for z, plane in enumerate(_noise()):
        tifffile.imwrite(tmp_path / f"z{z}.tif", plane, **options)
    volume = read(tmp_path)
    if kind == "ome":
        assert volume.spacing == SPACING
    else:
        assert volume.spacing is None
        assert "(z is not told, y is 0.5 µm, x is 0.4 µm)" in volume.notes[0]
        assert read(tmp_path, spacing=SPACING).notes == ()
