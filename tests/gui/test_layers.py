"""Lists of layers, places in the viewer's units, and results that follow their source."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import Qt

from napari_llcm.events import UserError
from napari_llcm.gui.check.form import CheckForm
from napari_llcm.gui.contributions import write_image
from napari_llcm.gui.layers.axes import AxesUnknown, axes_of
from napari_llcm.gui.layers.axes_row import AxesRow
from napari_llcm.gui.layers.combo import LayerCombo
from napari_llcm.gui.layers.conversion import as_layers, as_volume
from napari_llcm.gui.layers.following import Following
from napari_llcm.gui.layers.stack import stack_of
from napari_llcm.gui.layers.viewport import View, shapes_box, to_data, to_world, undisturbed
from napari_llcm.gui.load.registration import RegistrationBox
from napari_llcm.gui.stain.batch import BatchBox
from napari_llcm.gui.stain.region import SHAPES, RegionChoice
from napari_llcm.gui.train.pairs import PairChoice
from napari_llcm.volumes import Volume, read

pytestmark = pytest.mark.versions
SPACING = (0.8, 0.5, 0.4)
SHAPE = (24, 96, 90)


@pytest.fixture
def viewer() -> Any:
    return ViewerModel()


def add(viewer: Any, name: str, unit: str = "um", factor: float = 1, **more: Any) -> Any:
    """Add a stack whose voxels have the size `SPACING` (µm), told in another unit."""
    options = {"scale": [factor * s for s in SPACING], "units": unit, **more}
    return viewer.add_image(np.zeros(SHAPE, np.float32), name=name, **options)


def rectangle(y: tuple[float, float], x: tuple[float, float], z: float = 5) -> np.ndarray:
    return np.array([[z, y[0], x[0]], [z, y[0], x[1]], [z, y[1], x[1]], [z, y[1], x[0]]], float)


def test_a_choice_stays_with_its_layer(viewer: Any, qtbot: Any) -> None:
    first, second = add(viewer, "phase A"), add(viewer, "phase B")
    combo, heard = LayerCombo(viewer, prefer="phase"), []
    qtbot.addWidget(combo)
    combo.chosen.connect(lambda: heard.append(combo.layer))
    assert combo.layer is first
    first.name = "my field"  # nobody chose it, and yet nobody wants another one
    assert combo.layer is first
    assert combo.currentText() == "my field"
    combo.choose(second)
    second.name, first.name = "other", "phase B"
    assert combo.layer is second
    viewer.layers.move(0, 2)
    assert combo.layer is second
    assert heard == [second]
    viewer.layers.remove(second)
    assert combo.layer is first


def test_ticks_follow_their_layers(viewer: Any, qtbot: Any) -> None:
    layers = [add(viewer, name) for name in "abc"]
    batch = BatchBox(viewer)
    qtbot.addWidget(batch)
    for i in (0, 2):
        batch.list.item(i).setCheckState(Qt.CheckState.Checked)
    layers[0].name, layers[1].name = "b2", "a"
    assert [x is y for x, y in zip(batch.ticked(), [layers[0], layers[2]], strict=True)]
    assert [batch.list.item(i).text() for i in range(3)] == ["b2", "a", "c"]
    viewer.layers.remove(layers[2])
    assert batch.ticked() == [layers[0]]


def test_added_pairs_follow_their_layers(viewer: Any, qtbot: Any) -> None:
    phase, dapi = add(viewer, "phase"), add(viewer, "DAPI")
    pairs = PairChoice(viewer)
    qtbot.addWidget(pairs)
    pairs.add.click()
    phase.name = "field 3"
    assert pairs.list.item(0).text() == "field 3 + DAPI"
    assert pairs.volumes()[0][0] == "field 3"
    viewer.layers.remove(dapi)
    assert pairs.list.count() == 0


def test_a_virtual_stain_is_not_taken_for_the_real_one(viewer: Any, qtbot: Any) -> None:
    for name in ("phase", "DAPI (virtual)", "DAPI"):
        add(viewer, name)
    for form in (PairChoice(viewer), RegistrationBox(viewer)):
        qtbot.addWidget(form)
        assert form.dapi.currentText() == "DAPI"


def test_places_are_converted_through_the_viewers_units(viewer: Any) -> None:
    micron, nano = add(viewer, "µm"), add(viewer, "nm", "nm", 1000)
    viewer.dims.set_current_step(0, 5)
    for layer in (micron, nano):
        np.testing.assert_allclose(to_data(viewer, layer, viewer.dims.point)[0], 5)
        assert View(viewer, stack_of(layer)).box[0] == (5, 6)
        place = to_world(viewer, layer, (5, 24, 10))
        np.testing.assert_allclose(place, (4000, 12000, 4000))
        np.testing.assert_allclose(to_data(viewer, layer, place), (5, 24, 10))
    for scale, unit in ((np.array(SPACING) * 1000, "nm"), (SPACING, "um")):
        shapes = viewer.add_shapes([rectangle((24, 58), (10, 38))], scale=scale, units=unit)
        for layer in (micron, nano):
            assert shapes_box(viewer, shapes, stack_of(layer)) == ((0, 24), (24, 59), (10, 39))


def test_a_layer_that_is_all_on_screen_is_seen_to_its_last_voxel(viewer: Any) -> None:
    layer = add(viewer, "phase")
    viewer.reset_view()
    assert View(viewer, stack_of(layer)).box[1:] == ((0, SHAPE[1]), (0, SHAPE[2]))


def test_one_layer_without_units_beside_one_in_nm(viewer: Any) -> None:
    nano = add(viewer, "nm", "nm", 1000)
    plain = viewer.add_image(np.zeros(SHAPE), name="pixels")
    viewer.dims.set_point(0, 5)  # napari takes both numbers for one length, and so do we
    assert to_data(viewer, plain, viewer.dims.point)[0] == 5
    np.testing.assert_allclose(to_data(viewer, nano, (1600, 0, 0))[0], 2)


def test_boxes_of_turned_and_mirrored_layers(viewer: Any) -> None:
    plain = add(viewer, "plain")
    mirrored = add(viewer, "mirrored", scale=(0.8, -0.5, 0.4), translate=(0, 0.5 * 95, 0))
    shapes = viewer.add_shapes([rectangle((24, 58), (10, 38))], scale=SPACING, units="um")
    for layer in (plain, mirrored):
        assert shapes_box(viewer, shapes, stack_of(layer)) == ((0, 24), (24, 59), (10, 39))
    angle = viewer.add_shapes([rectangle((0, 20), (0, 20))], scale=SPACING, units="um")
    angle.rotate = 90  # y and x change places
    angle.translate = (0, 20, 20)
    (_, y, x) = shapes_box(viewer, angle, stack_of(plain))
    assert y[1] - y[0] in (16, 17)
    assert x[1] - x[0] in (25, 26)


@pytest.mark.parametrize("place", [((-40, -20), (10, 30)), ((10, 30), (200, 260))])
def test_a_rectangle_outside_the_stack_is_refused(viewer: Any, place: Any, qtbot: Any) -> None:
    stack = stack_of(add(viewer, "phase"))
    shapes = viewer.add_shapes([rectangle(*place)], name="here", scale=SPACING, units="um")
    choice = RegionChoice(viewer)
    qtbot.addWidget(choice)
    choice.combo.setCurrentText(SHAPES)
    shapes.name = "there"
    with pytest.raises(UserError, match="there lies outside phase"):
        choice.box(stack, View(viewer, stack))


def test_a_mirrored_layer_is_a_volume_where_it_is_shown() -> None:
    data = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    layer = Image(
        data, scale=(-0.8, 0.5, -0.4), translate=(10, 0, 20), units="um", axis_labels=tuple("zyx")
    )
    volume = as_volume(*layer.as_layer_data_tuple()[:2])
    assert volume.spacing == pytest.approx(SPACING)
    assert volume.origin == pytest.approx((10 - 0.8 * 3, 0, 20 - 0.4 * 5))
    np.testing.assert_array_equal(volume.data, data[::-1, :, ::-1])
    stack = stack_of(layer)
    shown, place = stack.on_layer(volume.data)
    np.testing.assert_array_equal(shown, data)
    np.testing.assert_array_equal(place["scale"], layer.scale)
    assert stack.voxel_at((0, 1, 5)) == (3, 1, 0)
    assert stack.point_at((3, 1, 0), (0, 0, 0)) == [0, 1, 5]


def test_a_result_says_when_its_source_has_changed(viewer: Any) -> None:
    source, result = add(viewer, "phase", axis_labels=tuple("zyx")), add(viewer, "result")
    following = Following(stack_of(source), [result])
    source.translate = (1, 2, 3)
    np.testing.assert_array_equal(result.translate, (1, 2, 3))
    assert not following.outdated
    source.data = np.ones(SHAPE, np.float32)
    assert following.outdated
    assert result.name == "result (outdated)"
    following.stop()
    source.translate = (0, 0, 0)
    np.testing.assert_array_equal(result.translate, (1, 2, 3))


@pytest.mark.parametrize(
    ("shape", "attributes", "axes"),
    [
        ((24, 96, 96), {}, "zyx"),
        ((30, 24, 96, 96), {}, "tzyx"),
        ((24, 2, 96, 96), {"units": ("um", "pixel", "um", "um")}, "zcyx"),
        ((24, 2, 96, 96), {"axis_labels": ("z", "channel", "-2", "-1")}, "zcyx"),
        ((24, 2, 96, 96), {"axis_labels": ("Z", "T", "Y", "X")}, "ztyx"),
        ((2, 24, 96, 96), {"axis_labels": ("time", "z", "y", "x")}, "tzyx"),
        ((2, 24, 96, 96), {"units": ("second", "um", "um", "um")}, "tzyx"),
        ((9, 96, 96), {"units": ("s", "um", "um")}, "tyx"),
        ((24, 96, 96, 1), {}, "zyx?"),
        ((1, 24, 96, 96), {"units": ("pixel", "um", "um", "um")}, "?zyx"),
        ((24, 96, 96, 3), {}, "zyxc"),
        ((1, 1, 24, 1, 96, 96), {}, "??z?yx"),
        ((24, 2, 96, 96), {}, {"zcyx", "tzyx"}),
        ((2, 24, 96, 96), {"units": ("um",) * 4}, {"czyx", "tzyx"}),
        ((96, 96, 3), {}, {"yxc", "zyx"}),
        ((3, 4, 5, 96, 96), {}, {"tczyx", "tzcyx"}),
    ],
)
def test_axes_are_told_or_asked_for(shape: Any, attributes: Any, axes: Any) -> None:
    if isinstance(axes, str):
        assert axes_of(attributes, shape) == axes
        return
    with pytest.raises(AxesUnknown, match="does not tell what its axes") as refused:
        axes_of({"name": "stack", **attributes}, shape)
    assert axes <= set(refused.value.likely)


def test_six_axes_are_refused_in_words() -> None:
    with pytest.raises(UserError, match="6 axes of more than one entry"):
        axes_of({"name": "stack"}, (2, 2, 2, 8, 8, 8))


def test_axes_that_are_asked_for_are_written_into_the_layer(viewer: Any, qtbot: Any) -> None:
    data = np.zeros((24, 2, 32, 32), np.float32)
    data[:, 1] = 1
    layer = viewer.add_image(data, name="both", scale=(0.8, 1, 0.5, 0.4))
    row, heard = AxesRow(viewer), []
    qtbot.addWidget(row)
    row.given.connect(lambda: heard.append(layer.axis_labels))
    row.ask_for(None, add(viewer, "phase"), layer)
    assert not row.isHidden()
    assert row.split.isHidden()
    assert "24 × 2 × 32 × 32" in row.question.text()
    texts = [row.combo.itemText(i) for i in range(row.combo.count())]
    assert {"z, channel, y, x", "time, z, y, x"} <= set(texts[:2])
    row.combo.setCurrentText("z, channel, y, x")
    row.button.click()
    assert heard == [("z", "c", "y", "x")]
    row.ask_for(layer)
    assert "2 channels" in row.question.text()
    row.split.click()
    row.ask_for(layer)
    assert "choose one of both channel 0, both channel 1" in row.question.text()
    assert row.split.isHidden()  # or they are there twice
    made = viewer.layers[-1]
    assert made.name == "both channel 1"
    assert made.data.shape == (24, 32, 32)
    assert made.data.all()
    np.testing.assert_allclose(stack_of(made).volume.spacing, SPACING)
    assert not layer.visible
    row.ask_for(made)
    assert row.isHidden()


def test_a_colour_image_is_split(viewer: Any, qtbot: Any) -> None:
    colours = np.zeros((9, 32, 32, 3), np.uint8)
    colours[..., 2] = 7
    layer = viewer.add_image(colours, rgb=True, name="photo", scale=SPACING, units="um")
    row = AxesRow(viewer)
    qtbot.addWidget(row)
    row.ask_for(layer)
    row.split.click()
    assert [x.name for x in viewer.layers][-3:] == ["photo red", "photo green", "photo blue"]
    blue = stack_of(viewer.layers[-1]).volume
    assert (blue.shape, blue.spacing) == ((9, 32, 32), pytest.approx(SPACING))
    assert (np.asarray(blue.data) == 7).all()


def test_check_and_train_ask_too(viewer: Any, qtbot: Any) -> None:
    viewer.add_image(np.zeros((24, 2, 32, 32)), name="DAPI (virtual)")
    for form in (CheckForm(viewer), PairChoice(viewer)):
        qtbot.addWidget(form)
        assert not form.axes_row.isHidden()
        assert "24 × 2 × 32 × 32" in form.axes_row.question.text()


def test_a_layer_of_a_finer_unit_leaves_the_view_where_it_is(viewer: Any) -> None:
    add(viewer, "mm", "mm", 0.001)
    viewer.dims.set_current_step(0, 7)
    viewer.camera.center, viewer.camera.zoom = (0, 0.02, 0.01), 20_000
    with undisturbed(viewer):
        viewer.add_layer(Image(np.zeros(SHAPE), scale=SPACING, units="um", name="µm"))
    assert viewer.dims.current_step[0] == 7
    assert viewer.camera.center == pytest.approx((0, 20, 10))
    assert viewer.camera.zoom == pytest.approx(20)


def test_what_must_be_read_is_saved_with_a_layer(viewer: Any, tmp_path: Any) -> None:
    volume = Volume(np.ones((4, 8, 8), np.float32), SPACING).noted("Plane 3 was missing.")
    ((data, attributes, _),) = as_layers(volume)
    (path,) = write_image(str(tmp_path / "x.ome.tif"), data, attributes)
    assert read(path).metadata["notices"] == ["Plane 3 was missing."]


def test_a_panel_hears_what_is_corrected_in_the_chosen_layer(viewer: Any, qtbot: Any) -> None:
    combo, heard = LayerCombo(viewer), []
    qtbot.addWidget(combo)
    first, second = add(viewer, "a"), add(viewer, "b")
    combo.altered.connect(lambda: heard.append(combo.layer.name))
    first.scale = (1, 2, 3)
    combo.choose(second)
    first.scale = (1, 1, 1)
    second.axis_labels = ("x", "z", "y")
    assert heard == ["a", "b"]


def test_a_shift_and_a_scale_in_the_affine_are_part_of_the_place(viewer: Any) -> None:
    affine = np.diag([2.0, 1.0, 0.5, 1.0])
    affine[:3, 3] = 3, -4, 5
    layer = add(viewer, "phase", translate=(1, 2, 3), affine=affine)
    stack = stack_of(layer)
    np.testing.assert_allclose(stack.volume.spacing, np.multiply(SPACING, (2, 1, 0.5)))
    np.testing.assert_allclose(stack.volume.origin, layer.data_to_world((0, 0, 0)))
    data, attributes = stack.on_layer(np.zeros(SHAPE, np.float32))
    result = viewer.add_image(data, **attributes)
    for voxel in ((0, 0, 0), (23, 95, 89)):
        np.testing.assert_allclose(result.data_to_world(voxel), layer.data_to_world(voxel))
    following = Following(stack, [result])
    affine[:3, 3] = 0
    layer.affine = affine
    np.testing.assert_allclose(result.data_to_world((1, 2, 3)), layer.data_to_world((1, 2, 3)))
    following.stop()


class Stored:
    """An array on disk, as `zarr.Array` is one: whatever is indexed is read at once."""

    def __init__(self, data: np.ndarray) -> None:
        self._data, self.read = data, 0
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim
        self.size, self.nbytes = data.size, data.nbytes

    def __getitem__(self, index: Any) -> np.ndarray:
        found = self._data[index]
        self.read += found.size
        return found

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        return self[...]


@pytest.mark.parametrize("scale", [(1, 0.8, 0.5, 0.4), (1, -0.8, 0.5, -0.4)])
def test_a_stored_array_is_read_only_where_it_is_asked_for(
    viewer: Any, scale: tuple[float, ...]
) -> None:
    data = np.arange(8 * 64 * 64, dtype=np.uint16).reshape(1, 8, 64, 64)
    stored = Stored(data)
    layer = viewer.add_image(
        stored, scale=scale, units=("pixel", "um", "um", "um"), contrast_limits=(0, 9)
    )
    before = stored.read
    stack = stack_of(layer)
    assert stack.shape == (8, 64, 64)
    assert stored.read == before
    part = np.asarray(stack.volume.data[2:4, :16, :16])
    assert 0 < stored.read - before <= 2 * 64 * 64  # of these planes at most
    whole = data[0] if scale[1] > 0 else data[0, ::-1, :, ::-1]
    np.testing.assert_array_equal(part, whole[2:4, :16, :16])
