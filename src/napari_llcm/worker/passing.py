"""What goes from one process to the other as bytes; arrays stay where both see them.

Both ends are this package and the pipe between them is their own: nothing that comes from a file
or a network is ever unpickled.
"""

from __future__ import annotations

import io
import pickle
import threading
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import cloudpickle
import numpy as np

from .lazily import read_by_worker
from .links import Linked
from .mapped import ARRAYS, LEAST, Handle, attached, handle_of, mapped, zeros


@dataclass
class Passed:
    """What has to stay alive, and in reach, as long as the other process works on a job.

    Parameters
    ----------
    arrays : list of numpy.ndarray
        Arrays in mapped files, copies among them.
    linked : dict of int to Linked
        By the number under which both processes know them.
    """

    arrays: list[np.ndarray] = field(default_factory=list)
    linked: dict[int, Linked] = field(default_factory=dict)


_receiving = threading.local()


def dumps(what: Any, passed: Passed) -> bytes:
    """Return an object as bytes for the other process."""
    stream = io.BytesIO()
    _Pickler(stream, passed).dump(what)
    return stream.getvalue()


def loads(data: bytes, passed: Passed | None = None) -> Any:
    """Return what `dumps` was given; linked objects are put into `passed`."""
    before = getattr(_receiving, "passed", None)
    _receiving.passed = passed
    try:
        return pickle.loads(data)
    finally:
        _receiving.passed = before


class _Pickler(cloudpickle.Pickler):  # dask needs it too: graphs hold local functions
    def __init__(self, stream: io.BytesIO, passed: Passed) -> None:
        super().__init__(stream, protocol=5)
        self._passed = passed

    def reducer_override(self, obj: Any) -> Any:
        """Reduce arrays to handles, lazy ones to how they are read, linked objects to numbers."""
        if isinstance(obj, np.ndarray) and type(obj) in (np.ndarray, np.memmap):
            if obj.nbytes < LEAST or obj.dtype.hasobject:
                return NotImplemented
            return attached, (self._handle(obj),)
        if isinstance(obj, Linked):
            number = len(self._passed.linked)
            self._passed.linked[number] = obj
            return _linked, (number, type(obj)), obj.__getstate__()
        if type(obj).__module__.startswith("dask.array") and type(obj).__name__ == "Array":
            return self._lazy(obj)
        return super().reducer_override(obj)

    def _handle(self, array: np.ndarray) -> Handle:
        seen = mapped(array)
        self._passed.arrays.append(seen)  # the file goes with the last array over it
        found = handle_of(seen)
        assert found is not None
        return found

    def _lazy(self, array: Any) -> Any:
        """Reduce a dask array: the other process opens its files for itself, if it can."""
        try:
            blob = dumps(_Graph(array), Passed(self._passed.arrays, self._passed.linked))
        except Exception:  # a file handle, a lock …: of another plugin's reader, as a rule
            return attached, (self._handle(_computed(array)),)
        if ARRAYS.is_owner:
            return loads, (blob,)
        key = sha256(blob).hexdigest()
        return read_by_worker, (key, blob, array.shape, array.dtype.str, array.chunks)


class _Graph:
    """Carries a dask array past the pickler's own rule for dask arrays."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __reduce__(self) -> Any:
        """Reduce as dask does."""
        array = self.array
        return _rebuilt, (array.dask, array.name, array.chunks, array.dtype, array._meta)


def _rebuilt(graph: Any, name: str, chunks: Any, dtype: Any, meta: Any) -> Any:
    import dask.array as da

    return da.Array(graph, name, chunks, dtype=dtype, meta=meta)


def _computed(array: Any) -> np.ndarray:
    """Return the voxels of a dask array in a mapped file, block by block."""
    import dask.array as da

    made = zeros(array.shape, array.dtype)
    da.store(array, made)
    return made


def _linked(number: int, kind: type[Linked]) -> Linked:
    """Return the copy of a linked object, known by its number; its state comes after."""
    made = kind.__new__(kind)
    passed: Passed | None = getattr(_receiving, "passed", None)
    if passed is not None:
        passed.linked[number] = made
    return made
