"""Messages through a pipe: a header, then bytes.

Napari says RUN, STOP, SET and END, the worker EVENT, CALL and OVER; each is about one job.
"""

from __future__ import annotations

import struct
import threading
from contextlib import suppress
from typing import BinaryIO

RUN, STOP, SET, END = 1, 2, 3, 4  # to the worker
EVENT, CALL, OVER = 5, 6, 7  # from it
_HEADER = struct.Struct("<BQQ")


class Pipe:
    """One end of a pair of pipes; any thread may send, one receives.

    Parameters
    ----------
    source, target : file
        To be read from and written to, binary.
    """

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        self._source, self._target = source, target
        self._lock = threading.Lock()

    def send(self, kind: int, job: int = 0, data: bytes = b"") -> None:
        """Send a message.

        Raises
        ------
        OSError
            If nobody is there to read it.
        """
        with self._lock:
            self._target.write(_HEADER.pack(kind, job, len(data)) + data)
            self._target.flush()

    def receive(self) -> tuple[int, int, bytes] | None:
        """Return kind, job and data of the next message; None when the other end is gone."""
        try:
            header = self._source.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return None
            kind, job, size = _HEADER.unpack(header)
            data = self._source.read(size)
        except (OSError, ValueError):
            return None
        return (kind, job, data) if len(data) == size else None

    def close(self) -> None:
        """Let the other end know that nothing more comes."""
        with suppress(OSError):
            self._target.close()
