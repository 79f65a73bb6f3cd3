"""Jobs in a process of their own: their events, their arrays, their ends, and its death."""

from __future__ import annotations

import ast
import ctypes
import gc
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import dask.array as da
import numpy as np
import psutil
import pytest

import napari_llcm
from napari_llcm.events import Failed, Finished, Job, Notice, Progress, ShouldStop, UserError
from napari_llcm.volumes import Volume, read, read_errors, slices, write
from napari_llcm.worker import COMPUTER, READER, Elsewhere, Linked, Live, Workers, zeros
from napari_llcm.worker.mapped import handle_of
from napari_llcm.worker.process import Worker

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the worker knows no tests

WINDOW = ("qtpy", "napari")  # on Windows torch cannot be imported after Qt


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.end()
    made.wait(10)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    made = Workers()
    monkeypatch.setattr("napari_llcm.worker.elsewhere.workers", made)
    yield made
    made.end_all()


def value_of(job: Job) -> Any:
    ends = [e for e in job if isinstance(e, Finished | Failed)]
    assert len(ends) == 1
    assert isinstance(ends[0], Finished), ends[0]
    return ends[0].value


def counting(count: int, stop: ShouldStop) -> Job:
    for i in range(count):
        yield Progress(done=i, total=count)
    yield Finished(result={"pid": os.getpid()}, value=count)


@pytest.mark.versions
def test_a_job_tells_the_same_events_from_another_process(worker: Worker) -> None:
    here = list(counting(300, never))
    there = list(worker.run(partial(counting, 300), never))
    assert there[:-1] == here[:-1]
    assert there[-1].value == 300
    assert there[-1].result["pid"] == worker.pid != os.getpid()
    assert worker.idle


def test_what_goes_wrong_is_a_sentence_with_details(worker: Worker) -> None:
    def failing(stop: ShouldStop) -> Job:
        yield Notice(text="a notice")
        raise UserError("Give a file that exists.")

    notice, failed = worker.run(failing, never)
    assert isinstance(notice, Notice)
    assert failed.sentence == "Give a file that exists."
    assert "failing" in failed.detail

    def unspeakable(stop: ShouldStop) -> Job:
        yield Finished(value=threading.Lock())

    (failed,) = worker.run(unspeakable, never)
    assert "report" in failed.sentence


def test_what_libraries_print_is_no_message(worker: Worker) -> None:
    def printing(stop: ShouldStop) -> Job:
        print("a library that prints")
        os.write(1, b"to the file descriptor")
        yield Finished(value=sys.stdin.read())

    assert value_of(worker.run(printing, never)) == ""


