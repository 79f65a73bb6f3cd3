"""Whatever goes wrong inside a library that reads a file becomes one sentence with its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..events import UserError

if TYPE_CHECKING:
    import dask.array as da

DAMAGED = "cannot be read to its end: the file is damaged"


@contextmanager
def read_errors(source: Path | str, sentence: str = DAMAGED) -> Iterator[None]:
    """Turn the errors of zlib, tifffile, zarr, nibabel and their like into one sentence.

    Parameters
    ----------
    source : Path or str
        The file or folder that is read.
    sentence : str
        What to say of it, without a full stop; the library's own words follow in brackets.

    Raises
    ------
    UserError
        In place of any other error.
    """
    try:
        yield
    except UserError:
        raise
    except PermissionError as error:
        raise UserError(f"{source} cannot be read: permission denied.") from error
    except MemoryError as error:
        raise UserError(f"{source} does not fit into this computer's memory.") from error
    except Exception as error:
        # Each library has a dozen kinds (zlib.error, struct.error, ParseError, KeyError …), and a
        # damaged file may raise any of them: a list of kinds was never complete.
        raise UserError(f"{source} {sentence} ({_words(error)}).") from error


def _words(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (
        f"{type(error).__name__}: {lines[0][:120].rstrip('.')}" if lines else type(error).__name__
    )


class FileArray:
    """An array in a file, whose errors of reading are one sentence.

    Parameters
    ----------
    array : array-like
        With shape and dtype; read when it is indexed.
    source : Path
        The file that the sentence names.
    again : callable, optional
        Opens the array in another process, where it cannot be pickled itself.
    """

    def __init__(self, array: Any, source: Path, again: Callable[[], Any] | None = None) -> None:
        self._array, self._source, self._again = array, source, again
        self.shape = tuple(int(n) for n in array.shape)
        self.dtype = np.dtype(array.dtype)
        self.ndim = len(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Read a part."""
        with read_errors(self._source):
            return np.asarray(self._array[index])

    def __reduce__(self) -> Any:
        """Reduce to what opens it, or to the array."""
        if self._again is None:
            return FileArray, (self._array, self._source)
        return _opened_again, (self._again, self._source)


def _opened_again(again: Callable[[], Any], source: Path) -> FileArray:
    with read_errors(source):
        return FileArray(again(), source, again)


def lazy(
    array: Any,
    source: Path,
    chunks: tuple[int, ...],
    again: Callable[[], Any] | None = None,
) -> da.Array:
    """Return an array in a file as a dask array of these chunks, with `read_errors`.

    Parameters
    ----------
    array, source
        As for `FileArray`.
    chunks : tuple of int
        What is read at once.
    again : callable, optional
        As for `FileArray`.
    """
    import dask.array as da

    guarded = FileArray(array, source, again)
    meta = np.empty((0,) * guarded.ndim, guarded.dtype)
    return da.from_array(guarded, chunks=chunks, name=False, meta=meta)
