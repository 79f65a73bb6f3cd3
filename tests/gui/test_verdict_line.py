"""The verdict on a stack in the Stain panel: asked for, or told by staining; it stays in sight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QPushButton

from napari_llcm.gui.layers.conversion import KEY
from napari_llcm.gui.settings import remember
from napari_llcm.gui.stain.model_picker import ModelPicker
from napari_llcm.gui.stain.panel import StainPanel
from napari_llcm.models import read_info
from napari_llcm.models.bundle import write_info
from napari_llcm.models.library import DEFAULT_MODEL
from napari_llcm.models.taught import Taught
from napari_llcm.specimen import make_specimen
from napari_llcm.tasks.registry import STAIN
from napari_llcm.volumes import read

pytestmark = pytest.mark.usefixtures("screen")


@pytest.fixture
def panel(make_napari_viewer_proxy: Any, own_home: Path) -> StainPanel:
    remember("stain", model="specimen-v6")
    viewer = make_napari_viewer_proxy(show=True)
    own = make_specimen(size=(24, 96, 96), seed=77).qpi
    look = {"scale": own.spacing, "units": "um"}
    noise = np.random.default_rng(0).standard_normal(own.shape).astype(np.float32)
    viewer.add_image(noise, name="noise", **look)
    viewer.add_image(own.numpy(), name="QPI", **look)
    made = StainPanel(viewer)
    viewer.window.add_dock_widget(made, name="Stain")
    return made


def finish(panel: StainPanel, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=120_000)


def test_who_has_chosen_no_model_gets_the_default(panel: StainPanel) -> None:
    assert panel.form.model.combo.currentData() == "specimen-v6"  # as remembered
    for remembered in ("", "a model that was deleted"):
        remember("stain", model=remembered)
        fresh = ModelPicker(panel._session)
        assert fresh.combo.currentData() == DEFAULT_MODEL


def test_a_verdict_is_asked_for_and_stays_with_its_stack(panel: StainPanel, qtbot: Any) -> None:
    line, layers = panel.form.verdict, panel._viewer.layers
    button = QPushButton("Lead on")
    line.place(button)
    told: list[str] = []
    line.changed.connect(told.append)
    panel.form.stack.choose(layers["QPI"])
    assert line.value == ""
    assert line.check.isVisibleTo(panel)
    assert not line.sentence.isVisibleTo(panel)
    line.check.click()
    finish(panel, qtbot)
    assert line.value == "like"
    assert "✓ Like what specimen-v6 knows" in line.sentence.text()
    assert not line.check.isVisibleTo(panel)
    assert button.isVisibleTo(panel)
    panel.form.stack.choose(layers["noise"])
    assert line.value == ""
    line.check.click()
    finish(panel, qtbot)
    assert line.value == "unreadable"
    assert "✗ Nothing that specimen-v6 can read" in line.sentence.text()
    panel.form.stack.choose(layers["QPI"])
    assert line.value == "like"
    assert told == ["like", "", "unreadable", "like"]
    layers["QPI"].data = -layers["QPI"].data  # another stack now
    assert line.value == ""


def test_staining_tells_it_too_and_the_layer_and_its_file_keep_it(
    panel: StainPanel, qtbot: Any, tmp_path: Path
) -> None:
    line, layers = panel.form.verdict, panel._viewer.layers
    panel.form.stack.choose(layers["noise"])
    panel.form.start.click()
    finish(panel, qtbot)
    assert line.value == "unreadable"
    assert "Nothing that specimen-v6 can read" in panel.bar.said
    assert layers[STAIN.result].metadata[KEY]["input_check"]["value"] == "unreadable"
    (saved,) = layers[STAIN.result].save(str(tmp_path / "saved.ome.zarr"), plugin="napari-llcm")
    assert read(saved).metadata["input_check"]["value"] == "unreadable"


@pytest.mark.usefixtures("small_model", "small_tiles")
def test_a_model_that_was_not_calibrated_says_that_it_cannot_tell(
    panel: StainPanel, qtbot: Any
) -> None:
    panel.form.model.fill("small")
    panel.form.verdict.check.click()
    finish(panel, qtbot)
    assert panel.form.verdict.value == "unknown"
    assert "cannot tell" in panel.form.verdict.sentence.text()


@pytest.mark.slow
@pytest.mark.usefixtures("small_tiles")
def test_a_taught_model_says_at_once_what_it_was_taught_on(
    panel: StainPanel, small_model: Path, qtbot: Any
) -> None:
    taught = Taught(pairs=("cells",), where="in a held-out part of cells", f1=0.93, nuclei=41)
    write_info(small_model, read_info(small_model).model_copy(update={"taught": taught}))
    panel.form.stack.choose(panel._viewer.layers["QPI"])
    line = panel.form.verdict
    assert line.check.isVisibleTo(panel)
    panel.form.model.fill("small")
    assert line.value == "taught"
    assert "small was taught on cells: nuclei F1 0.93 in a held-out part" in line.sentence.text()
    assert "another microscope or scanner there is no verdict" in line.sentence.text()
    assert not line.check.isVisibleTo(panel)
    assert not panel.form.teach.isVisibleTo(panel)
    panel.form.start.click()
    finish(panel, qtbot)
    assert panel._viewer.layers[STAIN.result].metadata[KEY]["input_check"]["knows"] == taught.words
    panel.form.model.fill("specimen-v6")
    assert line.value == ""
    assert line.check.isVisibleTo(panel)
