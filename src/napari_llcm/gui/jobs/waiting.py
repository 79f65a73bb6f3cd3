"""Wait for something without letting the window freeze, where napari wants the result at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from qtpy.QtCore import QCoreApplication, QEventLoop, QThread

T = TypeVar("T")
_PERIOD = 0.005  # s


def waited_for(work: Callable[[], T]) -> T:
    """Return what a function returns, run on another thread while the window goes on drawing.

    Clicks and keys wait until it is done: napari is in the middle of something.

    Parameters
    ----------
    work : callable
        Takes seconds, and touches no window.
    """
    application = QCoreApplication.instance()
    if application is None or QThread.currentThread() is not application.thread():
        return work()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        while not done.done():
            application.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
            wait([done], timeout=_PERIOD)
    return done.result()
