"""The worker as napari's process sees it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, cast

from ..events import Event, Job, ShouldStop, UserError
from .links import Live
from .messages import CALL, END, EVENT, OVER, RUN, SET, STOP, Pipe
from .passing import Passed, dumps, loads

MakeJob = Callable[[ShouldStop], Job]

_PERIOD = 0.1  # s between two looks whether the user wants to stop
_GRACE = 30.0  # s without a word after which a job that shall stop is ended with its process
_TAIL = 20_000  # characters of its messages that are kept for a bug report


class Died(Exception):
    """The process ended while a job was going on; its text tells how, `detail` what it said."""

    def __init__(self, how: str, detail: str) -> None:
        super().__init__(how)
        self.detail = detail


class Worker:
    """A child process that runs jobs, several at a time.

    Parameters
    ----------
    grace : float
        How long (s) a job that was asked to stop may be silent before the process is killed.

    Raises
    ------
    UserError
        If it cannot be started.
    """

    def __init__(self, grace: float = _GRACE) -> None:
        self._grace = grace
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "napari_llcm.worker", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "MPLBACKEND": "agg"},  # napari's own backend needs its window
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise UserError(
                "The process that computes could not be started: check that this Python still "
                f"exists: {sys.executable}."
            ) from error
        process: Any = self._process
        self._pipe = Pipe(process.stdout, process.stdin)
        self._jobs: dict[int, SimpleQueue[tuple[int, bytes] | None]] = {}
        self._count, self._lock = 0, threading.Lock()
        self._said, self._dead = "", False
        self._hearing = threading.Thread(target=self._hear_words, daemon=True)
        self._hearing.start()
        threading.Thread(target=self._hear, daemon=True).start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can take a job."""
        return not self._dead

    @property
    def idle(self) -> bool:
        """Whether no job is going on."""
        return not self._jobs

    def run(self, make_job: MakeJob, should_stop: ShouldStop) -> Job:
        """Yield the events of a job that runs in the process.

        Parameters
        ----------
        make_job : callable
            A function that can be imported there, with arguments that can be pickled. Large arrays
            are seen, not copied, if they lie in a mapped file.
        should_stop : callable
            Asked while the job goes on.

        Raises
        ------
        Died
            If the process ends before the job.
        """
        passed = Passed()
        data = dumps(make_job, passed)
        heard: SimpleQueue[tuple[int, bytes] | None] = SimpleQueue()
        with self._lock:
            self._count += 1
            number = self._count
            self._jobs[number] = heard
            if self._dead:
                heard.put(None)
        links = [
            (linked, partial(self._set, number, key))
            for key, linked in passed.linked.items()
            if isinstance(linked, Live)
        ]
        for live, hear in links:
            live.link(hear)
        try:
            self._send(RUN, number, data)
            for live, hear in links:
                hear(live.value)  # it may have been set since it was sent
            yield from self._events(number, heard, passed, should_stop)
        finally:
            for live, hear in links:
                live.unlink(hear)
            with self._lock:
                self._jobs.pop(number, None)
            self._send(STOP, number)  # whoever listened may have gone

    def end(self) -> None:
        """Let it end when its jobs have kept what is done; they are asked to stop."""
        self._dead = True
        self._send(END)
        self._pipe.close()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def wait(self, seconds: float) -> None:
        """Wait for its end, for so long at most."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def _events(
        self,
        number: int,
        heard: SimpleQueue[tuple[int, bytes] | None],
        passed: Passed,
        should_stop: ShouldStop,
    ) -> Job:
        stopped_at = 0.0
        while True:
            try:
                message = heard.get(timeout=_PERIOD)
            except Empty:
                if stopped_at and time.monotonic() - stopped_at > self._grace:
                    self.kill()
                message = (0, b"")
            if message is None:
                raise Died(self._how(), self._said)
            kind, data = message
            if kind == OVER:
                return
            if kind == CALL:
                linked, method, arguments = loads(data)
                getattr(passed.linked[linked], method)(*arguments)
            elif kind == EVENT:
                stopped_at = time.monotonic() if stopped_at else 0.0
                yield cast("Event", loads(data))
            if not stopped_at and should_stop():
                stopped_at = time.monotonic()
                self._send(STOP, number)

    def _set(self, number: int, key: int, value: Any) -> None:
        self._send(SET, number, dumps((key, value), Passed()))

    def _send(self, kind: int, number: int = 0, data: bytes = b"") -> None:
        with suppress(OSError, ValueError):  # it is gone, which is heard soon
            self._pipe.send(kind, number, data)

    def _hear(self) -> None:
        while (message := self._pipe.receive()) is not None:
            kind, number, data = message
            queue = self._jobs.get(number)
            if queue is not None:
                queue.put((kind, data))
        self._process.wait()
        self._hearing.join(1)
        process: Any = self._process
        for stream in (process.stdout, process.stderr):
            stream.close()
        with self._lock:
            self._dead = True
            for queue in self._jobs.values():
                queue.put(None)
        self._pipe.close()

    def _hear_words(self) -> None:
        stream: Any = self._process.stderr
        while words := stream.read1(4096):
            self._said = (self._said + words.decode("utf-8", "replace"))[-_TAIL:]

    def _how(self) -> str:
        code = self._process.returncode or 0
        if code == -9 or code == 1 << 31:
            return "it was ended from outside, perhaps because memory was full"
        return f"it crashed (code {code if code < 1 << 31 else hex(code)})"
