"""The Load panel in a real window: stacks open lazily with their size, pairs are checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.layers import Image, Labels

from napari_llcm.gui.load.panel import LoadPanel
from napari_llcm.specimen import Specimen, make_specimen
from napari_llcm.volumes import Volume, apply_shift, write

pytestmark = [pytest.mark.versions, pytest.mark.usefixtures("screen")]
SPACING = (0.5, 0.25, 0.25)


@pytest.fixture
def panel(make_napari_viewer_proxy: Any) -> LoadPanel:
    viewer = make_napari_viewer_proxy(show=True)
    made = LoadPanel(viewer)
    viewer.window.add_dock_widget(made, name="Load")
    return made


@pytest.fixture(scope="module")
def pair() -> Specimen:
    """A pair large enough for the registration to be judged."""
    return make_specimen(size=(24, 96, 96), seed=5, difficulty="easy")


def wait(panel: LoadPanel, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=60_000)


def open_path(panel: LoadPanel, qtbot: Any, path: Path) -> None:
    panel.open_folder(path) if path.is_dir() else panel.open(path)
    wait(panel, qtbot)


def names(panel: LoadPanel) -> list[str]:
    return [layer.name for layer in panel._viewer.layers]


def cells(shape: tuple[int, ...] = (6, 40, 50)) -> np.ndarray:
    return np.random.default_rng(2).normal(size=shape).astype(np.float32)


def test_a_stack_opens_with_its_size_and_a_phase_contrast(
    panel: LoadPanel, qtbot: Any, tmp_path: Path
) -> None:
    data = cells()
    data[2, 3, 4] = 1000  # dust
    open_path(panel, qtbot, write(tmp_path / "a.ome.tif", Volume(data, SPACING)))
    (layer,) = panel._viewer.layers
    np.testing.assert_allclose(layer.scale, SPACING)
    low, high = layer.contrast_limits
    assert -10 < low < -2
    assert high == pytest.approx(2 * np.median(data) - low, abs=0.1)
    assert "6 × 40 × 50 (z, y, x), float32" in panel.form.about.text()
    assert "0.5 × 0.25 × 0.25 µm" in panel.form.about.text()
    assert not panel.form.spacing.isVisible()
    assert panel._viewer.dims.current_step[0] == 3


def test_a_large_stack_is_read_as_it_is_looked_at(
    panel: LoadPanel, qtbot: Any, tmp_path: Path
) -> None:
    open_path(panel, qtbot, write(tmp_path / "a.ome.zarr", Volume(cells(), SPACING)))
    (layer,) = panel._viewer.layers
    assert not isinstance(layer.data, np.ndarray)
    assert "read as you look at it" in panel.form.about.text()


def test_a_missing_voxel_size_is_asked_for_and_remembered(
    panel: LoadPanel, qtbot: Any, tmp_path: Path
) -> None:
    viewer, row = panel._viewer, panel.form.spacing
    for name in "ab":
        write(tmp_path / f"{name}.tif", Volume(cells()))
    open_path(panel, qtbot, tmp_path / "a.tif")
    assert row.isVisible()
    assert "does not tell its voxel size" in row.question.text()
    for box, value in zip(row.boxes, SPACING, strict=True):
        box.setValue(value)
    row.button.click()
    assert not row.isVisible()
    np.testing.assert_allclose(viewer.layers["a"].scale, SPACING)
    viewer.layers.clear()
    open_path(panel, qtbot, tmp_path / "a.tif")  # the same file is not asked for again
    assert not row.isVisible()
    np.testing.assert_allclose(viewer.layers["a"].scale, SPACING)
    viewer.layers.clear()
    open_path(panel, qtbot, tmp_path / "b.tif")  # another one is, with the last as a proposal
    assert row.isVisible()
    assert [box.value() for box in row.boxes] == list(SPACING)


def test_a_wrong_voxel_size_can_be_corrected(panel: LoadPanel, qtbot: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", Volume(cells(), (1.0, 1.0, 1.0), origin=(5.0, 6.0, 7.0)))
    open_path(panel, qtbot, path)
    row = panel.form.spacing
    panel.form.correct.click()
    assert [box.value() for box in row.boxes] == [1, 1, 1]
    for box, value in zip(row.boxes, SPACING, strict=True):
        box.setValue(value)
    row.button.click()
    for _ in range(2):  # at once, and when the file is opened again
        (layer,) = panel._viewer.layers
        np.testing.assert_allclose(layer.scale, SPACING)
        np.testing.assert_allclose(layer.translate, (5, 6, 7))
        panel._viewer.layers.clear()
        open_path(panel, qtbot, path)


def test_channels_and_time_points_open_as_wanted(
    panel: LoadPanel, qtbot: Any, tmp_path: Path
) -> None:
    volume = Volume(cells((3, 2, 6, 40, 50)), SPACING, "tczyx", channels=("phase", "DAPI"))
    path = write(tmp_path / "series.ome.tif", volume)
    open_path(panel, qtbot, path)
    assert names(panel) == ["series phase", "series DAPI"]
    phase, dapi = panel._viewer.layers
    assert phase.data.shape == (3, 6, 40, 50)
    assert (phase.colormap.name, dapi.colormap.name) == ("gray", "bop orange")
    assert panel.form.layer.layer is phase
    panel._viewer.layers.clear()
    panel.form.times.setCurrentIndex(1)
    assert panel.form.time.isVisible()
    panel.form.time.setValue(2)
    open_path(panel, qtbot, path)
    assert panel._viewer.layers[0].data.shape == (6, 40, 50)
    np.testing.assert_array_equal(np.asarray(panel._viewer.layers[0].data), volume.data[2, 0])
    panel.form.time.setValue(7)
    open_path(panel, qtbot, path)
    assert "ends at time point 2" in panel.bar.said


def test_frames_that_are_planes_open_as_a_stack(
    panel: LoadPanel, qtbot: Any, tmp_path: Path
) -> None:
    path = write(tmp_path / "frames.ome.tif", Volume(cells(), axes="tyx"))
    open_path(panel, qtbot, path)
    assert "time series of 2D images" in panel.form.axes_row.question.text()
    panel.form.axes.setText("zyx")
    open_path(panel, qtbot, path)
    assert panel._viewer.layers[1].axis_labels == ("z", "y", "x")
    assert "⚠" not in panel.form.about.text()


def test_a_folder_of_pairs_is_listed_and_a_pair_opened(
    panel: LoadPanel, qtbot: Any, pair: Specimen, tmp_path: Path
) -> None:
    for kind, volume in (("qpi", pair.qpi), ("dapi", pair.dapi), ("labels", pair.labels)):
        (tmp_path / kind).mkdir()
        write(tmp_path / kind / "one.ome.tif", volume, labels=kind == "labels")
    open_path(panel, qtbot, tmp_path)
    assert [panel.form.list.item(0).text(), panel.form.list.count()] == ["one (pair)", 1]
    panel.form.open_chosen.click()
    wait(panel, qtbot)
    assert names(panel) == ["one QPI", "one DAPI", "one nuclei"]
    assert isinstance(panel._viewer.layers[2], Labels)
    assert panel.form.registration.dapi.layer.name == "one DAPI"


def test_a_folder_of_positions_is_listed(panel: LoadPanel, qtbot: Any, tmp_path: Path) -> None:
    for i in (1, 2):
        write(tmp_path / f"position{i}.ome.tif", Volume(cells(), SPACING))
    open_path(panel, qtbot, tmp_path)
    items = [panel.form.list.item(i).text() for i in range(panel.form.list.count())]
    assert items == ["position1.ome.tif", "position2.ome.tif"]
    panel.form.list.setCurrentRow(1)
    panel.form.open_chosen.click()
    wait(panel, qtbot)
    assert names(panel) == ["position2"]


@pytest.mark.parametrize(
    ("files", "items", "said", "shapes"),
    [
        (["z1", "z2", "z4"], ["planes (planes of one folder)"], "z3 is missing", [(4, 8, 9)]),
        (
            ["ch0_z1", "ch0_z2", "ch1_z1", "ch1_z2"],
            ["planes (planes of one folder)"],
            "2 channels (ch0, ch1)",
            [(2, 8, 9)] * 2,
        ),
        (["t1_z1", "t1_z2", "t2_z1", "t2_z2"], None, "2 time points", [(2, 2, 8, 9)]),
        (["a_z1", "a_z2", "b_z1", "b_z2"], ["0 a (2 × 8 × 9)", "1 b (2 × 8 × 9)"], "", [(2, 8, 9)]),
    ],
)
def test_planes_in_a_folder_are_told_apart(
    panel: LoadPanel,
    qtbot: Any,
    tmp_path: Path,
    files: list[str],
    items: list[str] | None,
    said: str,
    shapes: list[tuple[int, ...]],
) -> None:
    folder = tmp_path / "planes"
    folder.mkdir()
    for name in files:
        tifffile.imwrite(folder / f"{name}.tif", cells((8, 9)))
    open_path(panel, qtbot, folder)
    listed = [panel.form.list.item(i).text() for i in range(panel.form.list.count())]
    assert items is None or listed == items
    panel.form.open_chosen.click()
    wait(panel, qtbot)
    assert [layer.data.shape for layer in panel._viewer.layers] == shapes
    assert said in panel.bar.said


def test_of_several_images_one_is_chosen(panel: LoadPanel, qtbot: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(cells((8, 9)), metadata={"axes": "YX", "Name": "thumb"})
        writer.write(cells((4, 8, 9)), metadata={"axes": "ZYX", "Name": "left"})
        writer.write(cells((5, 8, 9)), metadata={"axes": "ZYX", "Name": "right"})
    open_path(panel, qtbot, path)
    assert names(panel) == []
    assert "holds 3 images" in panel.bar.said
    assert panel.form.list.currentItem().text() == "1 left (4 × 8 × 9)"
    panel.form.list.setCurrentRow(2)
    panel.form.open_chosen.click()
    wait(panel, qtbot)
    assert names(panel) == ["a right"]
    assert panel._viewer.layers[0].data.shape == (5, 8, 9)


def test_one_channel_can_be_opened_alone(panel: LoadPanel, qtbot: Any, tmp_path: Path) -> None:
    volume = Volume(cells((2, 6, 40, 50)), SPACING, "czyx", channels=("phase", "DAPI"))
    path = write(tmp_path / "a.ome.tif", volume)
    panel.form.channel.setText("DAPI")
    open_path(panel, qtbot, path)
    assert names(panel) == ["a DAPI"]
    panel.form.channel.setText("GFP")
    open_path(panel, qtbot, path)
    assert "no channel named 'GFP'" in panel.bar.said


def test_axes_that_nothing_tells_are_asked_for_here(
    panel: LoadPanel, qtbot: Any, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", cells((6, 2, 40, 50)), photometric="minisblack")
    open_path(panel, qtbot, tmp_path / "a.tif")
    assert "choose zcyx as Axes" in panel.bar.said
    panel.form.axes.setText("zcyx")
    open_path(panel, qtbot, tmp_path / "a.tif")
    assert [layer.data.shape for layer in panel._viewer.layers] == [(6, 40, 50)] * 2


def test_naparis_own_opening_takes_the_likeliest_with_a_word(
    make_napari_viewer_proxy: Any, tmp_path: Path
) -> None:
    from napari.utils.notifications import notification_manager

    viewer = make_napari_viewer_proxy()
    tifffile.imwrite(tmp_path / "a.tif", cells((6, 2, 40, 50)), photometric="minisblack")
    with notification_manager:
        notification_manager.records.clear()
        viewer.open(tmp_path / "a.tif", plugin="napari-llcm")
        told = [record.message for record in notification_manager.records]
    assert [layer.data.shape for layer in viewer.layers] == [(6, 40, 50)] * 2
    assert any("zcyx was taken as axes" in text for text in told)


def test_a_second_stack_moves_nothing_on_screen(
    panel: LoadPanel, qtbot: Any, tmp_path: Path
) -> None:
    viewer = panel._viewer
    first = viewer.add_image(cells(), scale=SPACING, units="um")
    viewer.dims.set_current_step(0, 1)
    viewer.camera.zoom, viewer.camera.center = 33.0, (0, 2.0, 3.0)
    limits = tuple(first.contrast_limits)
    open_path(panel, qtbot, write(tmp_path / "b.ome.tif", Volume(5 * cells(), SPACING)))
    assert names(panel)[1] == "b"
    assert (viewer.camera.zoom, viewer.camera.center[1:]) == (33.0, (2.0, 3.0))
    assert viewer.dims.current_step[0] == 1
    assert tuple(first.contrast_limits) == limits
    assert viewer.layers.selection.active is first


def test_a_shift_is_seen_shown_and_mended(panel: LoadPanel, qtbot: Any, pair: Specimen) -> None:
    viewer, box = panel._viewer, panel.form.registration
    moved = apply_shift(pair.dapi, (0, 6, -5))
    scale = {"scale": pair.qpi.spacing, "units": "um"}
    viewer.add_image(pair.qpi.numpy(), name="QPI", **scale)
    dapi = viewer.add_image(moved.numpy(), name="DAPI", **scale)
    before = np.array(dapi.data)
    assert not box.shift.isEnabled()
    box.check.click()
    wait(panel, qtbot)
    assert "⚠ DAPI is shifted" in box.verdict.text()
    assert box.figure.isVisible()
    assert box.figure.pixmap().width() > 100
    box.shift.click()
    wait(panel, qtbot)
    assert names(panel) == ["QPI", "DAPI", "DAPI (shifted)"]
    np.testing.assert_array_equal(dapi.data, before)
    assert not dapi.visible
    assert box.dapi.layer.name == "DAPI (shifted)"
    box.check.click()
    wait(panel, qtbot)
    assert "✓" in box.verdict.text()
    assert not box.shift.isEnabled()


def test_what_cannot_be_opened_or_compared_is_told(
    panel: LoadPanel, qtbot: Any, tmp_path: Path
) -> None:
    (tmp_path / "broken.tif").write_bytes(b"no image")
    open_path(panel, qtbot, tmp_path / "broken.tif")
    assert panel.bar.said.startswith("⚠")
    assert panel.bar.details.isVisible()
    panel.form.registration.check.click()
    assert "Choose a label-free and a DAPI layer" in panel.bar.sentence.text()
    viewer = panel._viewer
    viewer.add_image(cells(), name="QPI")
    viewer.add_image(cells((4, 40, 50)), name="DAPI")
    panel.form.registration.check.click()
    wait(panel, qtbot)
    assert "must be two stacks of one shape" in panel.bar.sentence.text()
    empty = tmp_path / "empty"
    empty.mkdir()
    open_path(panel, qtbot, empty)
    assert "holds no stacks" in panel.bar.sentence.text()


def test_phase_contrast_is_set_on_any_layer(panel: LoadPanel, qtbot: Any) -> None:
    data = cells()
    data[0, 0, 0] = 1e6
    layer = panel._viewer.add_image(data, name="x", colormap="red", contrast_limits=(0, 1e6))
    assert isinstance(layer.__wrapped__ if hasattr(layer, "__wrapped__") else layer, Image)
    panel.form.layer.choose(layer)
    panel.form.contrast.click()
    wait(panel, qtbot)
    assert layer.contrast_limits[1] < 10
    assert layer.colormap.name == "gray"
