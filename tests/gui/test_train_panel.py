"""The Train panel in a real viewer: a child trains, is stopped, killed, resumed, watched."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from napari.layers import Layer
from qtpy.QtCore import QProcess

from napari_llcm.events import Step, result_of
from napari_llcm.gui.layers.conversion import as_layers
from napari_llcm.gui.session import session_of
from napari_llcm.gui.train.panel import TrainPanel
from napari_llcm.gui.train.run_jobs import settling
from napari_llcm.models.library import DEFAULT_MODEL, list_models
from napari_llcm.specimen import Specimen, write_specimens
from napari_llcm.training import train
from napari_llcm.training.jobs import load_job, save_job
from napari_llcm.training.runs import read_run, run_state, runs_folder
from tiny import NETWORK

TINY = {
    "network": NETWORK.model_dump(),
    "patch": (8, 16, 16),
    "crops": 1,
    "vae_phase": {"steps": 2},
    "method_phase": {"steps": 2},
    "validations": 1,
    "checkpoint_seconds": 1,
    "tensorboard": False,
}
# stopped by the test; no nuclei are counted, which takes longer than all else
LONG = {**TINY, "method_phase": {"steps": 1_000_000}, "validations": 0}
CHILD = 300_000  # ms; torch alone takes long to import where the processor is shared


@pytest.fixture
def viewer(screen: None, make_napari_viewer: Callable[..., Any]) -> Any:
    """A viewer on a screen."""
    return make_napari_viewer(show=True)


@pytest.fixture
def panel(viewer: Any, specimen: Specimen, qtbot: Any) -> Any:
    """A panel on an open pair, which trains something tiny."""
    for volume in (specimen.qpi, specimen.dapi):
        for one in as_layers(volume):
            viewer.add_layer(Layer.create(*one))
    made = _panel(viewer)
    yield made
    made.preflight.stop()
    made.watcher.stop()
    made.child.kill()
    qtbot.waitUntil(lambda: not (made.child.running or made.runner.running), timeout=20_000)
    qtbot.waitUntil(lambda: not made.preflight.estimator.running, timeout=20_000)
    qtbot.waitUntil(lambda: not made.preflight.checker.running, timeout=20_000)


def _panel(viewer: Any) -> TrainPanel:
    _, made = viewer.window.add_plugin_dock_widget("napari-llcm", "Train")  # hands it a proxy
    made.preflight.paused = True  # it is looked at in a test of its own
    made.form.device.setCurrentIndex(made.form.device.findData("cpu"))
    made.form.init.setCurrentIndex(made.form.init.findText("nothing"))
    made.further = dict(TINY)
    return made


def begin(panel: TrainPanel, qtbot: Any, further: dict[str, Any], until: str) -> None:
    """Start a training and wait until its folder holds a checkpoint."""
    panel.further = further
    panel.start()
    path = runs_folder() / panel.form.name.text() / "checkpoints" / until
    qtbot.waitUntil(lambda: path.exists() or not panel.busy, timeout=CHILD)
    assert panel.child.running, panel.view.bar.detail_text()


def wait(panel: TrainPanel, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not panel.busy, timeout=CHILD)


@pytest.mark.slow
def test_a_quick_training_ends_as_a_model_in_the_stain_panel(
    panel: TrainPanel, viewer: Any, qtbot: Any
) -> None:
    panel.form.name.setText("mine")
    panel.form.preset.setCurrentIndex(0)
    panel.start()
    assert not panel.train.isEnabled()
    wait(panel, qtbot)
    # after two steps it finds nothing: it is kept, but nobody's stack is stained with it unasked
    assert "model mine finds 0 of" in panel.view.bar.said, panel.view.bar.detail_text()
    assert f"{DEFAULT_MODEL} finds" in panel.view.bar.said
    assert "not chosen" in panel.view.bar.said
    assert session_of(viewer).latest_model == ""
    assert "mine" in list_models()
    assert set(panel.view.curves.history.losses) == {"vae", "consistency"}
    assert panel.view.preview.shown
    assert panel.train.isEnabled()
    assert not panel.resume.isVisible()
    assert panel.form.name.text() == "mine-2"
    assert panel.form.init.findData("mine") >= 0
    job = load_job(runs_folder() / "mine" / "job.yaml")
    assert job.pairs == [runs_folder() / "mine" / "pairs"]
    panel.form.name.setText("mine")
    panel.start()
    assert "choose another name" in panel.view.bar.said


def test_a_training_goes_on_from_the_shipped_model(viewer: Any, own_home: Path) -> None:
    form = TrainPanel(viewer).form
    assert form.options().init == DEFAULT_MODEL
    form.method.setCurrentIndex(form.method.findData("regression"))  # takes its autoencoder
    assert form.options().init == DEFAULT_MODEL
    form.method.setCurrentIndex(form.method.findData("pix2pix"))  # which has none
    assert form.options().init is None
    assert form.init.count() == 1


def test_a_branch_is_offered_beside_a_model_of_the_method(viewer: Any, own_home: Path) -> None:
    form = TrainPanel(viewer).form
    assert not form.options().control
    form.control.setChecked(True)
    assert form.options().control
    form.method.setCurrentIndex(form.method.findData("regression"))  # the model is no such
    assert not form.control.isEnabled()
    assert not form.options().control
    form.method.setCurrentIndex(form.method.findData("llcm"))
    assert form.options().control
    form.remember()
    assert TrainPanel(viewer).form.options().control
    form.init.setCurrentIndex(form.init.findText("nothing"))
    assert not form.options().control


@pytest.mark.versions
def test_the_better_model_is_chosen_and_told(tmp_path: Path, own_home: Path) -> None:
    folder = tmp_path / "run"
    result_of(write_specimens(tmp_path / "pairs", 1, (16, 48, 48), 500, "easy"))
    result_of(train(job_of(tmp_path / "pairs", folder)))
    events = (folder / "events.jsonl").read_text().splitlines()
    for f1, better in ((0.9, True), (0.7, False)):
        counted = {"found": 9, "real": 10, "hallucinated": 2, "f1": f1, "held_out": True}
        counted["reference"] = {"name": "other", "found": 8, "real": 10, "f1": 0.8}
        last = {"kind": "finished", "result": {"nuclei": counted}}
        (folder / "events.jsonl").write_text("\n".join([*events[:-1], json.dumps(last)]) + "\n")
        told = list(settling(folder))[-1].result
        assert told["model"] == "run"
        assert told["better"] is better
        assert "finds 9 of 10 nuclei in held-out volumes and makes up 2" in told["sentence"]
        assert "other finds 8" in told["sentence"]
        assert ("not chosen" in told["sentence"]) is not better


@pytest.mark.slow
def test_stopped_it_is_kept_and_resumed_and_discarded(panel: TrainPanel, qtbot: Any) -> None:
    begin(panel, qtbot, LONG, "consistency.pt")
    pid = panel.child.pid
    panel.view.bar.cancel.click()
    wait(panel, qtbot)
    assert not psutil.pid_exists(pid)
    assert "Stopped: model my-model" in panel.view.bar.said
    assert "my-model" in list_models()
    assert panel.resume.isVisible()
    panel.resume.click()
    qtbot.waitUntil(lambda: panel.child.running, timeout=5000)
    answers = iter([False, True])
    panel.ask = lambda *_: next(answers)
    panel.discard.click()
    assert panel.child.running  # the question was answered with no
    panel.discard.click()
    wait(panel, qtbot)
    assert not (runs_folder() / "my-model").exists()
    assert "Discarded" in panel.view.bar.said


@pytest.mark.slow
def test_a_killed_child_goes_on_and_killed_again_is_told_in_a_sentence(
    panel: TrainPanel, qtbot: Any
) -> None:
    begin(panel, qtbot, LONG, "consistency.pt")
    first, steps = panel.child.pid, list[Step]()
    panel.child.event.connect(lambda e: steps.append(e) if isinstance(e, Step) else None)
    psutil.Process(first).kill()
    qtbot.waitUntil(lambda: panel.child.pid not in (0, first), timeout=20_000)
    assert "started again" in panel.view.bar.said
    steps.clear()
    qtbot.waitUntil(lambda: bool(steps), timeout=CHILD)
    assert steps[0].phase == "consistency"  # not from the start
    psutil.Process(panel.child.pid).kill()
    wait(panel, qtbot)
    assert "press Resume" in panel.view.bar.sentence.text()
    assert "Traceback" not in panel.view.bar.sentence.text()
    path = runs_folder() / "my-model"
    assert run_state(path) == "interrupted"
    job = load_job(path / "job.yaml")
    steps = job.method_phase.model_copy(update={"steps": 1})  # what was done is enough
    panel._run = read_run(path)
    panel._run.job.method_phase = steps
    panel.go_on()
    wait(panel, qtbot)
    assert "model my-model" in panel.view.bar.said, panel.view.bar.detail_text()


@pytest.mark.slow
def test_a_run_left_from_yesterday_is_opened(viewer: Any, panel: TrainPanel, qtbot: Any) -> None:
    pairs = runs_folder().parent / "pairs"
    result_of(write_specimens(pairs, 1, (16, 48, 48), 500, "easy"))
    folder = runs_folder() / "yesterday"
    folder.mkdir(parents=True)
    job = job_of(pairs, folder)
    save_job(job, folder / "job.yaml")
    lines = [
        {"kind": "started", "job": "train"},
        {"kind": "step", "phase": "vae", "step": 1, "values": {"loss": 0.5, "val_psnr": 20.0}},
        {"kind": "step", "phase": "vae", "step": 2, "values": {"loss": 0.4, "memory_gb": 1.0}},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "events.jsonl").write_text(text + '{"kind":"st')
    panel.list_runs()
    index = panel.earlier.runs.findText("yesterday (interrupted)")
    assert index >= 0
    panel.earlier.runs.setCurrentIndex(index)
    panel.earlier.runs.activated.emit(index)
    wait(panel, qtbot)
    assert "press Resume" in panel.view.bar.said
    assert panel.view.curves.history.losses["vae"].values == [0.5, 0.4]
    assert panel.resume.isVisible()
    panel.resume.click()
    wait(panel, qtbot)
    assert "model yesterday" in panel.view.bar.said, panel.view.bar.detail_text()
    panel.open(folder / "pairs")
    wait(panel, qtbot)
    assert "not a run folder" in panel.view.bar.said


def job_of(pairs: Path, out: Path) -> Any:
    from napari_llcm.training import make_job

    return make_job("quick", pairs=[pairs], out=out, device="cpu", **TINY | {"validations": 0})


@pytest.mark.slow
def test_a_run_of_another_program_is_watched(panel: TrainPanel, qtbot: Any) -> None:
    pairs = runs_folder().parent / "pairs"
    result_of(write_specimens(pairs, 1, (16, 48, 48), 500, "easy"))
    folder = runs_folder() / "elsewhere"
    job = job_of(pairs, folder).model_copy(
        update={"method_phase": job_of(pairs, folder).method_phase.model_copy(
            update={"steps": 1_000_000})}
    )  # fmt: skip
    path = pairs / "job.yaml"
    save_job(job, path)
    other = QProcess()
    other.start(sys.executable, ["-m", "napari_llcm", "train", str(path), "--events", "-"])
    try:
        begun = folder / "checkpoints" / "consistency.pt"
        qtbot.waitUntil(begun.exists, timeout=CHILD)
        panel.open(folder)
        qtbot.waitUntil(lambda: panel.watcher.running, timeout=10_000)
        assert "going on" in panel.view.title.text()
        assert not panel.resume.isVisible()
        assert not panel.discard.isVisible()
    finally:
        other.closeWriteChannel()  # as if its program had gone
        qtbot.waitUntil(lambda: other.state() == QProcess.ProcessState.NotRunning, timeout=60_000)
    qtbot.waitUntil(lambda: not panel.watcher.running, timeout=10_000)
    wait(panel, qtbot)
    assert "stopped" in panel.view.title.text()
    assert panel.resume.isVisible()


@pytest.mark.slow
def test_closing_asks_and_saves(
    panel: TrainPanel, viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(panel, qtbot, LONG, "consistency.pt")
    pid = panel.child.pid
    asked: list[str] = []
    panel.ask = lambda _, title, *__: bool(asked.append(title))
    window = viewer.window._qt_window
    assert not window.close()
    assert asked == ["Stop the training?"]
    assert panel.child.running
    panel.ask = lambda *_: True
    with monkeypatch.context() as napari:  # its own question, asked after ours, is answered by no
        napari.setattr(type(window), "closeEvent", lambda _, event: event.ignore())
        assert not window.close()
    assert panel.child.running
    assert not panel.child.stopping
    # the filter alone: the fixture closes the viewer itself
    panel.child.stop_and_wait()
    assert not psutil.pid_exists(pid)
    assert run_state(runs_folder() / "my-model") == "stopped"
    wait(panel, qtbot)


def test_a_training_goes_on_when_its_dock_is_closed(
    panel: TrainPanel, viewer: Any, qtbot: Any
) -> None:
    panel.further = LONG
    panel.start()
    qtbot.waitUntil(lambda: panel.child.running, timeout=CHILD)
    pid = panel.child.pid
    panel.parent().destroyOnClose()  # what the x in its title calls
    qtbot.wait(100)
    assert panel.child.pid == pid
    _, bench = viewer.window.add_plugin_dock_widget("napari-llcm", "Virtual staining (LLCM)")
    shown = bench.show_panel("Train")
    assert shown.child.pid == pid
    assert "going on" in shown.view.title.text()
    qtbot.waitUntil(shown.view.bar.cancel.isVisible, timeout=10_000)  # once the dock is there
    shown.child.kill()
    wait(shown, qtbot)
    assert not psutil.pid_exists(pid)


@pytest.mark.slow
def test_a_killed_napari_leaves_no_orphan(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs"
    result_of(write_specimens(pairs, 1, (16, 48, 48), 500, "easy"))
    job = job_of(pairs, tmp_path / "run")
    job.method_phase.steps, job.validations = 1_000_000, 0
    save_job(job, tmp_path / "job.yaml")
    code = (
        "import sys; from qtpy.QtCore import QCoreApplication; "
        "from napari_llcm.gui.jobs.child_process import ChildRunner; app = QCoreApplication([]); "
        "child = ChildRunner(); "
        "child.start_child(['train', sys.argv[1], '--events', '-']); app.exec()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "job.yaml")]
    with subprocess.Popen(command) as parent:
        begun = tmp_path / "run" / "checkpoints" / "consistency.pt"
        _until(begun.exists)
        # a virtual environment on Windows puts a launcher in between
        child = psutil.Process(parent.pid).children(recursive=True)[-1]
        parent.kill()
    _until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    run = read_run(tmp_path / "run")
    assert run.state == "stopped"  # it has saved all it had
    assert run.can_stain


def _until(done: Callable[[], bool]) -> None:
    ends = time.monotonic() + CHILD / 1000
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.1)


@pytest.mark.versions
def test_pairs_are_looked_at_and_timed(panel: TrainPanel, qtbot: Any) -> None:
    panel.preflight.paused = False
    panel.preflight.look_soon()
    qtbot.waitUntil(lambda: bool(panel.pairs.verdict.text()), timeout=5000)
    qtbot.waitUntil(lambda: not panel.preflight.checker.running, timeout=60_000)
    assert panel.preflight.estimator.running  # on the full-sized networks: not waited for
    panel.pairs.dapi.choose(panel.pairs.qpi.layer)
    panel.start()
    assert "two different layers" in panel.view.bar.said
    panel.pairs.set_folder(Path("nowhere"))
    qtbot.waitUntil(lambda: "nowhere" in panel.pairs.verdict.text(), timeout=20_000)
