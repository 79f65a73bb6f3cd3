"""Values that workers need: sent once, compressed, and again where the workers have lost them."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

_KEPT: dict[str, Any] = {}  # on a worker: the last value, by the hash of its bytes
_GONE = ("lost", "cancelled", "error")


class Sent:
    """A value on the workers.

    Parameters
    ----------
    client : distributed.Client
        Of their scheduler.
    value : object
        Kept here too, as workers may die.
    everywhere : bool
        Whether each worker gets it now; else one does, and others fetch it from there.
    """

    def __init__(self, client: Any, value: Any, everywhere: bool = False) -> None:
        self._client, self._value, self._everywhere = client, value, everywhere
        self._future: Any = None

    def future(self) -> Any:
        """Return dask's future of the value, which the arguments of a task hold in its place."""
        if self._future is None or self._future.status in _GONE:
            self._future = self._client.scatter(self._value, broadcast=self._everywhere, hash=False)
        return self._future


@dataclass(frozen=True)
class Frozen:
    """A value as bytes: what one worker does with its own, as while it runs a model, no other sees.

    Parameters
    ----------
    data : bytes
        As dask sends values.
    key : str
        Their hash.
    """

    data: bytes
    key: str

    @classmethod
    def of(cls, value: Any) -> Frozen:
        """Return a value as bytes."""
        from distributed.protocol.serialize import serialize_bytes

        data = bytes(serialize_bytes(value))
        return cls(data, sha256(data).hexdigest())

    def value(self) -> Any:
        """Return the value; that of this process, which keeps the last one."""
        if self.key not in _KEPT:
            from distributed.protocol.serialize import deserialize_bytes

            # from who sends tasks, which is as much trusted as a task itself
            made = deserialize_bytes(self.data)
            _KEPT.clear()
            _KEPT[self.key] = made
        return _KEPT[self.key]


@dataclass(frozen=True)
class Packed:
    """An array, compressed without loss.

    Parameters
    ----------
    data : bytes
        By Blosc: bytes of equal weight together, then Zstandard.
    shape : tuple of int
        Its shape.
    dtype : str
        As NumPy writes it.
    """

    data: bytes
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, array: np.ndarray) -> Packed:
        """Return an array, compressed."""
        import imagecodecs

        plain = np.ascontiguousarray(array)
        data = imagecodecs.blosc_encode(
            plain.tobytes(),
            level=3,
            compressor="zstd",
            shuffle=1,
            typesize=plain.itemsize,
            numthreads=1,
        )
        return cls(bytes(data), array.shape, plain.dtype.str)

    def array(self) -> np.ndarray:
        """Return the array."""
        import imagecodecs

        data = imagecodecs.blosc_decode(self.data, numthreads=1)
        return np.frombuffer(data, self.dtype).reshape(self.shape)
