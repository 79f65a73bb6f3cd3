"""The Stain panel in a real window: layers fill in, stop, go on, follow the view."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_llcm.events import Job, Progress, Started, Tile, UserError
from napari_llcm.gui.check.panel import CheckPanel
from napari_llcm.gui.layers.conversion import KEY
from napari_llcm.gui.settings import recall
from napari_llcm.gui.stain import pace, painting
from napari_llcm.gui.stain.panel import StainPanel
from napari_llcm.gui.stain.region import PLANES, SCREEN, SHAPES, WHOLE
from napari_llcm.gui.stain.spread import STRONG
from napari_llcm.staining import tiled
from napari_llcm.staining.job import Stopped
from napari_llcm.tasks.registry import STAIN
from napari_llcm.volumes import read, write

pytestmark = pytest.mark.usefixtures("screen", "small_model", "small_tiles")
NAME, SPREAD = STAIN.result, f"Spread of {STAIN.result}"
SPACING = (0.5, 0.25, 0.25)
SHAPE = (16, 64, 80)


@pytest.fixture
def data() -> np.ndarray:
    return np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)


@pytest.fixture
def panel(make_napari_viewer_proxy: Any, data: np.ndarray, qtbot: Any) -> StainPanel:
    viewer = make_napari_viewer_proxy(show=True)
    viewer.add_image(data, name="QPI", scale=SPACING, translate=(5, 3, 2), units="um")
    made = StainPanel(viewer)
    viewer.window.add_dock_widget(made, name="Stain")
    qtbot.waitUntil(lambda: layer(made, "QPI").corner_pixels.any(), timeout=10_000)
    return made


def layer(panel: StainPanel, name: str) -> Any:
    assert name in panel._viewer.layers
    return panel._viewer.layers[name]


def finish(panel: StainPanel, qtbot: Any) -> list[Any]:
    seen: list[Any] = []
    panel.runner.event.connect(seen.append)
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=60_000)
    return seen


def stain(panel: StainPanel, qtbot: Any) -> list[Any]:
    seen: list[Any] = []
    panel.runner.event.connect(seen.append)
    panel.form.start.click()
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=60_000)
    return seen


def exact(seen: list[Any]) -> list[Tile]:
    return [e for e in seen if isinstance(e, Tile) and not e.preview]


def filled(array: Any) -> tuple[slice, ...]:
    """Return the box of what is not 0."""
    where = np.nonzero(np.asarray(array))
    return tuple(slice(int(w.min()), int(w.max()) + 1) for w in where)


@pytest.mark.versions
def test_one_click_adds_a_layer_that_lies_on_the_stack_and_fills_in(
    panel: StainPanel, qtbot: Any
) -> None:
    viewer, source = panel._viewer, layer(panel, "QPI")
    viewer.camera.zoom, viewer.camera.center = 7.0, (0, 10.0, 12.0)
    viewer.dims.set_current_step(0, 3)
    before = viewer.camera.zoom, viewer.camera.center, viewer.dims.current_step
    limits = tuple(source.contrast_limits)
    panel.form.start.click()
    assert NAME not in viewer.layers  # nothing is there to be seen yet
    qtbot.waitUntil(lambda: NAME in viewer.layers, timeout=60_000)
    made = layer(panel, NAME)
    assert made.data.any()
    finish(panel, qtbot)
    assert made.data.shape == SHAPE
    assert (made.data > 0).any()
    for name in ("scale", "translate", "units", "axis_labels"):
        np.testing.assert_array_equal(getattr(made, name), getattr(source, name))
    assert (viewer.camera.zoom, viewer.camera.center, viewer.dims.current_step) == before
    assert tuple(source.contrast_limits) == limits
    assert viewer.layers.selection.active is source
    assert made.metadata[KEY]["model"] == "small"
    assert "Done in" in panel.bar.sentence.text()


@pytest.mark.versions
def test_warnings_stay_until_the_next_job_and_in_the_layers_record(
    panel: StainPanel, qtbot: Any, data: np.ndarray, tmp_path: Path
) -> None:
    viewer = panel._viewer
    counts = ((data - data.min()) / np.ptp(data) * 60_000).astype(np.uint16)
    panel.form.stack.choose(viewer.add_image(counts, name="a < b, no voxel size"))
    stain(panel, qtbot)
    text = panel.bar.sentence.text()
    assert text.count("is assumed") == 1
    assert "a &lt; b" in text
    assert text.index("is assumed") < text.index("Done in")  # added, not put in its place
    assert "background-color" in text
    assert "contrast" not in panel.bar.said  # counts have a unit of their own
    made = layer(panel, NAME)
    (said,) = made.metadata[KEY]["notices"]
    assert "is assumed" in said
    (saved,) = made.save(str(tmp_path / "saved.ome.zarr"), plugin="napari-llcm")
    assert read(saved).metadata["notices"] == [said]
    panel.form.stack.choose(layer(panel, "QPI"))
    stain(panel, qtbot)
    assert "is assumed" not in panel.bar.sentence.text()


def test_a_refused_stack_leaves_the_stain_before_as_it_was(
    panel: StainPanel, data: np.ndarray, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stain(panel, qtbot)
    made = layer(panel, NAME)
    panel.form.spread.setChecked(True)  # another stain of the same stack
    stained = painting.stain_times

    def refused(*_: Any, **__: Any) -> Job:
        yield Started(job="stain")
        raise UserError("It cannot be stained.")

    monkeypatch.setattr(painting, "stain_times", refused)
    stain(panel, qtbot)
    assert "cannot be stained" in panel.bar.said
    assert [x.name for x in panel._viewer.layers] == ["QPI", NAME]
    assert made.visible
    monkeypatch.setattr(painting, "stain_times", stained)
    stain(panel, qtbot)
    assert layer(panel, SPREAD).data.shape == SHAPE
    assert not made.visible


def test_what_is_on_screen_comes_first(panel: StainPanel, qtbot: Any) -> None:
    viewer = panel._viewer
    viewer.dims.set_current_step(0, 14)
    viewer.camera.zoom, viewer.camera.center = 100.0, (0, 3 + 60 * 0.25, 2 + 70 * 0.25)
    qtbot.wait(300)
    tiles = [e.slices for e in exact(stain(panel, qtbot))]
    assert len(tiles) == 2 * 4 * 5
    assert tiles[0] == ((8, 16), (48, 64), (64, 80))


@pytest.mark.versions
def test_cancel_keeps_what_is_done_and_stain_goes_on(
    panel: StainPanel, qtbot: Any, slow_tiles: float
) -> None:
    seen: list[Any] = []
    panel.runner.event.connect(seen.append)
    panel.form.start.click()
    qtbot.waitUntil(lambda: len(exact(seen)) > 3, timeout=60_000)
    began = time.monotonic()
    panel.bar.cancel.click()
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=5000)
    assert time.monotonic() - began < 1
    made = layer(panel, NAME)
    kept = np.array(made.data)
    done = len(exact(seen))
    assert 3 < done < 40
    assert kept.any()
    changed: list[Any] = []  # layers, as the Check panel hears of them
    panel._session.stained.connect(changed.append)
    again = stain(panel, qtbot)
    assert changed
    assert all(one is made for one in changed)
    assert len(exact(again)) == 40 - done
    np.testing.assert_array_equal(made.data[kept > 0], kept[kept > 0])
    assert [x.name for x in panel._viewer.layers] == ["QPI", NAME]
    changed.clear()
    stain(panel, qtbot)
    assert "already" in panel.bar.sentence.text()
    assert not changed  # a check of it stays true


@pytest.mark.parametrize("region", [SCREEN, PLANES, SHAPES])
def test_a_region_alone_is_stained(panel: StainPanel, qtbot: Any, region: str) -> None:
    viewer, form = panel._viewer, panel.form
    form.region.combo.setCurrentText(region)
    if region == SCREEN:
        viewer.camera.zoom, viewer.camera.center = 300.0, (0, 3 + 8 * 0.25, 2 + 8 * 0.25)
        qtbot.wait(300)
        expected = (slice(0, 16), slice(0, 16), slice(0, 16))
    elif region == PLANES:
        form.region.planes.setValue((9, 12))
        expected = (slice(8, 16), slice(0, 64), slice(0, 80))
    else:
        corners = np.array([[7.0, 7.2, 6.3], [7.0, 7.2, 9.8], [7.0, 10.8, 9.8], [7.0, 10.8, 6.3]])
        viewer.add_shapes([corners], name="here", units="um")
        expected = (slice(0, 16), slice(16, 32), slice(16, 32))
    stain(panel, qtbot)
    found = filled(layer(panel, NAME).data)
    assert all(
        e.start <= f.start and f.stop <= e.stop for f, e in zip(found, expected, strict=True)
    )
    form.region.combo.setCurrentText(WHOLE)
    seen = stain(panel, qtbot)
    assert any(isinstance(e, Progress) for e in seen)
    assert [x.name for x in viewer.layers if isinstance(x, Image)] == ["QPI", NAME]


def test_a_region_that_is_not_drawn_is_asked_for(panel: StainPanel) -> None:
    panel.form.region.combo.setCurrentText(SHAPES)
    panel.form.start.click()
    assert "draw a rectangle" in panel.bar.sentence.text()
    assert not panel.runner.running
    panel.form.start.click()
    assert panel.bar.said.count("draw a rectangle") == 1  # the refusal before is gone


def test_live_preview_follows_the_view(panel: StainPanel, qtbot: Any) -> None:
    viewer = panel._viewer
    viewer.camera.zoom, viewer.camera.center = 300.0, (0, 3 + 8 * 0.25, 2 + 8 * 0.25)
    viewer.dims.set_current_step(0, 2)
    qtbot.wait(300)
    panel.form.live.click()
    qtbot.waitUntil(lambda: NAME in viewer.layers, timeout=60_000)
    made = layer(panel, NAME)
    qtbot.waitUntil(lambda: made.data[2, :16, :16].any(), timeout=60_000)
    assert not made.data[8:].any()
    viewer.dims.set_current_step(0, 12)
    qtbot.waitUntil(lambda: made.data[12, :16, :16].any(), timeout=10_000)
    assert not made.data[:, 32:].any()
    viewer.camera.center = (0, 3 + 56 * 0.25, 2 + 72 * 0.25)
    qtbot.waitUntil(lambda: made.data[12, 50:, 70:].any(), timeout=10_000)
    assert panel.form.live.isChecked()
    panel.form.live.click()
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=5000)
    assert panel.bar.sentence.isHidden() or not panel.bar.said
    stain(panel, qtbot)
    assert (made.data > 0).any(axis=(1, 2)).all()


def test_stain_takes_over_from_the_live_preview(panel: StainPanel, qtbot: Any) -> None:
    panel.form.live.click()
    qtbot.waitUntil(lambda: layer(panel, NAME).data.any(), timeout=60_000)
    panel.form.start.click()
    qtbot.waitUntil(lambda: "Done in" in panel.bar.said, timeout=60_000)
    assert not panel.form.live.isChecked()


def test_the_spread_layer_tells_a_share_of_the_brightness_and_is_looked_at_alone(
    panel: StainPanel, qtbot: Any, tmp_path: Path
) -> None:
    panel.form.spread.setChecked(True)
    panel.form.samples.setValue(3)
    stain(panel, qtbot)
    mean, spread = layer(panel, NAME), layer(panel, SPREAD)
    low, high = (s := panel.form.model.info.scalings["dapi"]).low, s.high
    canvas = next(iter(panel._chosen.layers._known.values())).canvases[0].array
    share = canvas[1] / np.maximum(canvas[0] - low, 0.1 * (high - low))
    assert share.any()
    np.testing.assert_allclose(np.asarray(spread.data), share, rtol=1e-5)
    assert tuple(spread.contrast_limits) == (0, STRONG)
    assert (spread.visible, spread.blending) == (False, "opaque")
    assert mean.visible
    np.testing.assert_array_equal(spread.translate, layer(panel, "QPI").translate)
    (saved,) = spread.save(str(tmp_path / "spread.ome.tif"), plugin="napari-llcm")
    np.testing.assert_allclose(read(saved).numpy(), share, rtol=1e-5)
    assert recall("stain")["samples"] == 3
    assert recall("stain")["spread"]


def test_how_long_a_stain_takes_is_told_before_it_once_that_is_known(
    panel: StainPanel, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = panel.form
    assert not form.time.text()
    monkeypatch.setattr(pace, "_LEAST", 0.0)
    stain(panel, qtbot)
    assert form.time.text().startswith("About ")
    took = recall("pace")
    assert pace.seconds(form.model.path, "auto", 2 * took["small auto"]) == pytest.approx(2)
    form.region.combo.setCurrentIndex(1)  # how much is on screen is another question
    assert not form.time.text()
    assert not form.free.isVisible()  # nothing was computed on a graphics card


@pytest.mark.versions
def test_from_a_stain_to_its_check_is_one_click(panel: StainPanel, qtbot: Any) -> None:
    viewer = panel._viewer
    real = viewer.add_image(np.zeros(SHAPE, np.float32), name="real DAPI")
    viewer.add_image(np.zeros((4, 8, 8), np.float32), name="qpi of another field")
    viewer.layers.move(2, 0)  # it would be the first guess
    panel.form.stack.choose(viewer.layers["QPI"])
    assert not panel.form.check.isVisible()
    stain(panel, qtbot)
    assert panel.form.check.isVisible()
    panel.form.check.click()
    check = CheckPanel(viewer)  # the viewer's one
    assert check.form.stain.layer is layer(panel, NAME)
    assert check.form.truth.layer is real
    assert check.form.qpi.layer is viewer.layers["QPI"]
    assert check.runner.running
    qtbot.waitUntil(check.isVisible, timeout=5000)
    check.bar.cancel.click()
    qtbot.waitUntil(lambda: not check.runner.running, timeout=120_000)


def test_a_layer_that_is_removed_ends_its_staining(
    panel: StainPanel, qtbot: Any, slow_tiles: float
) -> None:
    panel.form.start.click()
    qtbot.waitUntil(lambda: layer(panel, NAME).data.any(), timeout=60_000)
    panel._viewer.layers.remove(NAME)
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=2000)
    stain(panel, qtbot)
    assert layer(panel, NAME).data.any()


def test_memory_running_out_is_told_and_work_goes_on(
    panel: StainPanel, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from napari_llcm.staining import tiled

    original = tiled.LocalPipeline.decode

    def starved(self: Any, box: Any) -> Any:
        if np.prod([b - a for a, b in box]) > 40:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, box)

    monkeypatch.setattr(tiled.LocalPipeline, "decode", starved)
    stain(panel, qtbot)
    assert "going on with tiles half as large" in panel.bar.said
    assert "Done in" in panel.bar.sentence.text()
    assert panel.bar.details.isVisible()


def test_a_transposed_stack_is_stained_in_place(panel: StainPanel, qtbot: Any, data: Any) -> None:
    viewer = panel._viewer
    stain(panel, qtbot)
    straight = np.array(layer(panel, NAME).data)
    turned = viewer.add_image(
        data.transpose(2, 0, 1),
        name="turned QPI",
        scale=(0.25, 0.5, 0.25),
        axis_labels=("x", "z", "y"),
        units="um",
    )
    panel.form.stack.choose(turned)
    stain(panel, qtbot)
    made = layer(panel, f"{NAME} [1]")
    assert made.data.shape == (80, 16, 64)
    np.testing.assert_allclose(made.data, straight.transpose(2, 0, 1), rtol=1e-3, atol=0.5)
    assert made.axis_labels == ("x", "z", "y")


def test_a_mirrored_stack_is_stained_in_place(panel: StainPanel, qtbot: Any, data: Any) -> None:
    viewer = panel._viewer
    stain(panel, qtbot)
    straight = np.array(layer(panel, NAME).data)
    place = [t + s * (n - 1) for t, s, n in zip((5, 3, 2), SPACING, SHAPE, strict=True)]
    turned = viewer.add_image(
        data[::-1, :, ::-1],
        name="mirrored",
        scale=(-0.5, 0.25, -0.25),
        translate=(place[0], 3, place[2]),
        units="um",
    )
    panel.form.stack.choose(turned)
    assert "0.5 × 0.25 × 0.25 µm" in panel.form.about.text()
    stain(panel, qtbot)
    made = layer(panel, f"{NAME} [1]")
    np.testing.assert_allclose(made.scale, turned.scale)
    np.testing.assert_allclose(made.data, straight[::-1, :, ::-1], rtol=1e-3, atol=0.5)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("scale", (0.8, 0.25, 0.25)), ("units", ("nm",) * 3), ("axis_labels", ("y", "z", "x"))],
)
def test_a_stack_that_was_corrected_is_stained_anew(
    panel: StainPanel, qtbot: Any, attribute: str, value: Any
) -> None:
    source = panel._viewer.add_image(
        np.random.default_rng(2).normal(size=(16, 16, 16)).astype(np.float32),
        name="small", scale=SPACING, units="um", axis_labels=tuple("zyx"),
    )  # fmt: skip
    panel.form.stack.choose(source)
    stain(panel, qtbot)
    first = layer(panel, NAME)
    source.translate = (1, 2, 3)  # a place is followed, and changes no stain
    np.testing.assert_array_equal(first.translate, (1, 2, 3))
    assert first.name == NAME
    setattr(source, attribute, value)
    assert "outdated" in first.name
    assert "small" in first.metadata[KEY]["outdated"]
    np.testing.assert_array_equal(getattr(first, attribute), getattr(source, attribute))
    if attribute == "units":
        source.scale = [1000 * s for s in SPACING]  # the same size in another unit
        assert first.name == NAME
        return
    stain(panel, qtbot)
    second = layer(panel, NAME)
    assert second is not first
    assert (second.data > 0).any()
    assert not first.visible


def test_what_is_not_on_screen_is_not_stained(panel: StainPanel, qtbot: Any) -> None:
    viewer, form = panel._viewer, panel.form
    form.region.combo.setCurrentText(SCREEN)
    viewer.camera.center = (0, 500.0, 500.0)
    qtbot.wait(300)
    form.start.click()
    assert "Nothing of QPI is on screen" in panel.bar.said
    assert not panel.runner.running


def test_a_pyramid_and_a_stack_with_axes_of_one_entry_are_stained(
    panel: StainPanel, qtbot: Any, data: np.ndarray
) -> None:
    viewer = panel._viewer
    levels = [data, data[::2, ::2, ::2]]
    pyramid = viewer.add_image(levels, multiscale=True, name="p", scale=SPACING, units="um")
    panel.form.stack.choose(pyramid)
    stain(panel, qtbot)
    assert layer(panel, NAME).data.shape == SHAPE
    one = viewer.add_image(
        data[None], name="one", scale=(1, *SPACING), units=("pixel", *["um"] * 3)
    )
    panel.form.stack.choose(one)
    stain(panel, qtbot)
    assert layer(panel, f"{NAME} [1]").data.shape == (1, *SHAPE)


@pytest.mark.versions
def test_of_a_series_one_time_point_or_all_are_stained(
    panel: StainPanel, qtbot: Any, data: np.ndarray
) -> None:
    viewer = panel._viewer
    series = viewer.add_image(
        np.stack([data, -data, 2 * data]),
        name="series",
        scale=(1, *SPACING),
        units=("pixel", "um", "um", "um"),
        axis_labels=tuple("tzyx"),
    )
    assert not panel.form.times.isVisible()
    panel.form.stack.choose(series)
    assert panel.form.times.isVisible()
    viewer.dims.set_current_step(0, 1)
    stain(panel, qtbot)
    made = layer(panel, NAME)
    assert made.data.any(axis=(1, 2, 3)).tolist() == [False, True, False]
    panel.form.times.setCurrentIndex(1)
    stain(panel, qtbot)
    assert made.data.any(axis=(1, 2, 3)).all()
    assert [x.name for x in viewer.layers] == ["QPI", "series", NAME]


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (np.zeros((64, 64)), {}, "is a 2D image"),
    (np.zeros((4, 64, 64)), {"axis_labels": tuple("tyx")}, "time series of 2D"),
    (np.zeros((24, 2, 32, 32)), {}, "does not tell what its axes"),
    (np.zeros((24, 32, 32, 3)), {"rgb": False}, "3 channels in one layer"),
    (np.zeros((2, 2, 2, 4, 32, 32)), {}, "6 axes of more than one entry"),
    (np.zeros((2, 4, 64, 64)), {"axis_labels": tuple("czyx")}, "2 channels in one layer"),
    (np.zeros((2, 64, 64)), {"axis_labels": tuple("cyx")}, "single plane|channels"),
    (np.zeros((4, 64, 64, 3), np.uint8), {"rgb": True}, "colour"),
    (np.zeros((4, 64, 64)), {"shear": (0.5, 0, 0)}, "sheared"),
    (np.zeros((4, 64, 64)), {"scale": SPACING, "units": "um"}, "same value"),
]


def test_what_cannot_be_stained_is_refused_in_words(panel: StainPanel, qtbot: Any) -> None:
    layers = panel._viewer.layers
    for array, attributes, says in REFUSED:  # in one window, which takes longer than all of them
        odd = panel._viewer.add_image(array, name="odd", **attributes)
        panel.form.stack.choose(odd)
        panel.form.start.click()
        qtbot.waitUntil(lambda: not panel.runner.running, timeout=20_000)
        assert re.search(says, panel.bar.sentence.text()), says
        assert "--" not in panel.bar.said
        assert [x.name for x in layers] == ["QPI", "odd"], says  # and no empty stain
        layers.remove("odd")


def test_a_missing_voxel_size_is_asked_for_once(panel: StainPanel, data: np.ndarray) -> None:
    viewer = panel._viewer
    plain = viewer.add_image(data, name="plain")
    panel.form.stack.choose(plain)
    row = panel.form.spacing
    assert row.isVisible()
    for box, value in zip(row.boxes, SPACING, strict=True):
        box.setValue(value)
    row.button.click()
    assert not row.isVisible()
    np.testing.assert_allclose(plain.scale, SPACING)
    assert {str(u) for u in plain.units} == {"micrometer"}
    assert "µm" in panel.form.about.text()


def test_several_layers_are_stained_one_after_another(
    panel: StainPanel, qtbot: Any, data: np.ndarray
) -> None:
    from qtpy.QtCore import Qt

    panel._viewer.add_image(-data, name="other", scale=SPACING, units="um")
    batch = panel.form.batch
    for i in range(batch.list.count()):
        batch.list.item(i).setCheckState(Qt.CheckState.Checked)
    batch.stain_layers.click()
    finish(panel, qtbot)
    assert layer(panel, NAME).data.any()
    assert layer(panel, f"{NAME} [1]").data.any()


def test_a_folder_is_stained(panel: StainPanel, qtbot: Any, data: Any, tmp_path: Path) -> None:
    from napari_llcm.volumes import Volume

    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in "ab":
        write(source / f"{name}.ome.tif", Volume(data, SPACING))
    batch = panel.form.batch
    batch.stain_folder.click()
    assert "Choose the folder" in panel.bar.sentence.text()
    batch.source.setText(str(source))
    batch.out.setText(str(out))
    batch.stain_folder.click()
    finish(panel, qtbot)
    assert "Stacks written: 2" in panel.bar.sentence.text()
    assert read(out / "a virtual DAPI.ome.zarr").shape == SHAPE


def test_a_model_is_added_from_a_file_and_its_card_read(
    panel: StainPanel, qtbot: Any, small_model: Path, tmp_path: Path
) -> None:
    from napari_llcm.models import export_model

    picker = panel.form.model
    assert "0.5 × 0.25 × 0.25 µm" in picker.details.text()
    zipped = export_model("small", tmp_path / "colleague.zip")
    small_model.rename(small_model.with_name("mine"))
    picker.wanted.emit(zipped)
    finish(panel, qtbot)
    assert picker.combo.currentData() == "small"
    dialog = picker.show_card()
    qtbot.addWidget(dialog)
    assert "small" in dialog.windowTitle()
    (tmp_path / "no.zip").write_bytes(b"nothing")
    picker.wanted.emit(tmp_path / "no.zip")
    finish(panel, qtbot)
    assert "is not a model" in panel.bar.sentence.text()


def test_closing_while_staining_ends_it(panel: StainPanel, qtbot: Any, slow_tiles: float) -> None:
    panel.form.start.click()
    qtbot.waitUntil(lambda: layer(panel, NAME).data.any(), timeout=60_000)
    window = panel._viewer.window
    assert window._task_status_manager.is_busy()  # so napari asks before it closes
    (said,) = window._task_status_manager.get_status()
    assert "staining of QPI" in said
    window._task_status_manager.cancel_all()
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=2000)


@pytest.mark.versions
def test_every_control_says_what_it_is_for(panel: StainPanel) -> None:
    from qtpy import QtWidgets

    kinds = (QtWidgets.QPushButton, QtWidgets.QComboBox, QtWidgets.QAbstractSpinBox)
    kinds += (QtWidgets.QCheckBox, QtWidgets.QLineEdit, QtWidgets.QListWidget)
    owners = {w.objectName() or type(w).__name__ for w in panel.findChildren(kinds) if not _tip(w)}
    assert owners == set()


def _tip(widget: Any) -> bool:
    """Return whether a control, or what it is a part of, has a tooltip."""
    while widget is not None and not isinstance(widget, StainPanel):
        if widget.toolTip():
            return True
        widget = widget.parent()
    return False


def test_opening_the_panel_imports_no_torch() -> None:
    import subprocess

    code = (
        "import sys; import napari\n"
        "from napari_llcm.gui.stain.panel import StainPanel\n"
        "from napari_llcm.gui.load.panel import LoadPanel\n"
        "v = napari.Viewer(show=False); panels = StainPanel(v), LoadPanel(v)\n"
        "print(*(m for m in ('torch', 'monai', 'cellpose', 'matplotlib') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_what_is_on_screen_is_previewed_and_said_to_be(
    panel: StainPanel, qtbot: Any, slow_tiles: float
) -> None:
    viewer, seen = panel._viewer, list[tuple[bool, bool, str]]()
    viewer.dims.set_current_step(0, 11)

    def look(event: Any) -> None:
        if isinstance(event, Tile):
            made = layer(panel, NAME)
            told = panel.bar.meanwhile.text()
            seen.append((event.preview, bool(made.data[11].any()), told))

    panel.runner.event.connect(look)
    panel.form.start.click()
    qtbot.waitUntil(lambda: NAME in viewer.layers, timeout=60_000)
    assert layer(panel, NAME).metadata[KEY]["preview"]
    finish(panel, qtbot)
    preview, there, told = seen[0]
    assert preview
    assert there
    assert "Preview" in told
    assert not all(preview for preview, *_ in seen)
    assert "Preview" not in panel.bar.meanwhile.text()
    made = layer(panel, NAME)
    assert "preview" not in made.metadata[KEY]
    assert np.count_nonzero(made.data) > 0.5 * made.data.size


def test_a_job_that_ends_early_leaves_no_preview(
    panel: StainPanel, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: Any) -> Any:
        time.sleep(0.05)
        raise Stopped

    monkeypatch.setattr(tiled.LocalPipeline, "decode", decode)
    panel.form.start.click()
    qtbot.waitUntil(lambda: NAME in panel._viewer.layers, timeout=60_000)
    finish(panel, qtbot)
    assert [x.name for x in panel._viewer.layers] == ["QPI"]  # nothing of it was kept