def test_two_jobs_go_on_side_by_side_and_the_next_after_them(worker: Worker) -> None:
    def meeting(barrier: Path, mine: str, other: str, stop: ShouldStop) -> Job:
        (barrier / mine).touch()
        while not (barrier / other).exists():
            time.sleep(0.01)
        yield Finished(value=mine)

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        found: list[str] = []
        jobs = [partial(meeting, Path(folder), *names) for names in (("a", "b"), ("b", "a"))]
        threads = [
            threading.Thread(target=lambda j=job: found.append(value_of(worker.run(j, never))))
            for job in jobs
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert sorted(found) == ["a", "b"]
    assert value_of(worker.run(partial(counting, 1), never)) == 1


@pytest.mark.versions
def test_large_arrays_are_seen_by_both_and_removed_with_the_last(worker: Worker) -> None:
    def painting(canvas: np.ndarray, source: np.ndarray, stop: ShouldStop) -> Job:
        canvas[1:3] = source[..., ::-1]
        yield Progress(done=1, total=1)
        yield Finished(value=(canvas[2:0:-1].transpose(0, 2, 1), canvas + 1))

    canvas = zeros((4, 256, 512))
    path = handle_of(canvas).path  # type: ignore[union-attr]
    source = np.random.default_rng(0).normal(size=(2, 256, 512)).astype(np.float32)
    view, more = value_of(worker.run(partial(painting, canvas, source), never))
    np.testing.assert_array_equal(canvas[1:3], source[..., ::-1])
    assert np.shares_memory(view, canvas)
    np.testing.assert_array_equal(view, canvas[2:0:-1].transpose(0, 2, 1))
    np.testing.assert_array_equal(more, canvas + 1)
    files = [path, handle_of(more).path]  # type: ignore[union-attr]
    assert all(Path(p).exists() for p in files)
    del canvas, view, more
    if sys.platform != "win32":
        assert not any(Path(p).exists() for p in files)


def test_a_mapped_file_of_the_user_is_read_by_its_path_and_stays(
    worker: Worker, tmp_path: Path
) -> None:
    path = tmp_path / "own.dat"
    own = np.memmap(path, np.int32, "w+", shape=(64, 1000))
    own[:] = np.arange(64_000).reshape(64, 1000)
    own.flush()
    seen = np.memmap(path, np.int32, "r", offset=4000, shape=(63, 1000))

    def adding(data: np.ndarray, stop: ShouldStop) -> Job:
        yield Finished(value=(int(data.sum(dtype=int)), data.flags.writeable))

    found = value_of(worker.run(partial(adding, seen[::2]), never))
    assert found == (int(seen[::2].sum(dtype=int)), False)
    assert path.exists()


def test_a_job_that_is_asked_to_stop_ends_and_keeps_its_end(worker: Worker) -> None:
    def patient(stop: ShouldStop) -> Job:
        yield Progress(done=0, total=1)
        while not stop():
            time.sleep(0.01)
        yield Finished(result={"stopped": True})

    asked = threading.Event()
    job, began = worker.run(patient, asked.is_set), 0.0
    for event in job:
        if isinstance(event, Progress):
            asked.set()
            began = time.monotonic()
    assert event.result == {"stopped": True}  # type: ignore[union-attr]
    assert time.monotonic() - began < 1


def test_a_job_that_does_not_stop_is_ended_with_its_process(workers: Workers) -> None:
    def deaf(stop: ShouldStop) -> Job:
        yield Progress(done=0, total=1)
        time.sleep(60)
        yield Finished()

    made = workers._shared[COMPUTER] = Worker(grace=0.3)
    began = time.monotonic()
    *_, last = workers.run(Elsewhere(deaf), lambda: True)
    assert last.result["stopped"]  # type: ignore[union-attr]
    assert time.monotonic() - began < 20
    assert not made.alive


class Tally(Linked):
    """Counts in both processes."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add(self, name: str) -> None:
        self.names.append(name)
        self.tell("add", name)


def test_a_job_sees_live_values_and_tells_linked_objects(worker: Worker) -> None:
    def following(place: Live[int], tally: Tally, stop: ShouldStop) -> Job:
        for wanted in (1, 2, 3):
            while place.value < wanted:
                time.sleep(0.002)
            tally.add(f"at {place.value}")
            yield Progress(done=place.value, total=3)
        yield Finished()

    place, tally = Live(1), Tally()
    for event in worker.run(partial(following, place, tally), never):
        if isinstance(event, Progress):
            assert tally.names[-1] == f"at {place.value}"  # told before what follows it
            place.set(int(event.done) + 1)
    assert tally.names == ["at 1", "at 2", "at 3"]
    assert not place._heard_by


class Kept(Linked):
    """What is done of a job; lives through the death of a worker."""

    def __init__(self) -> None:
        self.done: list[int] = []

    def add(self, number: int) -> None:
        self.done.append(number)
        self.tell("add", number)


def crash() -> None:
    ctypes.string_at(0)


def end_at_once() -> None:
    os._exit(7)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)


def _mortal(kept: Kept, die: Callable[[], None], always: bool, stop: ShouldStop) -> Job:
    for number in range(len(kept.done), 10):
        kept.add(number)
        yield Progress(done=number, total=10)
        if number == 4 or (always and number == 6):
            time.sleep(0.2)  # so that it is heard
            die()
    yield Finished(value=os.getpid())


@pytest.mark.parametrize("die", [crash, end_at_once, kill])
def test_a_worker_that_dies_is_started_again_and_the_job_goes_on(
    die: Callable[[], None], workers: Workers
) -> None:
    kept = Kept()
    first = workers.start(COMPUTER)
    events = list(workers.run(Elsewhere(partial(_mortal, kept, die, False)), never))
    assert [e.done for e in events if isinstance(e, Progress)] == list(range(10))
    (told,) = [e for e in events if isinstance(e, Notice)]
    assert not told.warning
    assert "goes on in another" in told.text
    assert kept.done == list(range(10))
    again = workers.start(COMPUTER)  # what it has loaded is kept
    assert events[-1].value == again.pid != first.pid  # type: ignore[union-attr]
    assert value_of(again.run(partial(counting, 2), never)) == 2


def test_a_job_that_kills_its_worker_twice_ends_with_a_sentence_and_harms_no_other(
    workers: Workers,
) -> None:
    def steady(kept: Kept, stop: ShouldStop) -> Job:
        while not stop() and len(kept.done) < 400:
            kept.add(len(kept.done))
            yield Progress(done=1, total=2)
            time.sleep(0.01)
        yield Finished(value="whole")

    beside, found = Kept(), list[Any]()
    other = Elsewhere(partial(steady, beside))
    thread = threading.Thread(target=lambda: found.append(value_of(workers.run(other, never))))
    thread.start()
    while not beside.done:
        time.sleep(0.01)
    kept = Kept()
    deadly = Elsewhere(partial(_mortal, kept, crash, True), lost="It ended ({how}): export it.")
    with pytest.raises(UserError, match=r"It ended \(it crashed.*\): export it") as info:
        list(workers.run(deadly, never))
    assert "ctypes" in str(info.value.__cause__)  # where it crashed, for a bug report
    assert kept.done == list(range(7))
    thread.join(30)
    assert found == ["whole"]
    assert beside.done == list(range(400))  # nothing lost, nothing twice


def test_a_function_comes_back_with_its_value_or_its_error(workers: Workers) -> None:
    assert workers.call(COMPUTER, partial(divmod, 7, 2)) == (3, 1)
    with pytest.raises(UserError, match="no file"):
        workers.call(COMPUTER, partial(read, "/nowhere.tif"))
    with pytest.raises(UserError, match="did not expect"):
        workers.call(COMPUTER, partial(divmod, 1, 0))


def test_a_worker_that_cannot_be_started_is_told_in_a_sentence(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(UserError, match="/nowhere/python"):
        workers.call(COMPUTER, os.getpid)


def test_an_idle_worker_ends_and_the_next_job_starts_another(workers: Workers) -> None:
    workers._idle = 0.2
    first = workers.call(COMPUTER, os.getpid)
    until = time.monotonic() + 10
    while psutil.pid_exists(first) and time.monotonic() < until:
        time.sleep(0.05)
    assert not psutil.pid_exists(first)
    assert workers.call(COMPUTER, os.getpid) != first


def _planes(path: Path, voxels: np.ndarray) -> Path:
    import imageio.v3

    path.mkdir()
    for z, plane in enumerate(voxels):
        imageio.v3.imwrite(path / f"z{z:02d}.png", plane)
    return path


@pytest.mark.versions
@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr", "a.nii", "planes"])
def test_lazy_files_are_opened_by_whoever_reads_them(
    name: str, workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxels = np.random.default_rng(0).integers(0, 999, (12, 40, 48)).astype(np.uint16)
    path, volume = tmp_path / name, Volume(voxels, spacing=(1, 1, 1))
    path = _planes(path, voxels) if name == "planes" else write(path, volume)

    def refused(*_: Any) -> None:
        raise AssertionError("it is decoded in this process")

    monkeypatch.setattr(read_errors.FileArray, "__getitem__", refused)
    monkeypatch.setattr(slices, "_load", refused)
    opened = workers.call(COMPUTER, partial(read, path))
    assert isinstance(opened.data, da.Array)
    axes = [opened.axes.index(a) for a in "zyx"]
    turned = opened.replace(data=opened.data.transpose(axes)[::-1, 3:30].transpose(0, 2, 1))
    np.testing.assert_array_equal(turned.numpy(), voxels[::-1, 3:30].transpose(0, 2, 1))

    def adding(volume: Volume, stop: ShouldStop) -> Job:
        yield Finished(value=int(volume.numpy().sum()))

    assert value_of(workers.run(Elsewhere(partial(adding, turned)), never)) == turned.numpy().sum()
    workers.end_all()  # and it is opened again by the next reader
    np.testing.assert_array_equal(opened.data.transpose(axes)[3].compute(), voxels[3])
    reader = psutil.Process(workers.start(READER).pid)
    del opened, turned
    gc.collect()
    until = time.monotonic() + 10
    while any(str(path) in f.path for f in reader.open_files()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(str(path) in f.path for f in reader.open_files())


def test_a_lazy_array_that_cannot_be_sent_is_copied(worker: Worker) -> None:
    class Locked:
        shape, dtype, ndim = (8, 64, 256), np.dtype(np.float32), 3

        def __init__(self) -> None:
            self._lock = threading.Lock()

        def __getitem__(self, index: Any) -> np.ndarray:
            with self._lock:
                return np.arange(8 * 64 * 256, dtype=np.float32).reshape(self.shape)[index]

    def adding(data: Any, stop: ShouldStop) -> Job:
        yield Finished(value=float(np.asarray(data).sum(dtype=float)))

    lazy = da.from_array(Locked(), chunks=(1, 64, 256), name=False)
    found = value_of(worker.run(partial(adding, lazy), never))
    assert found == np.arange(8 * 64 * 256, dtype=float).sum()


def test_a_worker_ends_with_the_process_that_started_it_and_removes_its_arrays(
    tmp_path: Path,
) -> None:
    code = """if True:
        import time
        from napari_llcm.worker import COMPUTER, workers, zeros
        from napari_llcm.worker.mapped import handle_of
        array = zeros((100, 1000))
        print(workers.start(COMPUTER).pid, handle_of(array).path, flush=True)
        time.sleep(60)
    """
    viewer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert viewer.stdout is not None
    pid, path = viewer.stdout.readline().split()
    assert psutil.pid_exists(int(pid))
    assert Path(path).exists()
    viewer.kill()
    viewer.wait()
    until = time.monotonic() + 20
    while psutil.pid_exists(int(pid)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not psutil.pid_exists(int(pid))
    assert not Path(path).exists()


@pytest.mark.versions
def test_a_worker_needs_neither_window_nor_the_script_that_opened_it(worker: Worker) -> None:
    def looking(stop: ShouldStop) -> Job:
        heavy = [m for m in ("qtpy", "napari", "torch", "cellpose") if m in sys.modules]
        yield Finished(value=(heavy, sys.argv[0]))

    heavy, script = value_of(worker.run(looking, never))
    assert heavy == []
    assert Path(script).name == "__main__.py"


def test_what_is_larger_than_memory_lies_on_the_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    memory = type("Memory", (), {"available": 1000})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    array = zeros((4, 64, 64), folder=tmp_path)
    assert Path(handle_of(array).path).is_relative_to(tmp_path)  # type: ignore[union-attr]
    array[2] = 1
    assert array.sum() == 64 * 64
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("napari_llcm.worker.mapped.shutil.disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="smaller region"):
        zeros((4, 16, 16), folder=tmp_path)


def test_what_panels_send_to_a_worker_knows_no_window() -> None:
    gui, sent = Path(napari_llcm.__file__).parent / "gui", set[str]()
    for path in gui.rglob("*.py"):
        text = path.read_text("utf-8")
        if "import" not in text or "Elsewhere" not in text:
            continue
        name = ".".join(("napari_llcm", *path.relative_to(gui.parent).with_suffix("").parts))
        module = importlib.import_module(name)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "partial":
                with suppress(NameError):  # of an object that is made in a function
                    function = eval(ast.unparse(node.args[0]), vars(module))
                    if getattr(function, "__annotations__", {}).get("return") == "Job":
                        sent.add(function.__module__)
    assert len(sent) > 5
    code = (
        f"import sys, {', '.join(sorted(sent))}; print([m for m in {WINDOW!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
