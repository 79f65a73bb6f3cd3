"""The Check panel in a real viewer: overlay, figures, table, flight, slider, exports."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels, Layer
from napari.utils._proxies import PublicOnlyProxy
from qtpy.compat import isalive
from qtpy.QtCore import Qt

from napari_llcm.events import Finished, Job, ShouldStop, Started
from napari_llcm.gui.check.outlines import NAME
from napari_llcm.gui.check.panel import CheckPanel
from napari_llcm.gui.check.verdicts import key_of
from napari_llcm.gui.layers.conversion import as_layers
from napari_llcm.gui.train.panel import TrainPanel
from napari_llcm.nuclei.figures import COLOURS
from napari_llcm.specimen import Specimen

ORIGIN = (5.0, 0.0, 10.0)


@pytest.fixture
def viewer(screen: None, make_napari_viewer: Callable[..., Any]) -> Any:
    """A viewer on a screen."""
    return make_napari_viewer(show=True)


@pytest.fixture
def panel(viewer: Any, specimen: Specimen, qtbot: Any) -> CheckPanel:
    """A panel on real labels and virtual ones: nucleus 1 is missed, one is made up."""
    truth = specimen.labels.replace(origin=ORIGIN)
    found = np.where(truth.numpy() == 1, 0, truth.numpy())
    free = np.argwhere(found == 0)[0]
    found[tuple(free)] = found.max() + 1
    for volume, name in ((truth, "real nuclei"), (truth.replace(data=found), "virtual nuclei")):
        for one in as_layers(volume, "labels", name=name, visible=False):
            viewer.add_layer(Layer.create(*one))
    made = CheckPanel(PublicOnlyProxy(viewer))  # as napari hands it to plugins
    viewer.window.add_dock_widget(made, area="right")
    made.form.stain.choose(viewer.layers["virtual nuclei"])
    made.form.truth.choose(viewer.layers["real nuclei"])
    return made


def run(panel: CheckPanel, qtbot: Any) -> None:
    panel.start()
    assert panel.runner.running
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=60_000)


def test_layers_of_labels_are_known_through_the_proxy(
    panel: CheckPanel, viewer: Any, qtbot: Any
) -> None:
    assert panel.form.truth.layer is viewer.layers["real nuclei"]
    assert panel.form.qpi.count() == 1  # labels are no label-free stack
    run(panel, qtbot)
    assert panel.result.settings["segmenter"] == "labels as given"
    assert panel.result.settings["diameter_pixels"] is None


@pytest.mark.versions
def test_a_check_shows_figures_table_and_one_overlay(
    panel: CheckPanel, viewer: Any, specimen: Specimen, qtbot: Any
) -> None:
    active, camera = viewer.layers.selection.active, tuple(viewer.camera.center)
    run(panel, qtbot)
    n = int(specimen.labels.numpy().max())
    assert panel.scores.figures["recall"].text() == f"{(n - 1) / n:.2f}"
    assert "1&nbsp;missed" in panel.scores.counts.text()
    assert "1&nbsp;hallucinated" in panel.scores.counts.text()
    assert panel.table.nuclei.rowCount() == n + 1
    layer = viewer.layers[NAME]
    assert isinstance(layer, Labels)
    np.testing.assert_allclose(layer.scale, specimen.labels.spacing)
    np.testing.assert_allclose(layer.translate, ORIGIN)
    z, y, x = np.argwhere(specimen.labels.numpy() == 1)[0]
    assert panel.outlines.outline_image.colour_at(z, y, x) == COLOURS["missed"]
    z, y, x = np.argwhere(specimen.labels.numpy() == 2)[0]
    assert panel.outlines.outline_image.colour_at(z, y, x) == COLOURS["found"]
    assert viewer.layers.selection.active is active
    assert tuple(viewer.camera.center) == pytest.approx(camera)
    assert not panel.confidence.slider.isEnabled()
    assert "not known" in panel.confidence.slider.toolTip()
    viewer.dims.ndisplay = 3  # and no error
    picture = viewer.screenshot(canvas_only=True, flash=False)
    assert len(np.unique(picture.reshape(-1, 4), axis=0)) > 3


def test_the_outlines_come_from_the_thread_of_the_check(panel: CheckPanel, qtbot: Any) -> None:
    shown_as: list[np.ndarray] = []
    panel.runner.event.connect(
        lambda event: (
            shown_as.append(event.value[1].voxels.copy()) if isinstance(event, Finished) else None
        )
    )
    run(panel, qtbot)
    assert shown_as[0].any()
    np.testing.assert_array_equal(shown_as[0], panel.outlines.outline_image.voxels)


@pytest.mark.versions
def test_a_click_and_the_keys_fly_to_a_nucleus(
    panel: CheckPanel, viewer: Any, specimen: Specimen, qtbot: Any
) -> None:
    run(panel, qtbot)
    panel.step(1)
    row = panel.table.current()
    assert row["verdict"] == "missed"
    centre = np.argwhere(specimen.labels.numpy() == 1).mean(0)
    world = centre * specimen.labels.spacing + ORIGIN
    qtbot.waitUntil(
        lambda: np.allclose(viewer.camera.center[1:], world[1:], atol=0.1), timeout=5000
    )
    assert viewer.dims.point[0] == pytest.approx(world[0], abs=specimen.labels.spacing[0])
    z, y, x = np.argwhere(specimen.labels.numpy() == 1)[0]
    assert panel.outlines.outline_image.colour_at(z, y, x) == "#FFFFFF"
    inside = np.argwhere(specimen.labels.numpy() == 1)
    z, y, x = inside[np.abs(inside - inside.mean(0)).sum(1).argmin()]
    assert panel.outlines.outline_image.colour_at(z, y, x) == COLOURS["missed"]  # its verdict stays
    panel.table.selectRow(1)
    assert panel.table.current() == panel.table.shown()[1]
    panel.filter.setCurrentText("Only found")
    panel.step(1)
    before = panel.table.current()
    panel.step(1)
    panel.step(-1)
    assert key_of(panel.table.current()) == key_of(before)


def test_a_key_shows_one_stain_in_place_of_the_other(
    panel: CheckPanel, viewer: Any, qtbot: Any
) -> None:
    virtual, real = viewer.layers["virtual nuclei"], viewer.layers["real nuclei"]
    virtual.visible = True
    window = viewer.window._qt_window
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=5000)
    for shown in ((False, True), (True, False)):
        qtbot.keyClick(window, "-")
        assert (virtual.visible, real.visible) == shown
    panel.swap.click()
    assert (virtual.visible, real.visible) == (False, True)


def test_a_click_in_the_image_chooses_the_row_and_leaves_the_view(
    panel: CheckPanel, viewer: Any, specimen: Specimen, qtbot: Any
) -> None:
    run(panel, qtbot)
    spacing = np.asarray(specimen.labels.spacing)
    inside = np.argwhere(specimen.labels.numpy() == 2)
    voxel = inside[np.abs(inside - inside.mean(0)).sum(1).argmin()]
    world = voxel * spacing + ORIGIN
    viewer.dims.set_point(0, world[0])
    viewer.camera.center = tuple(world)
    viewer.camera.zoom = 4
    before = tuple(viewer.camera.center)
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton)  # in its middle
    row = panel.table.current()
    assert row is not None
    assert row["id"] == 2
    z, y, x = inside[0]  # on its border
    assert panel.outlines.outline_image.colour_at(z, y, x) == "#FFFFFF"
    assert tuple(viewer.camera.center) == pytest.approx(before)


def test_a_new_check_takes_the_place_of_the_one_before(
    panel: CheckPanel, viewer: Any, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(panel, qtbot)
    assert panel.caption.text() == "virtual nuclei against real nuclei"
    panel.exports.save("table", tmp_path / "n.csv")
    qtbot.waitUntil(lambda: not panel.exports.runner.running, timeout=60_000)
    assert "virtual nuclei against real nuclei" in (tmp_path / "n.csv").read_text()

    def waiting(stop: ShouldStop) -> Job:
        yield Started(job="nuclei")
        while not stop():
            time.sleep(0.01)

    with monkeypatch.context() as patched:
        patched.setattr("napari_llcm.gui.check.panel.checking", lambda *_, **__: waiting)
        panel.start()  # grey, without outlines, and not to be saved
    assert panel.results.isVisible()
    assert not panel.results.isEnabled()
    assert NAME not in viewer.layers
    panel.exports.save("report", tmp_path / "stale.pdf")
    assert "press Check first" in panel.bar.said
    panel.runner.stop()
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=60_000)
    gone(panel, viewer)  # a check that was cancelled shows nothing
    assert not (tmp_path / "stale.pdf").exists()
    run(panel, qtbot)
    assert panel.results.isEnabled()
    viewer.add_labels(np.zeros((4, 8, 8), int), name="small")
    panel.form.truth.choose(viewer.layers["small"])
    run(panel, qtbot)
    gone(panel, viewer)  # nor does one that failed
    panel.form.truth.choose(viewer.layers["real nuclei"])
    run(panel, qtbot)
    panel.form.truth.choose(panel.form.stain.layer)
    panel.start()
    gone(panel, viewer)  # nor one that could not begin


def gone(panel: CheckPanel, viewer: Any) -> None:
    assert not panel.results.isVisible()
    assert panel.result is None
    assert NAME not in viewer.layers


def test_a_stain_that_goes_on_is_no_longer_what_was_checked(
    panel: CheckPanel, viewer: Any, tmp_path: Path, qtbot: Any
) -> None:
    run(panel, qtbot)
    other = viewer.add_labels(np.zeros((4, 8, 8), int), name="of no check")
    panel._session.stained.emit(other)
    assert "stained again" not in panel.caption.text()
    panel._session.stained.emit(viewer.layers["virtual nuclei"])
    assert panel.caption.text().startswith("virtual nuclei against real nuclei\n⚠ virtual nuclei")
    assert "stained again since this check" in panel.caption.text()
    panel.filter.setCurrentIndex(1)  # offers nothing that is not true any more
    panel.exports.save("table", tmp_path / "n.csv")
    assert "press Check first" in panel.bar.said
    assert not panel.exports.runner.running
    run(panel, qtbot)
    assert "stained again" not in panel.caption.text()
    viewer.layers["virtual nuclei"].scale = (2, 2, 2)  # the volumes in the table are wrong now
    assert "was changed since this check" in panel.caption.text()
    panel.exports.save("table", tmp_path / "n.csv")
    assert not panel.exports.runner.running
    viewer.layers["virtual nuclei"].scale = viewer.layers["real nuclei"].scale
    panel.start()
    panel._session.stained.emit(viewer.layers["virtual nuclei"])  # before it was done
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=60_000)
    assert "stained again since this check" in panel.caption.text()
    panel.exports.save("table", tmp_path / "n.csv")
    assert not panel.exports.runner.running
    assert not (tmp_path / "n.csv").exists()


def test_the_time_point_and_the_model_stand_in_the_caption(
    viewer: Any, specimen: Specimen, qtbot: Any
) -> None:
    made = specimen.labels.replace(metadata={"model": "m-7", "notices": ["Voxel size assumed."]})
    for one in as_layers(made, "labels", name="virtual"):
        data, attributes, kind = one
        attributes |= {
            "scale": [1, *attributes["scale"]],
            "translate": [0, *attributes["translate"]],
            "units": ["pixel", *attributes["units"]],
            "axis_labels": tuple("tzyx"),
        }
        viewer.add_layer(Layer.create(np.stack([data, data]), attributes, kind))
    panel = CheckPanel(PublicOnlyProxy(viewer))
    viewer.window.add_dock_widget(panel, area="right")
    panel.form.stain.choose(viewer.layers["virtual"])
    viewer.dims.set_current_step(0, 1)
    run(panel, qtbot)
    assert panel.caption.text() == "virtual, time point 1 (model m-7)"
    assert "Voxel size assumed." in panel.bar.sentence.text()


def test_one_layer_is_not_both_sides(panel: CheckPanel, viewer: Any, qtbot: Any) -> None:
    panel.form.truth.choose(viewer.layers["virtual nuclei"])
    panel.start()
    assert "two different layers" in panel.bar.said
    assert not panel.runner.running
    train = TrainPanel(PublicOnlyProxy(viewer))
    viewer.window.add_dock_widget(train, area="right")
    field = viewer.add_image(np.ones((4, 8, 8)), name="field")
    train.pairs.qpi.choose(field)
    train.pairs.dapi.choose(field)
    train.start()
    assert "two different layers" in train.view.bar.said
    assert not train.busy


def test_flight_and_click_beside_a_layer_in_nm(
    panel: CheckPanel, viewer: Any, specimen: Specimen, qtbot: Any
) -> None:
    viewer.add_image(np.zeros((4, 8, 8)), name="nm", scale=(800, 500, 500), units="nm")
    viewer.reset_view()  # which now counts in nm
    run(panel, qtbot)
    panel.step(1)
    spacing = np.asarray(specimen.labels.spacing)
    world = 1000 * (np.argwhere(specimen.labels.numpy() == 1).mean(0) * spacing + ORIGIN)
    qtbot.waitUntil(
        lambda: np.allclose(viewer.camera.center[1:], world[1:], atol=100), timeout=5000
    )
    assert viewer.dims.point[0] == pytest.approx(world[0], abs=1000 * spacing[0])
    assert 0.001 < viewer.camera.zoom < 1  # pixels for each nm: a nucleus of 8 µm is well seen
    inside = np.argwhere(specimen.labels.numpy() == 2)
    voxel = inside[np.abs(inside - inside.mean(0)).sum(1).argmin()]
    place = 1000 * (voxel * spacing + ORIGIN)
    qtbot.wait(400)  # until the flight is over
    viewer.dims.set_point(0, place[0])
    viewer.camera.center = tuple(place)
    qtbot.wait(100)
    qtbot.mouseClick(viewer.window._qt_viewer.canvas.native, Qt.MouseButton.LeftButton)
    assert panel.table.current()["id"] == 2


def test_filters_show_only_some_in_table_and_image(panel: CheckPanel, qtbot: Any) -> None:
    run(panel, qtbot)
    panel.filter.setCurrentText("Only missed")
    assert [row["verdict"] for row in panel.table.shown()] == ["missed"]
    shown_as = panel.outlines.outline_image
    shown = {shown_as.colour_at(*voxel) for voxel in np.argwhere(shown_as.voxels)}
    assert shown == {COLOURS["missed"]}
    panel.filter.setCurrentIndex(0)
    column = panel.table.nuclei.column("volume")
    panel.table.sortByColumn(column, panel.table.horizontalHeader().sortIndicatorOrder())
    volumes = [row["volume"] for row in panel.table.shown()]
    assert volumes in (sorted(volumes), sorted(volumes, reverse=True))


@pytest.mark.versions
def test_the_slider_follows_confidences_that_rows_have(panel: CheckPanel, qtbot: Any) -> None:
    run(panel, qtbot)
    panel._rows = [
        {**row, "confidence": None if row["verdict"] == "missed" else i / len(panel._rows)}
        for i, row in enumerate(panel._rows)
    ]
    panel.confidence.offer(panel._rows)
    assert panel.confidence.slider.isEnabled()
    panel.refresh()
    assert panel.table.nuclei.column("confidence") >= 0
    recall = float(panel.scores.figures["recall"].text())
    panel.confidence.slider.setValue(60)
    assert float(panel.scores.figures["recall"].text()) < recall
    believed = [r for r in panel.table.shown() if r["verdict"] == "found"]
    assert all(r["confidence"] >= 0.6 for r in believed)


def test_without_a_real_stain_the_nuclei_are_listed(
    viewer: Any, specimen: Specimen, qtbot: Any
) -> None:
    for one in as_layers(specimen.dapi, name="DAPI (virtual)"):
        viewer.add_layer(Layer.create(*one))
    panel = CheckPanel(viewer)
    viewer.window.add_dock_widget(panel, area="right")
    assert panel.form.truth.layer is None
    panel.form.segmenter.setCurrentIndex(panel.form.segmenter.findData("classical"))
    run(panel, qtbot)
    assert panel.table.nuclei.rowCount() > 0
    assert {row["verdict"] for row in panel.table.shown()} == {"nucleus"}
    assert "nuclei" in panel.scores.counts.text()
    assert not panel.exports.buttons["report"].isEnabled()
    assert CheckPanel(viewer) is panel  # each viewer has one
    panel.parent().deleteLater()  # its dock, and with it the panel
    qtbot.waitUntil(lambda: not isalive(panel), timeout=5000)
    again = CheckPanel(viewer)  # what was set is remembered
    assert again is not panel
    assert again.form.segmenter.currentData() == "classical"


@pytest.mark.versions
def test_table_figure_and_report_are_saved(panel: CheckPanel, tmp_path: Path, qtbot: Any) -> None:
    run(panel, qtbot)
    for kind, name in (("table", "n.csv"), ("figure", "n.png"), ("report", "n.pdf")):
        panel.exports.save(kind, tmp_path / name)
        qtbot.waitUntil(lambda: not panel.exports.runner.running, timeout=60_000)
        assert (tmp_path / name).stat().st_size > 100
        assert name in panel.bar.said
    panel.exports.save("table", tmp_path / "n.csv" / "no" / "n.csv")
    qtbot.waitUntil(lambda: not panel.exports.runner.running, timeout=60_000)
    assert "⚠" in panel.bar.sentence.text()


def test_what_cannot_be_checked_is_said_in_words(
    panel: CheckPanel, viewer: Any, qtbot: Any
) -> None:
    panel.form.truth.choose(viewer.layers["virtual nuclei"])
    panel.start()
    assert "two different layers" in panel.bar.said
    viewer.add_labels(np.zeros((4, 8, 8), int), name="small")
    panel.form.truth.choose(viewer.layers["small"])
    run(panel, qtbot)
    assert "one shape" in panel.bar.said
    assert not panel.results.isVisible()
