"""A job's events reach the main thread in order, and it stops when asked."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from qtpy.QtCore import QTimer

from napari_llcm.events import Finished, Job, Notice, Progress, ShouldStop, UserError
from napari_llcm.gui.jobs.job_bar import JobBar
from napari_llcm.gui.jobs.runner import JobRunner, SynchronousRunner
from napari_llcm.gui.jobs.waiting import waited_for

pytestmark = pytest.mark.versions


def _counting(stop: ShouldStop) -> Job:
    for i in range(500):
        if stop():
            yield Finished(result={"stopped": True})
            return
        yield Progress(done=i, total=500, eta=3.0, text="counting")
        yield Notice(text=f"number {i}")
        time.sleep(0.002)
    yield Finished(value=500)


def _failing(stop: ShouldStop) -> Job:
    yield Notice(text="a notice")
    raise UserError("Give a file that exists.")


@pytest.fixture(params=[JobRunner, SynchronousRunner])
def runner(request: Any, qapp: Any) -> Any:
    return request.param()


def _run(runner: Any, qtbot: Any, make_job: Any) -> dict[str, list[Any]]:
    heard: dict[str, list[Any]] = {"events": [], "ends": [], "threads": []}
    runner.event.connect(lambda e: heard["events"].append(e))
    runner.event.connect(lambda e: heard["threads"].append(threading.current_thread()))
    runner.start(
        make_job,
        "counting",
        then=lambda e: heard["ends"].append((e, runner.running)),
        otherwise=lambda *words: heard["ends"].append((words, runner.running)),
    )
    qtbot.waitUntil(lambda: not runner.running, timeout=20_000)
    return heard


def test_every_event_arrives_once_and_in_order(runner: Any, qtbot: Any) -> None:
    heard = _run(runner, qtbot, _counting)
    notices = [e.text for e in heard["events"] if isinstance(e, Notice)]
    assert notices == [f"number {i}" for i in range(500)]
    ((end, running),) = heard["ends"]
    assert end.value == 500
    assert not running
    assert set(heard["threads"]) == {threading.main_thread()}


def test_a_failure_is_a_sentence_with_details(runner: Any, qtbot: Any) -> None:
    heard = _run(runner, qtbot, _failing)
    (((sentence, detail), _),) = heard["ends"]
    assert sentence == "Give a file that exists."
    assert "UserError" in detail


def test_what_goes_wrong_in_making_a_job_is_told_too(runner: Any, qtbot: Any) -> None:
    def broken(stop: ShouldStop) -> Job:
        raise UserError("No such model.")

    ((words, _),) = _run(runner, qtbot, broken)["ends"]
    assert words[0] == "No such model."


def test_what_follows_a_job_may_start_the_next(runner: Any, qtbot: Any) -> None:
    def once(stop: ShouldStop) -> Job:
        yield Finished(value=1)

    heard: list[Any] = []

    def again(event: Finished) -> None:
        heard.append(event.value)
        if len(heard) == 1:
            runner.start(
                _failing, "second", then=heard.append, otherwise=lambda *w: heard.append(w)
            )

    runner.start(once, "first", then=again, otherwise=lambda *w: heard.append(w))
    qtbot.waitUntil(lambda: len(heard) == 2, timeout=5000)
    qtbot.wait(50)
    assert heard[0] == 1
    assert heard[1][0] == "Give a file that exists."
    assert len(heard) == 2


def test_stop_ends_the_job_within_a_second(qtbot: Any) -> None:
    runner, bar = JobRunner(), JobBar()
    qtbot.addWidget(bar)
    bar.attach(runner)
    bar.show()
    runner.start(_counting, "counting")
    qtbot.waitUntil(lambda: "left" in bar.text.text(), timeout=5000)
    assert bar.cancel.isVisible()
    began = time.monotonic()
    bar.cancel.click()
    assert bar.text.text() == "Stopping…"
    qtbot.waitUntil(lambda: not runner.running, timeout=5000)
    assert time.monotonic() - began < 1
    assert "start again" in bar.sentence.text()
    assert not bar.cancel.isVisible()


def test_the_bar_shows_the_sentence_and_keeps_the_details(qtbot: Any) -> None:
    runner, bar = SynchronousRunner(), JobBar()
    qtbot.addWidget(bar)
    bar.attach(runner)
    bar.show()
    runner.start(_failing, "failing")
    assert bar.said.endswith("⚠ Give a file that exists.")
    assert "⚠ Give a file that exists." in bar.sentence.text()
    assert bar.details.isVisible()
    assert "a notice" in bar.detail_text()
    assert "Traceback" in bar.detail_text()


def test_what_bears_on_the_result_stays_and_what_does_not_gives_way(qtbot: Any) -> None:
    runner = SynchronousRunner()
    bar = JobBar()
    qtbot.addWidget(bar)
    bar.attach(runner)
    told = [
        Notice(text="the contrast is unlike"),
        Notice(text="reading 3 pairs", warning=False),
        Notice(text="nuclei are 7 µm wide", warning=False),
    ]
    runner.start(lambda stop: iter(told), "job")
    shown = bar.sentence.text()
    assert shown.index("the contrast is unlike") < shown.index("nuclei are 7 µm wide")
    assert shown.count("⚠") == 1
    assert "reading 3 pairs" not in shown
    assert "reading 3 pairs" in bar.detail_text()


def test_a_job_whose_panel_is_gone_ends(qtbot: Any) -> None:
    from qtpy.QtWidgets import QWidget

    ended = threading.Event()

    def watched(stop: ShouldStop) -> Job:
        yield from _counting(stop)
        ended.set()

    panel = QWidget()
    runner = JobRunner(panel)
    runner.start(watched, "counting")
    qtbot.wait(50)
    panel.deleteLater()
    qtbot.waitUntil(ended.is_set, timeout=5000)


def test_the_window_goes_on_drawing_while_napari_waits_for_a_result(qtbot: Any) -> None:
    ticks: list[float] = []
    timer = QTimer()
    timer.setInterval(5)
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start()

    def work() -> int:
        time.sleep(0.5)
        return threading.get_ident()

    began = time.monotonic()
    assert waited_for(work) != threading.get_ident()
    assert len([t for t in ticks if began < t < began + 0.5]) > 5

    def broken() -> None:
        raise UserError("No.")

    with pytest.raises(UserError, match="No"):
        waited_for(broken)
