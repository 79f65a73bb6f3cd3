"""Reading and writing beside the networks: what is needed next is read while they compute, and
what they gave is brought into the result's unit and written while they go on.

NumPy, the codecs of a store and a device let other threads run, so this takes no network's time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from .tiling import Box

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """Reads boxes, one of them ahead of its use.

    Parameters
    ----------
    read : callable
        Returns what is in a box.
    """

    def __init__(self, read: Callable[[Box], T]) -> None:
        self._read = read
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._next: tuple[Box, Future[T]] | None = None

    def expect(self, box: Box) -> None:
        """Begin to read a box that will be taken soon."""
        if self._next is None or self._next[0] != box:
            self._next = (box, self._thread.submit(self._read, box))

    def take(self, box: Box) -> T:
        """Return what is in a box; if it was not expected, it is read now."""
        if self._next is None or self._next[0] != box:
            return self._read(box)
        (_, reading), self._next = self._next, None
        return reading.result()

    def close(self) -> None:
        """End; what is being read is read to its end."""
        self._thread.shutdown(cancel_futures=True)


class FinishBehind(Generic[T]):
    """Finishes tiles in order, one at a time, while the next one is computed.

    What is done is kept: `close` waits for all that was given.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="finish-behind")
        self._running: deque[Future[T]] = deque()

    def add(self, work: Callable[[], T]) -> None:
        """Begin to finish a tile."""
        self._running.append(self._thread.submit(work))

    def done(self, unfinished: int) -> Iterator[T]:
        """Yield what was finished, in order, until no more than `unfinished` are left.

        Raises
        ------
        Exception
            What finishing raised.
        """
        while self._running and (len(self._running) > unfinished or self._running[0].done()):
            yield self._running.popleft().result()

    def close(self) -> None:
        """Wait for all that was begun."""
        self._thread.shutdown()
