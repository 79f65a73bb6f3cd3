"""A run from outside: stopped through its input, read from its folder, never trained twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tiny
from napari_llcm.cli import json_lines as remote
from napari_llcm.cli.console import explain
from napari_llcm.events import (
    Failed,
    Finished,
    Progress,
    Started,
    Step,
    UserError,
    parse_event,
    result_of,
)
from napari_llcm.models.library import find_model, keep_model, read_info
from napari_llcm.specimen import Specimen, write_specimens
from napari_llcm.training import train
from napari_llcm.training.clock import RunClock
from napari_llcm.training.config import TrainJob
from napari_llcm.training.estimate import estimate
from napari_llcm.training.history import History
from napari_llcm.training.jobs import load_job, save_job
from napari_llcm.training.runs import list_runs, new_events, read_run
from napari_llcm.volumes import write


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    result_of(write_specimens(folder, 1, (16, 48, 48), 500, "easy"))
    return folder


def job(pairs: Path, out: Path, steps: int) -> TrainJob:
    return tiny.job(
        pairs,
        out,
        patch=(8, 16, 16),
        crops=1,
        vae_phase={"steps": 2},
        method_phase={"steps": steps},
        checkpoint_seconds=1,
    )


def child(job: TrainJob, path: Path, stdin: int = subprocess.PIPE) -> subprocess.Popen[str]:
    save_job(job, path)
    command = [sys.executable, "-m", "napari_llcm", "train", str(path), "--events", "-"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=stdin, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["line", "close", "unread"])
def test_a_child_stops_and_keeps_when_told_and_when_nobody_listens(
    pairs: Path, tmp_path: Path, how: str
) -> None:
    stdin = subprocess.DEVNULL if how == "unread" else subprocess.PIPE
    endless = job(pairs, tmp_path / "run", 100_000).model_copy(update={"validations": 0})
    with child(endless, tmp_path / "job.yaml", stdin) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if '"consistency.pt"' in line or "consistency.pt" in line:
                break
        assert read_run(tmp_path / "run").state == "running"
        with pytest.raises(UserError, match="being written by another process"):
            result_of(train(job(pairs, tmp_path / "run", 1), resume=True))
        if how == "line":
            assert process.stdin is not None
            process.stdin.write("stop\n")
            process.stdin.flush()
        else:  # as if napari was killed: nobody listens any more either
            if process.stdin is not None:
                process.stdin.close()
            process.stdout.close()
        assert process.wait(20) == 0
    run = read_run(tmp_path / "run")
    assert run.state == "stopped"
    assert run.can_resume
    assert run.can_stain


def test_a_child_that_cannot_stop_is_ended(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import time, napari_llcm.cli.json_lines as r; r.GRACE = 0.5; "
        "r.watch_input(lambda: None); print('up', flush=True); time.sleep(60)"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        began = time.monotonic()
        process.stdin.close()
        assert process.wait(20) == 3
    assert time.monotonic() - began < 10


def test_nobody_listens_on_a_null_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/null" if sys.platform != "win32" else "nul") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        remote.watch_input(lambda: pytest.fail("must not stop"))
        time.sleep(0.1)


def test_a_failure_is_an_event_too(tmp_path: Path) -> None:
    with child(job(tmp_path / "nothing", tmp_path / "run", 1), tmp_path / "job.yaml") as process:
        assert process.stdout is not None
        last = parse_event(process.stdout.read().splitlines()[-1])
        assert process.wait(60) == 2
    assert isinstance(last, Failed)
    assert "nothing" in last.sentence
    assert "Traceback" in last.detail


def test_a_refused_training_leaves_nothing_where_it_made_it(
    specimen: Specimen, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs"
    write(pairs / "qpi" / "a.ome.tif", specimen.qpi)
    write(pairs / "dapi" / "a.ome.tif", specimen.dapi.replace(data=specimen.dapi.numpy()[:, :-8]))
    for out in (tmp_path / "runs" / "a", tmp_path / "there"):
        if out.name == "there":
            out.mkdir()
        before = sorted(tmp_path.rglob("*"))
        refused = job(pairs, out, 2).model_copy(update={"tensorboard": True})
        with pytest.raises(UserError, match="one shape"):
            result_of(train(refused))
        assert sorted(tmp_path.rglob("*")) == before
    # what a form has begun is its own
    save_job(refused, out / "job.yaml")
    with pytest.raises(UserError, match="one shape"):
        result_of(train(refused, resume=True))
    assert read_run(out).state == "failed"


def test_a_finished_run_is_read_and_its_model_kept(pairs: Path, tmp_path: Path) -> None:
    result_of(train(job(pairs, tmp_path / "runs" / "a", 2)))
    (folder,) = list_runs(tmp_path / "runs")
    run = read_run(folder)
    assert (run.state, run.can_resume, run.can_stain) == ("finished", False, True)
    assert isinstance(run.events[-1], Finished)
    steps = [e for e in run.events if isinstance(e, Step)]
    assert steps[-1].values["memory_gb"] > 0.01
    kept = keep_model(folder / "model", "mine")
    assert find_model("mine") == kept
    assert read_info(kept).name == "mine"


def test_a_killed_run_is_told_from_a_running_one(pairs: Path, tmp_path: Path) -> None:
    run = job(pairs, tmp_path / "run", 100_000)
    events = train(run)
    while not isinstance(next(events), Step):
        pass
    mark = tmp_path / "run" / "running.json"
    left = mark.read_text()
    events.close()
    mark.write_text(left.replace(str(json.loads(left)["pid"]), "4000000"))  # nobody's number
    assert read_run(tmp_path / "run").state == "interrupted"
    mark.write_text(left)  # of this very process, which may go on
    assert read_run(tmp_path / "run").state == "interrupted"
    with pytest.raises(UserError, match="not a run folder"):
        read_run(tmp_path)


def test_events_are_read_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert new_events(tmp_path) == ([], 0)
    path.write_text('{"kind":"notice","text":"a"}\ndamaged\n{"kind":"noti')
    events, end = new_events(tmp_path)
    assert [e.kind for e in events] == ["notice"]
    with path.open("a") as file:
        file.write('ce","text":"b"}\n')
    events, _ = new_events(tmp_path, end)
    assert [e.kind for e in events] == ["notice"]


def test_a_run_can_be_resumed_from_anywhere(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result_of(train(job(pairs, Path("run"), 1)))
    assert load_job(tmp_path / "run" / "job.yaml").out == tmp_path / "run"


def test_the_estimate_counts_steps_and_memory(pairs: Path, tmp_path: Path) -> None:
    told = result_of(estimate(job(pairs, tmp_path / "run", 5)))
    assert told["seconds"]["full"]["all"] > 3 * told["seconds"]["standard"]["all"] > 0
    assert told["memory_bytes"] > 1e7
    assert told["device"] == "cpu"
    assert not (tmp_path / "run").exists()
    asked = iter([True] * 9)
    assert result_of(estimate(job(pairs, tmp_path / "run", 5), lambda: next(asked))) is None


def test_curves_forget_what_a_resumed_run_does_again() -> None:
    history = History()
    for phase, step, value in (
        ("vae", 10, 1.0), ("vae", 20, 0.5), ("vae", 30, 9.0), ("vae", 25, 0.4),
        ("consistency", 5, float("nan")), ("consistency", 10, 2.0),
    ):  # fmt: skip
        event = Step(phase=phase, step=step, values={"loss": value, "val_psnr": value})
        history.see(parse_event(event.to_json()))
    assert history.losses["vae"].steps == [10, 20, 25]
    assert history.losses["vae"].smoothed()[0] == 1.0
    assert history.losses["consistency"].values == [2.0]  # a step that was skipped has no loss
    assert history.offset("consistency") == 25


def test_the_clock_tells_of_the_whole_run(pairs: Path, tmp_path: Path) -> None:
    clock = RunClock(job(pairs, tmp_path, 2), {"vae": 10.0, "consistency": 30.0})
    clock.see(Started(job="train"))
    first = clock.see(Progress(done=0.5, total=1.0, eta=5.0, text="vae step 1"))
    assert isinstance(first, Progress)
    assert first.done == pytest.approx(0.125)
    assert first.eta == pytest.approx(35.0)
    assert first.text.startswith("phase 1 of 2")
    clock.see(Step(phase="consistency", step=1, values={"loss": 1.0}))
    second = clock.see(Progress(done=0.5, total=1.0, eta=15.0, text="consistency step 1"))
    assert isinstance(second, Progress)
    assert second.done == pytest.approx(0.625)
    assert second.eta == pytest.approx(15.0)


def test_a_full_gpu_is_told_in_a_sentence() -> None:
    import torch

    sentence, code = explain(torch.cuda.OutOfMemoryError("CUDA out of memory. Tried …"))
    assert code == 2
    assert "not enough memory" in sentence
