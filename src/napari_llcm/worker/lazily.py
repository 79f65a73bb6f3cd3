"""Arrays in files: the reader decodes what napari shows of them."""

from __future__ import annotations

import gc
import threading
import weakref
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np

from ..events import UserError

_KEPT: dict[str, Any] = {}  # in the reader: what it has open, by the hash of how it is opened
_RELEASING = "releasing files"
_gone: SimpleQueue[str] = SimpleQueue()  # in napari's process: what need not be open any more


class LazyArray:
    """An array in a file that napari's process does not open: its parts come from the reader.

    Sent to a worker, it becomes the array itself, opened there.

    Parameters
    ----------
    key : str
        Hash of `blob`.
    blob : bytes
        How it is opened.
    shape : tuple of int
        Its shape.
    dtype : dtype
        Of its voxels.
    """

    def __init__(self, key: str, blob: bytes, shape: tuple[int, ...], dtype: Any) -> None:
        self.key, self.blob = key, blob
        self.shape, self.dtype, self.ndim = shape, np.dtype(dtype), len(shape)
        if not any(thread.name == _RELEASING for thread in threading.enumerate()):
            threading.Thread(target=_release, name=_RELEASING, daemon=True).start()
        weakref.finalize(self, _gone.put, key).atexit = False

    def __getitem__(self, index: Any) -> np.ndarray:
        """Read a part.

        Raises
        ------
        UserError
            If the file is damaged, or gone.
        """
        from .elsewhere import READER, workers

        part = workers.call(READER, partial(read_part, self.key, None, index))
        if part is None:  # the reader was started again since
            part = workers.call(READER, partial(read_part, self.key, self.blob, index))
        return np.asarray(part)

    def __reduce__(self) -> Any:
        """Reduce to how it is opened."""
        return opened, (self.key, self.blob)


class _Opened:
    """The array itself, in a worker."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index: Any) -> np.ndarray:
        """Read a part, on this thread: dask's own are busy with what asks for it."""
        return np.asarray(self._array[index].compute(scheduler="synchronous"))


def opened(key: str, blob: bytes) -> _Opened:
    """Return an array that a worker opens, or has open."""
    from .passing import loads

    return _Opened(_KEPT[key] if key in _KEPT else loads(blob))


def read_part(key: str, blob: bytes | None, index: Any) -> np.ndarray | None:
    """Return a part of an array; None where it is not open and `blob` does not tell how."""
    from .passing import loads

    if key not in _KEPT:
        if blob is None:
            return None
        _KEPT[key] = loads(blob)
    return _Opened(_KEPT[key])[index]


def close(key: str) -> None:
    """Let go of an array that napari shows no more: its file can be replaced, also on Windows."""
    _KEPT.pop(key, None)
    gc.collect()  # tifffile's series and pages refer to each other


def _release() -> None:
    """Tell the reader what napari has let go of; a finalizer itself must wait for nothing."""
    from . import elsewhere

    while True:
        key, reader = _gone.get(), elsewhere.READER
        if elsewhere.workers.has(reader):
            with suppress(UserError):
                elsewhere.workers.call(reader, partial(close, key))


def read_by_worker(
    key: str, blob: bytes, shape: tuple[int, ...], dtype: str, chunks: tuple[tuple[int, ...], ...]
) -> Any:
    """Return, in napari's process, an array that a worker has opened, as dask's."""
    import dask.array as da

    lazy = LazyArray(key, blob, shape, dtype)
    meta = np.empty((0,) * lazy.ndim, lazy.dtype)
    return da.from_array(lazy, chunks=chunks, name=False, meta=meta)
