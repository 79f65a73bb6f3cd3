"""Scale, unit, position and orientation of files and layers are those of each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from npe2 import PluginManager

from napari_llcm.gui.layers.conversion import as_layers, as_volume
from napari_llcm.gui.layers.spacing_row import set_spacing
from napari_llcm.gui.layers.stack import stack_of
from napari_llcm.volumes import Volume, read
from napari_llcm.volumes.orientation import UPRIGHT

SPACING, ORIGIN = (0.8, 0.5, 0.4), (10.0, 20.0, -30.0)
FLIPPED = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
TURNED = ((1.0, 0.0, 0.0), (0.0, 0.6, 0.8), (0.0, -0.8, 0.6))
SWAPPED = ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0))
DATA = np.random.default_rng(0).random((4, 6, 5)).astype("float32")


def _layer(volume: Volume) -> Image:
    ((data, attributes, _),) = as_layers(volume)
    return Image(data, **attributes)


def _brightest(layer: Any) -> np.ndarray:
    """Return where the brightest voxel is shown."""
    data = np.asarray(layer.data)
    return np.asarray(layer.data_to_world(np.unravel_index(data.argmax(), data.shape)))


@pytest.mark.parametrize("orientation", [None, UPRIGHT, FLIPPED, TURNED, SWAPPED])
@pytest.mark.parametrize("spacing", [SPACING, None])
def test_a_volume_is_shown_where_its_file_says(orientation: Any, spacing: Any) -> None:
    scale = (1.0, 1.0, 1.0) if spacing else SPACING
    made = {"unit": "counts"}  # of the voxels, not of lengths
    volume = Volume(
        DATA, spacing, origin=ORIGIN, scale=scale, orientation=orientation, metadata=made
    )
    peak = np.array(np.unravel_index(DATA.argmax(), DATA.shape))
    there = peak @ volume.steps + volume.origin
    layer = _layer(volume)
    np.testing.assert_allclose(_brightest(layer), there)
    assert {str(u) for u in layer.units} == {"micrometer" if spacing else "pixel"}
    back = as_volume(*layer.as_layer_data_tuple()[:2])
    assert (back.spacing is None) == (spacing is None)
    assert back.notes == ()
    assert back.metadata == made
    peak = np.array(np.unravel_index(np.asarray(back.data).argmax(), back.shape))
    np.testing.assert_allclose(peak @ back.steps + back.origin, there)
    # what is made from a stack lies on it, turned as it is
    stack = stack_of(layer)
    shown, place = stack.on_layer(np.asarray(stack.volume.data))
    np.testing.assert_allclose(_brightest(Image(shown, **place)), there)


def test_a_shift_or_turn_in_an_affine_is_part_of_the_place() -> None:
    affine = np.eye(4)
    affine[:3, 3] = (1, 2, 3)
    layer = Image(DATA, scale=SPACING, translate=ORIGIN, units="um", affine=affine)
    volume = as_volume(*layer.as_layer_data_tuple()[:2])
    assert volume.spacing == SPACING
    assert volume.origin == (11, 22, -27)
    layer = Image(DATA, scale=SPACING, rotate=(30, 20, 10), units="um")
    turned = stack_of(layer).volume
    assert turned.spacing == pytest.approx(SPACING)
    np.testing.assert_allclose(turned.place((3, 2, 1)), layer.data_to_world((3, 2, 1)))


def test_a_scale_without_a_unit_is_taken_as_micrometres_with_a_word() -> None:
    volume = as_volume(*Image(DATA, scale=SPACING, name="old").as_layer_data_tuple()[:2])
    assert volume.spacing == SPACING
    assert volume.notes == ("old has a scale without a unit: it is taken as µm.",)
    assert as_volume(*Image(DATA).as_layer_data_tuple()[:2]).notes == ()


@pytest.mark.parametrize(
    ("unit", "scale", "translate", "origin"),
    [
        ("pixel", SPACING, ORIGIN, (5, 10, -15)),  # 12.5, 40 and -75 voxels of half the size
        ("pixel", (1.0, 1.0, 1.0), (5.0, 0.0, 2.0), (2, 0, 0.4)),
        ("nm", (800.0, 500.0, 400.0), (10000.0, 20000.0, -30000.0), ORIGIN),
    ],
)
def test_a_voxel_size_that_is_given_leaves_the_layer_in_its_place(
    unit: str, scale: Any, translate: Any, origin: Any
) -> None:
    viewer = ViewerModel()
    metadata = {"napari_llcm": {}}
    layer = viewer.add_image(DATA, scale=scale, translate=translate, units=unit, metadata=metadata)
    half = (0.4, 0.25, 0.2)
    set_spacing(viewer, layer, half)
    volume = stack_of(layer).volume
    assert volume.spacing == half
    np.testing.assert_allclose(volume.origin, origin)


def test_a_mirrored_nifti_is_saved_where_it_was(tmp_path: Path) -> None:
    affine = np.array([[-0.4, 0, 0, 3], [0, -0.5, 0, 2], [0, 0, 0.8, 1], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(DATA.T, affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "a.nii")
    PluginManager.instance().discover()
    viewer = ViewerModel()
    (layer,) = viewer.open(tmp_path / "a.nii", plugin="napari-llcm")
    np.testing.assert_allclose(layer.scale, (800, -500, -400))
    layer.save(str(tmp_path / "b.nii"), plugin="napari-llcm")
    for name in ("a.nii", "b.nii"):
        volume = read(tmp_path / name)
        peak = np.unravel_index(volume.numpy().argmax(), volume.shape)
        np.testing.assert_allclose(volume.place(peak), _brightest(layer), rtol=1e-5)
    assert nibabel.load(tmp_path / "b.nii").header.get_xyzt_units()[0] == "mm"
