"""The width of nuclei in the Stain panel: set, told, minded, and never taken for another unit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_llcm.gui.layers.conversion import KEY
from napari_llcm.gui.stain.panel import StainPanel
from napari_llcm.models import read_info
from napari_llcm.models.bundle import write_info
from napari_llcm.models.width_model import WidthModel
from napari_llcm.tasks.registry import STAIN

pytestmark = pytest.mark.usefixtures("screen", "small_tiles")
SPACING = (0.5, 0.25, 0.25)


@pytest.fixture
def panel(make_napari_viewer_proxy: Any, small_model: Path, qtbot: Any) -> StainPanel:
    viewer = make_napari_viewer_proxy(show=True)
    info = read_info(small_model)
    write_info(small_model, info.model_copy(update={"nucleus_um": 8.0}))
    data = np.random.default_rng(1).normal(size=(8, 48, 48)).astype(np.float32)
    viewer.add_image(data, name="QPI", scale=SPACING, units="um")
    viewer.add_image(data, name="no size")
    made = StainPanel(viewer)
    viewer.window.add_dock_widget(made, name="Stain")
    made.form.stack.choose(made._viewer.layers["QPI"])
    return made


def stain(panel: StainPanel, qtbot: Any) -> None:
    panel.form.start.click()
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=60_000)


def test_a_width_makes_another_stain_and_stands_in_its_record(
    panel: StainPanel, qtbot: Any
) -> None:
    viewer, box = panel._viewer, panel.form.width_row.box
    assert (box.text(), box.isEnabled()) == ("as the model's", True)
    assert "8 µm wide" in box.toolTip()
    stain(panel, qtbot)
    plain = viewer.layers[STAIN.result]
    assert "nucleus_um" not in plain.metadata[KEY]
    before = np.array(plain.data)
    box.setValue(6.0)
    assert box.text() == "6.00 µm"
    stain(panel, qtbot)
    scaled = next(x for x in viewer.layers if x.name.startswith(STAIN.result) and x is not plain)
    assert scaled.metadata[KEY]["nucleus_um"] == 6.0
    assert tuple(scaled.metadata[KEY]["resampled_by"]) == (0.75, 0.75, 0.75)
    assert (plain.visible, scaled.visible) == (False, True)
    np.testing.assert_array_equal(plain.data, before)  # what was there is not painted over
    assert np.abs(scaled.data - before).max() > 1
    box.setValue(0.5)
    stain(panel, qtbot)
    assert "2.0 pixels wide" in panel.bar.sentence.text()


def test_a_width_is_in_the_unit_of_its_stack(panel: StainPanel, qtbot: Any) -> None:
    viewer, box = panel._viewer, panel.form.width_row.box
    box.setValue(6.0)
    panel.form.stack.choose(viewer.layers["no size"])
    assert box.value() == 0.0  # 6 µm are not 6 pixels
    box.setValue(24.0)
    assert box.text() == "24.00 pixels"
    stain(panel, qtbot)
    assert "planes are taken as they are" in panel.bar.said
    record = viewer.layers[STAIN.result].metadata[KEY]
    assert (record["nucleus_um"], tuple(record["resampled_by"])) == (24.0, (1.0, 0.75, 0.75))


def test_the_width_is_estimated_by_a_click(
    panel: StainPanel, small_model: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = panel.form.width_row
    assert not row.button.isVisible()  # the model cannot tell
    info, many = read_info(small_model), (0.0,) * 8
    known = WidthModel(centre=many, scale=(1.0,) * 8, weights=many, bias=0, sure=1, error=0.4)
    write_info(small_model, info.model_copy(update={"width_model": known}))
    panel.form.model.fill()
    assert row.button.isVisible()
    monkeypatch.setattr("napari_llcm.staining.estimate_width.agreed", lambda *_: (3.5, 0.1))
    row.button.click()
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=60_000)
    assert "look about 2.83 µm wide" in panel.bar.said
    assert row.box.value() == pytest.approx(2**3.5 * 0.25, abs=0.01)
    monkeypatch.setattr("napari_llcm.staining.estimate_width.agreed", lambda *_: (3.5, 1.1))
    row.button.click()
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=60_000)
    assert row.box.value() == pytest.approx(2**3.5 * 0.25, abs=0.01)
    assert "cannot be told" in panel.bar.said


def test_a_model_that_tells_no_width_takes_none(
    panel: StainPanel, small_model: Path, qtbot: Any
) -> None:
    box = panel.form.width_row.box
    box.setValue(6.0)
    info = read_info(small_model)
    write_info(small_model, info.model_copy(update={"nucleus_um": None}))
    panel.form.model.fill()
    assert not box.isEnabled()
    assert "does not tell how wide" in box.toolTip()
    stain(panel, qtbot)
    assert "nucleus_um" not in panel._viewer.layers[STAIN.result].metadata[KEY]
