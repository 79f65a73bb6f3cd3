"""Arrays that two processes see: each lies in a file that both have mapped.

Files rather than `multiprocessing.shared_memory`: whoever dies leaves them in place for the next
worker, their size is bounded by the disk and not by /dev/shm, and Windows forgets a shared memory
when its last handle closes.
"""

from __future__ import annotations

import atexit
import math
import mmap
import os
import re
import shutil
import sys
import tempfile
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..events import UserError
from ..volumes.disk_errors import disk_errors

LEAST = 2**16  # bytes from which on an array is worth a file
_PREFIX = "napari-llcm-arrays-"
_MEMORY = Path("/dev/shm")  # Linux: files in memory
_GIB = 2**30


class _Mapping(mmap.mmap):
    """A mapped file that knows its path."""

    path: str


@dataclass(frozen=True)
class Handle:
    """Where an array lies: what another process needs to see the same voxels.

    Parameters
    ----------
    path : str
        The mapped file.
    offset : int
        Bytes before the first voxel.
    shape, strides : tuple of int
        Strides in bytes; negative ones run backwards from the offset.
    dtype : str
        As NumPy writes it, with its byte order.
    foreign : bool
        Whether the file is the user's: it is read, never written or removed.
    """

    path: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    foreign: bool = False


class _Arrays:
    """The mapped files of this process.

    Attributes
    ----------
    owner : int
        Number of the process, napari's, in which the arrays live; others only look at them.
    """

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._lock = threading.Lock()
        self._known: weakref.WeakValueDictionary[str, _Mapping] = weakref.WeakValueDictionary()
        self._folders: dict[Path, Path] = {}
        self._left: list[str] = []  # Windows removes no file while another process maps it

    @property
    def is_owner(self) -> bool:
        """Whether this is napari's process."""
        return self.owner == os.getpid()

    def new(self, size: int, folder: Path | None) -> _Mapping:
        """Return a new file of zeros, mapped."""
        place = _place(size, folder, self._promised())
        with disk_errors(place):
            handle, path = tempfile.mkstemp(dir=self._folder(place))
            try:
                if place != _MEMORY and hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(handle, 0, size)  # or a full disk ends who writes to it
                os.truncate(handle, size)
                return self._map(handle, path, size)
            finally:
                os.close(handle)

    def _promised(self) -> int:
        """Return how many bytes of memory are this process's, be they filled by now or not."""
        known = list(self._known.values())
        return sum(len(m) for m in known if Path(m.path).is_relative_to(_MEMORY))

    def at(self, path: str) -> _Mapping:
        """Return a file that is mapped already, or map it."""
        with self._lock:  # mapped twice, it would be removed with the first of both
            found = self._known.get(path)
            if found is None:
                with open(path, "r+b") as file:
                    found = self._map(file.fileno(), path, os.path.getsize(path))
            return found

    def _map(self, handle: int, path: str, size: int) -> _Mapping:
        mapping = _Mapping(handle, size)
        mapping.path = path
        self._known[path] = mapping
        if self.is_owner:
            weakref.finalize(mapping, self._remove, path)
        return mapping

    def _remove(self, path: str) -> None:
        self._left.append(path)
        waiting, self._left = self._left, []
        for one in waiting:
            try:
                os.unlink(one)
            except FileNotFoundError:
                pass
            except OSError:
                self._left.append(one)

    def _folder(self, place: Path) -> Path:
        if place not in self._folders:
            if not self._folders and self.is_owner:
                atexit.register(sweep, self.owner)
            _sweep_dead(place)
            made = tempfile.mkdtemp(prefix=f"{_PREFIX}{self.owner}-", dir=place)
            self._folders[place] = Path(made)
        return self._folders[place]


ARRAYS = _Arrays()


def zeros(shape: Sequence[int], dtype: Any = np.float32, folder: Path | None = None) -> np.ndarray:
    """Return zeros that another process can fill while this one looks at them.

    Parameters
    ----------
    shape : sequence of int
        Any number of axes.
    dtype : dtype
        Of numbers.
    folder : Path, optional
        Where a file takes the place of memory for what is larger than a third of that which is
        free; the system's folder for temporary files by default.

    Raises
    ------
    UserError
        If there is no room for it.
    """
    kind = np.dtype(dtype)
    mapping = ARRAYS.new(max(math.prod(shape) * kind.itemsize, 1), folder)
    return np.ndarray(tuple(shape), kind, buffer=mapping)


def mapped(array: np.ndarray, folder: Path | None = None) -> np.ndarray:
    """Return an array itself where it lies in a mapped file, else a copy that does."""
    if handle_of(array) is not None:
        return array
    copy = zeros(array.shape, array.dtype, folder)
    copy[...] = array
    return copy


def handle_of(array: np.ndarray) -> Handle | None:
    """Return where an array or a view of one lies; None if in no mapped file."""
    base: Any = array
    root = array
    while isinstance(base, np.ndarray):
        root, base = base, base.base
    if isinstance(base, _Mapping):
        path, first = base.path, np.frombuffer(base, np.uint8).ctypes.data
    elif isinstance(root, np.memmap) and root.filename and root.mode in ("r", "r+"):
        path, first = str(root.filename), root.ctypes.data - root.offset
    else:
        return None
    return Handle(
        path,
        array.__array_interface__["data"][0] - first,
        array.shape,
        array.strides,
        array.dtype.str,
        not isinstance(base, _Mapping),
    )


def attached(handle: Handle) -> np.ndarray:
    """Return the array that another process has in a mapped file."""
    path, kind = handle.path, np.dtype(handle.dtype)
    buffer: Any = np.memmap(path, np.uint8, "r") if handle.foreign else ARRAYS.at(path)
    return np.ndarray(handle.shape, kind, buffer, handle.offset, handle.strides)


def sweep(owner: int) -> None:
    """Remove what a process that has ended left behind."""
    for place in _places():
        for folder in place.glob(f"{_PREFIX}{owner}-*"):
            shutil.rmtree(folder, ignore_errors=True)


def _place(size: int, folder: Path | None, promised: int) -> Path:
    """Return where a file of so many bytes goes: memory while there is enough, else a disk."""
    import psutil

    if sys.platform.startswith("linux") and os.access(_MEMORY, os.W_OK):
        free = min(psutil.virtual_memory().available, shutil.disk_usage(_MEMORY).free)
        if size <= (free - promised) / 3:
            return _MEMORY
    place = Path(folder or tempfile.gettempdir())
    with disk_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(place).free < size:
        raise UserError(
            f"The result needs {size / _GIB:.1f} GiB, more than there is in memory or in {place}: "
            "free some, choose another cache folder, or stain a smaller region."
        )
    return place


def _places() -> set[Path]:
    return {_MEMORY, Path(tempfile.gettempdir()), *ARRAYS._folders}


def _sweep_dead(place: Path) -> None:
    """Remove what killed processes left in a folder: a file in memory stays until it is removed."""
    import psutil

    for folder in place.glob(f"{_PREFIX}*"):
        found = re.match(rf"{_PREFIX}(\d+)-", folder.name)
        if found and not psutil.pid_exists(int(found[1])):
            shutil.rmtree(folder, ignore_errors=True)
