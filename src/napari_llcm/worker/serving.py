"""What the worker process does: run jobs, each on a thread, until napari has no more."""

from __future__ import annotations

import faulthandler
import io
import os
import signal
import sys
import threading
import time
import warnings
from functools import partial
from typing import Any

from ..events import Event, Failed, Job, Tile, guarded
from ..volumes.options import ChoiceNeeded
from .mapped import ARRAYS, sweep
from .messages import CALL, END, EVENT, OVER, RUN, SET, STOP, Pipe
from .passing import Passed, dumps, loads
from .phrases import choice_in_panel

_LEAVE = 5.0  # s that jobs have to keep what is done when napari is gone


class _Running:
    """A job of this process."""

    def __init__(self, pipe: Pipe, number: int, data: bytes) -> None:
        self._pipe, self._number, self._data = pipe, number, data
        self.stop = threading.Event()
        self.passed = Passed()
        self._values: dict[int, Any] = {}  # of live objects, set before the job was unpacked
        self.thread = threading.Thread(target=self._run, name=f"job {number}", daemon=True)

    def set(self, linked: int, value: Any) -> None:
        """Let a live object have a value."""
        self._values[linked] = value
        if (found := self.passed.linked.get(linked)) is not None:
            vars(found)["value"] = value

    def _run(self) -> None:
        with ChoiceNeeded.phrased(choice_in_panel):
            for event in guarded(self._job()):
                self._tell(event)
        self.passed = Passed()
        self._pipe.send(OVER, self._number)

    def _job(self) -> Job:
        """Make the job as its own first step, so that what goes wrong in making it is told too."""
        make_job: Any = loads(self._data, self.passed)
        for number, linked in self.passed.linked.items():
            linked._told = partial(self._call, number)
            if number in self._values:
                self.set(number, self._values[number])
        self._data = b""
        yield from make_job(self.stop.is_set)

    def _tell(self, event: Event) -> None:
        if isinstance(event, Tile):  # napari sees it in the array that both have mapped
            event = event.model_copy(update={"data": None})
        try:
            data = dumps(event, Passed())
        except Exception as error:  # its value cannot leave this process
            why = f"The result cannot be handed over ({error}): please report it."
            data = dumps(Failed(sentence=why, detail=repr(event)[:2000]), Passed())
        self._pipe.send(EVENT, self._number, data)

    def _call(self, linked: int, method: str, arguments: tuple[Any, ...]) -> None:
        self._pipe.send(CALL, self._number, dumps((linked, method, arguments), Passed()))


def main(owner: int) -> None:
    """Serve the process that has started this one, until it says so or is gone.

    Parameters
    ----------
    owner : int
        Number of that process.
    """
    # Standard output is the way home: what libraries print goes to standard error.
    source, target = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        for stream in (source, target):
            msvcrt.setmode(stream.fileno(), os.O_BINARY)
    sys.stdin, sys.stdout = io.StringIO(), sys.stderr
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal that both share
    faulthandler.enable()
    warnings.simplefilter("ignore")  # what matters is a Notice
    ARRAYS.owner = owner
    _leave(owner, *_serve(Pipe(source, target)))


def _serve(pipe: Pipe) -> tuple[bool, dict[int, _Running]]:
    """Run jobs as they come; return whether napari has said that it needs no more."""
    running: dict[int, _Running] = {}
    while (message := pipe.receive()) is not None:
        kind, number, data = message
        job = running.get(number)
        if kind == END:
            return True, running
        if kind == RUN:
            running = {n: j for n, j in running.items() if j.thread.is_alive()}
            running[number] = _Running(pipe, number, data)
            running[number].thread.start()
        elif job is not None and kind == STOP:
            job.stop.set()
        elif job is not None and kind == SET:
            job.set(*loads(data))
    return False, running


def _leave(owner: int, told: bool, running: dict[int, _Running]) -> None:
    """End, with what is done kept; remove napari's arrays if it could not do so itself."""
    for job in running.values():
        job.stop.set()
    until = time.monotonic() + _LEAVE
    for job in running.values():
        job.thread.join(max(until - time.monotonic(), 0))
    if not told:
        sweep(owner)
    os._exit(0)  # threads of libraries are not waited for
