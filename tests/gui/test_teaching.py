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
from napari_llcm.gui.train.teaching import Learned
from napari_llcm.models import read_info
from napari_llcm.models.bundle import write_info
from napari_llcm.models.familiarity import Verdict
from napari_llcm.models.library import list_models
from napari_llcm.specimen import Specimen, write_specimens
from napari_llcm.training import make_job, train
from napari_llcm.training.jobs import load_job
from napari_llcm.training.runs import runs_folder
from tiny import NETWORK

CHILD = 300_000  # ms; torch alone takes long to import where the processor is shared
QUICK = {
    "patch": (8, 16, 16),
    "crops": 1,
    "method_phase": {"steps": 2},
    "validations": 0,  # no nuclei are counted, which takes longer than all else
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


def test_a_width_in_pixels_stays_one(viewer: Any, bench: Any, specimen: Specimen) -> None:
    add(viewer, specimen.dapi)
    silent = add(viewer, specimen.qpi.replace(spacing=None, name="no voxel size"))
    known = add(viewer, specimen.qpi)
    panel = bench.show_panel("Train")
    shown = panel.form.nucleus
    panel.teach(silent, "small", 15.0)
    assert (shown.value(), shown.suffix()) == (15.0, " pixels")
    panel.pairs.qpi.choose(known)
    assert (shown.value(), shown.suffix()) == (0.0, " µm")  # 15 pixels are not 15 µm
    panel.teach(known, "small", 7.0)
    assert (shown.value(), shown.suffix()) == (7.0, " µm")


def test_a_chosen_layer_that_is_gone_makes_room_for_a_better_guess(
    viewer: Any, bench: Any, specimen: Specimen
) -> None:
    qpi, dapi = add(viewer, specimen.qpi), add(viewer, specimen.dapi)
    panel = bench.show_panel("Train")
    panel.teach(qpi, "small")
    assert panel.pairs.dapi.layer is dapi
    viewer.layers.remove(dapi)
    better = add(viewer, specimen.dapi.replace(name="DAPI anew"))
    assert panel.pairs.dapi.layer is better


def test_pairs_that_do_not_fit_leave_no_training_behind(
    viewer: Any, bench: Any, specimen: Specimen, qtbot: Any
) -> None:
    qpi = add(viewer, specimen.qpi)
    small = specimen.dapi.replace(data=specimen.dapi.numpy()[:, :-8])
    dapi = add(viewer, small)
    panel = bench.show_panel("Train")
    panel.teach(qpi, "small")
    assert "not clear, or none is" in panel.view.bar.said
    name = panel.form.name.text()
    panel.pairs.dapi.choose(dapi)
    for _ in range(2):  # the second try is not told that the name is taken
        panel.train.click()
        settle(panel, qtbot)
        assert "one shape" in panel.view.bar.said
        assert panel.view.title.text() == ""
        assert not panel.resume.isVisible()
        assert not panel.discard.isVisible()
        assert not (runs_folder() / name).exists()


@pytest.mark.parametrize(
    ("open_layers", "chosen"),
    [
        (["field1 qpi", "field1 dapi", "field2 qpi", "field2 dapi"], "field2 dapi"),
        (["field1 qpi", "field1 dapi", "field2 qpi"], None),  # that one is of field 1
        (["plate 31", "plate 31 [1]"], "plate 31"),  # only one is left
        (["other dapi", "third dapi", "field2 qpi"], None),  # which of both is not told
    ],
)
def test_of_several_the_stack_s_own_dapi_is_chosen_or_none(
    viewer: Any, bench: Any, specimen: Specimen, open_layers: list[str], chosen: str | None
) -> None:
    for name in open_layers:
        stack = add(viewer, specimen.qpi.replace(name=name))
    stack = next((one for one in viewer.layers if one.name == "field2 qpi"), stack)
    panel = bench.show_panel("Train")
    panel.teach(stack, "small")
    assert panel.pairs.qpi.layer is stack
    if chosen is None:
        assert "open it in the Load panel" in panel.view.bar.said
    else:
        assert panel.pairs.dapi.layer.name == chosen
        assert "Press Train" in panel.view.bar.said


def test_it_stains_again_as_it_learned_and_not_while_another_stain_goes_on(
    viewer: Any,
    bench: Any,
    specimen: Specimen,
    small_model: Path,
    qtbot: Any,
) -> None:
    """The width set in the Stain panel meanwhile is not the one that was learned by."""
    write_info(small_model, read_info(small_model).model_copy(update={"nucleus_um": 7.6}))
    qpi = add(viewer, specimen.qpi.replace(data=specimen.qpi.numpy()[:8, :32, :32]))
    panel, stain = bench.show_panel("Train"), bench.show_panel("Stain")
    for width in (9.0, None):
        panel._learned = Learned(qpi, "small", width)
        stain.form.width_row.box.setValue(4.0)
        panel.stain_again()
        assert stain.form.width_row.width == width
        stain.form.width_row.box.setValue(4.0)
        panel.stain_again()
        assert "Stain again with it in the Train panel once more" in stain.bar.said
        assert stain.form.width_row.width == 4.0  # nothing was changed under the job
        qtbot.waitUntil(lambda: not stain.busy, timeout=CHILD)
        made = viewer.layers[-1].metadata["napari_llcm"]
        assert made.get("nucleus_um") == width
    viewer.layers.remove(qpi)
    count = len(viewer.layers)
    panel.stain_again()
    assert "no longer open" in stain.bar.said
    assert len(viewer.layers) == count
    assert not stain.busy


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
        panel._learned = Learned(qpi, name, None)
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
    # ended from outside, as where a stop is not answered
    (folder / "events.jsonl").write_text("\n".join(events[:-1]) + "\n")
    told = list(settling(folder))[-1].result
    assert (told["model"], told["better"]) == ("", False)
    assert "press Resume" in told["sentence"]
    assert list_models() == before
