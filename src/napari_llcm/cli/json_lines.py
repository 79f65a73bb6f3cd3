"""How a job talks to the program that started it: events as JSON lines, "stop" on its input."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

from ..events import Event

GRACE = 30.0  # s that a job whose listener is gone may take to save what it has
_GONE = 3  # exit code


class Lines:
    """Prints each event as one line of JSON.

    Parameters
    ----------
    gone : callable
        Called once nobody reads them any more.
    """

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write("")

    def show(self, event: Event) -> None:
        """Print an event."""
        self._write(event.to_json() + "\n")

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except (OSError, ValueError) as error:
            # closed by the reader, which Windows calls an invalid argument, or by this program
            if getattr(error, "errno", None) not in (None, errno.EPIPE, errno.EINVAL):
                raise
            # The job saves what it has, and its run folder keeps the events.
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            self._gone()


def watch_input(stop: Callable[[], None]) -> None:
    """Call `stop` when a line "stop" comes in, and when the other end of the pipe closes.

    A job never outlives the program that listens to it: where that was killed, the pipe closes,
    the job is asked to stop and keep, and is ended if it has not done so after `GRACE` seconds.
    A terminal, a file or /dev/null as input is nobody who listens, and is left alone.
    """
    try:
        descriptor = sys.stdin.fileno()
        mode = os.fstat(descriptor).st_mode
    except (AttributeError, OSError, ValueError):  # closed, or replaced by something else
        return
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        threading.Thread(target=_watch, args=(descriptor, stop), daemon=True).start()


def _watch(descriptor: int, stop: Callable[[], None]) -> None:
    # not by sys.stdin: a thread that waits in it would hold a lock that Python needs at its end
    said = b""
    try:
        while piece := os.read(descriptor, 1024):
            said += piece
            if b"stop" in said.splitlines():
                stop()
    except OSError:  # how Windows tells that the other end is closed
        pass
    stop()
    time.sleep(GRACE)
    os._exit(_GONE)
