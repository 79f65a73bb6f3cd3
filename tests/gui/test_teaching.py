"""From a stack that the model cannot read to one that it can, in a real viewer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from napari.layers import Layer

from napari_llcm.events import result_of
from napari_llcm.gui.layers.conversion import as_layers
from napari_llcm.gui.panel import WORKBENCH
from napari_llcm.gui.session import session_of
from napari_llcm.gui.train.run_jobs import settling
from napari_llcm.models.familiarity import Verdict
from napari_llcm.models.library import list_models
from napari_llcm.specimen import Specimen, write_specimens
from napari_llcm.training import make_job, train
from napari_llcm.training.config import load_job
from napari_llcm.training.runs import runs_folder
from tiny import NETWORK

CHILD = 300_000  # ms; torch alone takes long to import where the processor is shared
QUICK = {
    "patch": (8, 16, 16),
    "crops": 1,
    "method_phase": {"steps": 2},
    "validations": 1,
    "tensorboard": False,
    "validation_share": 0.0,
}


@pytest.fixture
def viewer(screen: None, make_napari_viewer: Callable[..., Any]) -> Any:
    """A viewer on a screen."""
    return make_napari_viewer(show=True)


@pytest.fixture
def bench(viewer: Any, small_model: Path, small_tiles: None) -> Any:
    """The panels, as napari hands them a proxy of the viewer."""
    _, made = viewer.window.add_plugin_dock_widget(*WORKBENCH)
    made.show_panel("Train").preflight.paused = True
    return made


def add(viewer: Any, volume: Any) -> Any:
    for one in as_layers(volume):
        viewer.add_layer(Layer.create(*one))
    return viewer.layers[-1]


def settle(panel: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not panel.busy, timeout=CHILD)


def test_without_a_dapi_it_says_what_to_load(viewer: Any, bench: Any, specimen: Specimen) -> None:
    qpi = add(viewer, specimen.qpi)
    panel = bench.show_panel("Train")
    panel.teach(qpi, "small", 7.0)
    assert "open it in the Load panel" in panel.view.bar.said
    assert qpi.name in panel.view.bar.said
    options = panel.form.options()
    assert (options.init, options.max_minutes, options.nucleus_um) == ("small", 5, 7.0)
    assert options.name.endswith("-model")
    panel.start()
    assert "two different layers" in panel.view.bar.said
    dapi = add(viewer, specimen.dapi.replace(name="DAPI of it"))
    panel.teach(qpi, "small")
    assert panel.pairs.dapi.layer is dapi
    assert "Press Train" in panel.view.bar.said
    assert panel.form.options().nucleus_um is None


def test_a_bad_verdict_leads_there_by_one_click(
    viewer: Any, bench: Any, specimen: Specimen, qtbot: Any
) -> None:
    qpi, dapi = add(viewer, specimen.qpi), add(viewer, specimen.dapi)
    viewer.window.resize(1280, 800)
    stain = bench.show_panel("Stain")
    stain.form.stack.choose(qpi)
    shown = []
    for value in ("like", "unlike", "unknown", "unreadable"):
        f1 = None if value == "unknown" else 0.3
        stain.form.verdict.tell(Verdict(value=value, model="small", f1=f1))
        shown.append(stain.form.teach.isVisible())
    assert shown == [False, True, False, True]
    qtbot.wait(50)
    assert bench.tabs.currentWidget().horizontalScrollBar().maximum() == 0  # nothing is cut
    stain.form.teach.click()
    assert bench.tabs.tabText(bench.tabs.currentIndex()) == "Train"
    train = bench.show_panel("Train")
    assert (train.pairs.qpi.layer, train.pairs.dapi.layer) == (qpi, dapi)
    options = train.form.options()
    assert (options.init, options.max_minutes) == ("small", 5)


def test_a_stain_is_not_taken_for_the_real_dapi(
    viewer: Any, bench: Any, specimen: Specimen
) -> None:
    qpi = add(viewer, specimen.qpi)
    stain = add(viewer, specimen.dapi.replace(name="nuclei"))
    stain.metadata["napari_llcm"] = {"model": "small", "input": qpi.name}
    panel = bench.show_panel("Train")
    panel.teach(qpi, "small")
    assert "open it in the Load panel" in panel.view.bar.said
    real = add(viewer, specimen.dapi.replace(name="channel 2"))  # a name that tells nothing
    panel.teach(qpi, "small")
    assert panel.pairs.dapi.layer is real


@pytest.mark.slow
def test_taught_it_stains_again_by_one_click(
    viewer: Any, bench: Any, specimen: Specimen, qtbot: Any
) -> None:
    """Teach, Train, Stain again with it: three clicks after the verdict."""
    qpi, _ = add(viewer, specimen.qpi), add(viewer, specimen.dapi)
    panel = bench.show_panel("Train")
    panel.further = dict(QUICK)
    panel.teach(qpi, "small")
    panel.form.device.setCurrentIndex(panel.form.device.findData("cpu"))
    name = panel.form.name.text()
    assert not panel.again.isVisible()
    panel.train.click()
    settle(panel, qtbot)
    job = load_job(runs_folder() / name / "job.yaml")
    assert (job.phases(), job.init, job.max_minutes) == (("consistency",), "small", 5)
    assert name in list_models(), panel.view.bar.detail_text()
    if session_of(viewer).latest_model != name:  # two steps taught it nothing: as if they had
        panel._learned = (qpi, name)
        panel._buttons()
    assert panel.again.isVisible()
    before = list(viewer.layers)
    panel.again.click()
    stain = bench.show_panel("Stain")
    assert stain.form.model.combo.currentData() == name
    assert stain.form.stack.layer is qpi
    qtbot.waitUntil(lambda: not stain.busy, timeout=CHILD)
    (made,) = [layer for layer in viewer.layers if layer not in before]
    assert made.metadata["napari_llcm"]["model"] == name


def test_a_start_that_stays_is_told_and_adds_no_model(tmp_path: Path, small_model: Path) -> None:
    result_of(write_specimens(tmp_path / "pairs", 1, (16, 48, 48), 500, "easy"))
    folder = tmp_path / "run"
    steps = {"steps": 2}
    job = make_job(
        pairs=[tmp_path / "pairs"], out=folder, device="cpu", network=NETWORK, vae_phase=steps,
        method_phase=steps, patch=(8, 16, 16), crops=1, validations=1, tensorboard=False,
    )  # fmt: skip
    result_of(train(job))
    before = list_models()
    events = (folder / "events.jsonl").read_text().splitlines()
    last = {"kind": "finished", "result": {"kept_start": True, "nuclei": {}}}
    (folder / "events.jsonl").write_text("\n".join([*events[:-1], json.dumps(last)]) + "\n")
    told = list(settling(folder))[-1].result
    assert (told["model"], told["better"]) == ("", False)
    assert "stays as it is" in told["sentence"]
    assert list_models() == before
