"""A job in a child process, heard through the same signals as one on a thread.

The child's memory, a GPU's too, is given back when it ends, however it ends; and it ends when this
process does, because it stops when its standard input closes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from qtpy.QtCore import QCoreApplication, QEventLoop, QObject, QProcess, QProcessEnvironment, QTimer

from ...events import Event, Failed, Finished, Notice, UserError, parse_event
from .runner import BaseRunner, Otherwise, Then

_GRACE = 10_000  # ms without a sign of life after which a child that shall stop is killed
_TAIL = 20_000  # characters of its messages that are kept for a bug report
_AGAIN = (
    "The training was ended from outside, perhaps because the memory was full: it is started "
    "again, and goes on from its last minute."
)


class ChildRunner(BaseRunner):
    """Runs `napari-llcm` with some arguments as a child process.

    Parameters
    ----------
    parent : QObject, optional
        When it is destroyed, so is the child.
    grace : int
        How long (ms) a child that was asked to stop may be silent before it is killed.

    Attributes
    ----------
    event, failed, running_changed
        Signals, as in `Runner`.
    """

    def __init__(self, parent: QObject | None = None, grace: int = _GRACE) -> None:
        super().__init__(parent)
        self._process = QProcess(self._signals)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.readyReadStandardError.connect(self._read_messages)
        self._process.finished.connect(self._ended)
        self._process.errorOccurred.connect(self._not_started)
        self._patience = QTimer(self._signals)
        self._patience.setSingleShot(True)
        self._patience.setInterval(grace)
        self._patience.timeout.connect(self.kill)
        if parent is not None:
            parent.destroyed.connect(self.leave)
        if (application := QCoreApplication.instance()) is not None:
            application.aboutToQuit.connect(self.leave)
        self._messages, self._killed = "", False
        self._arguments: Sequence[str] = ()
        self._tries = 0  # left, should it crash
        self._translate: Callable[[Event], Event] = lambda event: event

    @property
    def pid(self) -> int:
        """Number of the process; 0 while there is none."""
        return int(self._process.processId() or 0)

    def start_child(
        self,
        arguments: Sequence[str],
        translate: Callable[[Event], Event] | None = None,
        then: Then | None = None,
        otherwise: Otherwise | None = None,
        tries: int = 1,
    ) -> None:
        """Start a child.

        Parameters
        ----------
        arguments : sequence of str
            The verb and what follows it; the child must print its events as JSON lines.
        translate : callable, optional
            Changes each event before it is told.
        then, otherwise : callable, optional
            Called when it is over, as for `JobRunner.start`.
        tries : int
            How often it is started: once more after each crash, where it goes on by itself.
        """
        self._begin(then, otherwise)
        self._messages, self._killed = "", False
        self._arguments, self._tries = tuple(arguments), tries
        self._translate = translate or (lambda event: event)
        environment = QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONIOENCODING", "utf-8")
        environment.insert("MPLBACKEND", "agg")  # napari's own backend needs its window
        self._process.setProcessEnvironment(environment)
        self._launch()

    def _launch(self) -> None:
        self._tries -= 1
        self._process.start(sys.executable, ["-m", "napari_llcm", *self._arguments])

    def stop(self) -> None:
        """Ask the child to stop and keep what is done; kill it if it does not answer."""
        if self._running and not self._stop:
            self._stop = True
            self._process.write(b"stop\n")
            self._patience.start()

    def kill(self) -> None:
        """End the child and all that it started, at once."""
        if not self._running:
            return
        self._stop = self._killed = True
        for process in _tree(self.pid):
            process.kill()
        self._process.kill()

    def stop_and_wait(self) -> None:
        """Stop the child and return when it has ended; windows stay alive meanwhile."""
        loop = QEventLoop()
        self.running_changed.connect(lambda running: None if running else loop.quit())
        self.stop()
        if self._running:
            loop.exec()

    def leave(self, *_: object) -> None:
        """Hear no more of the child: the window is going, and with it all that would be told.

        The child's standard input closes, so that it keeps what is done and ends.
        """
        with suppress(RuntimeError, TypeError):  # Qt has deleted it, or nothing is connected
            self._process.blockSignals(True)
            self._process.closeWriteChannel()

    def _read(self) -> None:
        until = time.monotonic() + 0.02  # the window stays alive, whatever the child says
        while self._process.canReadLine():
            line = self._process.readLine().data().decode("utf-8", "replace")
            try:
                event = parse_event(line)
            except UserError:  # a library that prints
                self._keep(line)
                continue
            if self._patience.isActive():
                self._patience.start()  # it is saving
            self._deliver(self._translate(event))
            if time.monotonic() > until:
                QTimer.singleShot(0, self._read)
                return

    def _read_messages(self) -> None:
        self._keep(self._process.readAllStandardError().data().decode("utf-8", "replace"))

    def _keep(self, text: str) -> None:
        self._messages = (self._messages + text)[-_TAIL:]

    def _ended(self, code: int, status: QProcess.ExitStatus) -> None:
        self._patience.stop()
        while self._process.canReadLine():
            self._read()
        told = isinstance(self._last, Failed) or bool(getattr(self._last, "result", None))
        crashed = status == QProcess.ExitStatus.CrashExit
        if crashed and self._tries and not (told or self._stop):
            self._deliver(Notice(text=_AGAIN, warning=False))
            self._launch()
            return
        if self._killed and not told:
            self._deliver(Finished(result={"stopped": True, "killed": True}))
        elif not told:
            self._deliver(Failed(sentence=_why(crashed), detail=self._messages or f"exit {code}"))
        self._end()

    def _not_started(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart and self._running:
            self._deliver(
                Failed(
                    sentence="The training could not be started: check that this Python still "
                    f"exists: {sys.executable}.",
                    detail=self._process.errorString(),
                )
            )
            self._end()


def _why(crashed: bool) -> str:
    if crashed:
        return (
            "The training was ended from outside, perhaps because the memory was full. All but "
            "its last minute is kept: close other programs, then press Resume."
        )
    return (
        "The training ended without a word. All but its last minute is kept: press Resume, and if "
        "it ends again, report it with the details."
    )


def _tree(pid: int) -> list:
    import psutil

    try:
        return psutil.Process(pid).children(recursive=True) if pid else []
    except psutil.Error:
        return []
