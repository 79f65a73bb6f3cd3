"""The Check panel with a real stain of one plane: what is compared, drawn and said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Layer
from napari.utils._proxies import PublicOnlyProxy

from flat_fields import flat_folder
from napari_llcm.events import result_of
from napari_llcm.gui.check.outlines import NAME
from napari_llcm.gui.check.panel import CheckPanel
from napari_llcm.gui.layers.conversion import as_layers
from napari_llcm.gui.load.jobs import opening_pair
from napari_llcm.gui.train.pairs import PairChoice
from napari_llcm.gui.train.teaching import partner_of
from napari_llcm.nuclei.figures import COLOURS
from napari_llcm.specimen import Specimen, make_specimen
from napari_llcm.volumes import find_pairs
from napari_llcm.volumes.flat import project

ORIGIN = (5.0, 0.0, 10.0)


@pytest.fixture(scope="module")
def field() -> Specimen:
    return make_specimen(size=(20, 128, 128), seed=4, difficulty="easy")


@pytest.fixture
def viewer(screen: None, make_napari_viewer: Callable[..., Any]) -> Any:
    """A viewer on a screen."""
    return make_napari_viewer(show=True)


@pytest.fixture
def panel(viewer: Any, field: Specimen, qtbot: Any) -> CheckPanel:
    """A panel on a DAPI stack as the virtual stain, and its projection as the real one."""
    stain = field.dapi.replace(origin=ORIGIN, name="virtual dapi")
    for one in as_layers(stain):
        viewer.add_layer(Layer.create(*one))
    plane = project(stain).numpy()[0]
    _, y, x = stain.spacing
    scale, place = (y, x), ORIGIN[1:]
    viewer.add_layer(
        Image(plane, name="real plane", scale=scale, translate=place, units=("um", "um"))
    )
    made = CheckPanel(PublicOnlyProxy(viewer))  # as napari hands it to plugins
    viewer.window.add_dock_widget(made, area="right")
    made.form.segmenter.setCurrentIndex(1)  # classical: quick
    made.form.stain.choose(viewer.layers["virtual dapi"])
    made.form.truth.choose(viewer.layers["real plane"])
    return made


def run(panel: CheckPanel, qtbot: Any) -> None:
    panel.start()
    assert panel.runner.running, panel.bar.sentence.text()
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=60_000)


def test_outlines_of_a_plane_lie_on_every_plane_of_the_stack(
    panel: CheckPanel, viewer: Any, field: Specimen, qtbot: Any
) -> None:
    run(panel, qtbot)
    assert panel.scores.figures["F1"].text() == "1.00"
    assert "maximum projection" in panel.caption.text()
    assert "one plane" in panel.caption.text()
    layer = viewer.layers[NAME]
    assert layer.data.shape == field.dapi.shape
    np.testing.assert_allclose(layer.scale, field.dapi.spacing)
    np.testing.assert_allclose(layer.translate, ORIGIN)
    y, x = np.argwhere(panel.result.truth_labels.numpy()[0] == 1)[0]
    assert panel.outlines.outline_image.colour_at(0, y, x) == COLOURS["found"]
    seen = np.asarray(layer.data)
    assert seen[0, y, x] == seen[-1, y, x] > 0
    header = panel.table.nuclei.headerData
    columns = range(panel.table.nuclei.columnCount())
    named = [header(i, panel.table.horizontalHeader().orientation()) for i in columns]
    assert "area\nµm²" in named
    assert not any(text.startswith("depth") for text in named)


def test_flying_to_a_flat_nucleus_stays_in_the_plane_that_is_shown(
    panel: CheckPanel, viewer: Any, qtbot: Any
) -> None:
    run(panel, qtbot)
    viewer.dims.set_current_step(0, 7)
    before = viewer.dims.point[0]
    panel.step(1)
    row = panel.table.current()
    qtbot.waitUntil(
        lambda: np.allclose(viewer.camera.center[1:], (row["y"], row["x"]), atol=0.1), timeout=5000
    )
    assert viewer.dims.point[0] == pytest.approx(before)


def test_the_plane_of_best_focus_is_flown_to(panel: CheckPanel, viewer: Any, qtbot: Any) -> None:
    field = panel.form.projection
    field.setCurrentIndex(field.findData("focus"))
    run(panel, qtbot)
    assert "best focus" in panel.caption.text()
    viewer.dims.set_current_step(0, 0)
    panel.step(1)
    row = panel.table.current()
    qtbot.waitUntil(lambda: viewer.dims.point[0] == pytest.approx(row["z"]), timeout=5000)


def test_the_projection_is_asked_for_beside_a_plane_only(panel: CheckPanel, viewer: Any) -> None:
    assert not panel.form.projection.isHidden()
    panel.form.truth.choose(None)
    assert panel.form.projection.isHidden()
    panel.form.truth.choose(viewer.layers["virtual dapi"])
    assert panel.form.projection.isHidden()


def test_a_click_on_any_plane_finds_the_nucleus(panel: CheckPanel, qtbot: Any) -> None:
    run(panel, qtbot)
    image = panel.outlines.outline_image
    y, x = np.argwhere(panel.result.truth_labels.numpy()[0] == 2)[0]
    assert image.key_at(0, y, x) == image.key_at(13, y, x) == ("truth", 2)


def test_the_report_of_a_plane_is_saved(panel: CheckPanel, tmp_path: Path, qtbot: Any) -> None:
    run(panel, qtbot)
    for kind, name in (("table", "nuclei.csv"), ("figure", "a.png"), ("report", "a.pdf")):
        panel.exports.save(kind, tmp_path / name)
        qtbot.waitUntil(lambda: not panel.exports.runner.running, timeout=30_000)
        assert (tmp_path / name).stat().st_size > 0
    table = (tmp_path / "nuclei.csv").read_text(encoding="utf-8-sig")
    assert "area (µm²)" in table
    assert "maximum projection" in table


def test_a_plane_of_another_size_is_refused_in_words(
    panel: CheckPanel, viewer: Any, qtbot: Any
) -> None:
    viewer.add_layer(Image(np.ones((50, 60), np.uint16), name="other"))
    panel.form.truth.choose(viewer.layers["other"])
    run(panel, qtbot)
    assert panel.result is None
    assert "50 × 60" in panel.bar.sentence.text()


def test_a_flat_pair_is_opened_as_a_stack_and_a_plane(field: Specimen, tmp_path: Path) -> None:
    (pair,) = find_pairs(flat_folder(tmp_path, field))
    layers = result_of(opening_pair(pair)(lambda: False))
    by_name = {attributes["name"]: data for data, attributes, _ in layers}
    assert by_name["field0 QPI"].shape == field.qpi.shape
    assert by_name["field0 DAPI"].shape == field.qpi.shape[1:]


def test_a_plane_is_a_truth_to_train_on(panel: CheckPanel, viewer: Any) -> None:
    choice = PairChoice(PublicOnlyProxy(viewer))
    choice.qpi.choose(viewer.layers["virtual dapi"])
    choice.dapi.choose(viewer.layers["real plane"])
    ((_, stack, plane),) = choice.volumes()
    assert stack.axes == "zyx"
    assert plane.axes == "yx"
    choice.deleteLater()


def test_a_plane_is_the_partner_of_a_stack_that_is_taught() -> None:
    stack = Image(np.zeros((4, 20, 30), np.float32), name="phase")
    plane = Image(np.zeros((20, 30), np.float32), name="nuclei")
    other = Image(np.zeros((20, 31), np.float32), name="elsewhere")

    def is_dapi(layer: Any) -> bool:
        return "nuclei" in str(layer.name)

    def is_label_free(layer: Any) -> bool:
        return "phase" in str(layer.name)

    assert partner_of(stack, [stack, other, plane], is_dapi, is_label_free) is plane
    assert partner_of(stack, [stack, other], is_dapi, is_label_free) is None
