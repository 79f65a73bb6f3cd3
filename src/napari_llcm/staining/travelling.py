"""How a stack gets to other machines: as its path where they see the file, else brick by brick.

Tasks hold paths and slices; voxels, where they have to travel, go beside the tasks: every brick
once, compressed, to one worker, from which others fetch what their regions share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..cluster.sending import Packed, Sent
from ..cluster.shared_paths import Signature, is_here, signature
from .grid import Part
from .inputs import StackInputs
from .tiling import Box, common, shared, slices

_BRICK = (32, 256, 256)  # voxels: 4 MB of 16 bits
_LARGEST = 2**23  # bytes of what tells how a stack is opened
_OPEN: dict[str, StackInputs] = {}  # on a worker: the stack that it reads


class NotHere(Exception):
    """A worker does not see the file that another machine reads."""


@dataclass(frozen=True)
class SharedStack:
    """A stack that every worker opens for itself.

    Parameters
    ----------
    files : Signature
        What it must see.
    opened : bytes
        The inputs, whose lazy arrays hold paths.
    probed : tuple of Box
        Voxels of each input that are compared: a path alone may lead elsewhere.
    digest : str
        Of those voxels.
    """

    files: Signature
    opened: bytes
    probed: tuple[Box, ...]
    digest: str

    def inputs(self) -> StackInputs:
        """Return the stack as this machine reads it.

        Raises
        ------
        NotHere
            If it sees another file, or none.
        """
        if self.digest not in _OPEN:
            if not is_here(self.files):
                raise NotHere
            try:
                from distributed.protocol.serialize import deserialize_bytes

                # from who sent this task, which is as much trusted as the task itself
                found: StackInputs = deserialize_bytes(self.opened)
                if _digest(found, self.probed) != self.digest:
                    raise NotHere
            except Exception as error:  # whatever a reader raises: the voxels travel then
                raise NotHere from error
            _OPEN.clear()
            _OPEN[self.digest] = found
        return _OPEN[self.digest]


@dataclass(frozen=True)
class Bricks:
    """The part of a stack that a region needs, in bricks.

    Parameters
    ----------
    inputs : StackInputs
        Without any voxels.
    boxes : sequence of Box
        What is needed of each input.
    where : sequence of sequence
        Boxes of the bricks of each input.
    """

    inputs: StackInputs
    boxes: Sequence[Box]
    where: Sequence[Sequence[Box]]


def shared_stack(inputs: StackInputs, source: Path | None) -> SharedStack | None:
    """Return how others open a stack; None where it lies in memory, or no path leads to it.

    Parameters
    ----------
    inputs : StackInputs
        Read lazily.
    source : Path, optional
        The file.
    """
    if source is None or any(isinstance(g.data.data, np.ndarray) for g in inputs.grids):
        return None
    try:
        from distributed.protocol.serialize import serialize_bytes

        files = signature(source)
        opened = bytes(serialize_bytes(inputs))
    except Exception:  # a handle or a lock of some reader's; or the file is gone by now
        return None
    if not files or len(opened) > _LARGEST:
        return None
    probed = tuple(_middle(g.input_shape) for g in inputs.grids)
    return SharedStack(files, opened, probed, _digest(inputs, probed))


class Travelling:
    """Sends the bricks of a stack as regions need them.

    Parameters
    ----------
    client : distributed.Client
        Of the workers' scheduler.
    inputs : StackInputs
        The stack.
    """

    def __init__(self, client: Any, inputs: StackInputs) -> None:
        self._client, self._inputs = client, inputs
        self._without = inputs.over([Nowhere(g.data.data) for g in inputs.grids])
        self._sent: dict[tuple[int, Box], Sent] = {}

    def region(self, window: Box) -> tuple[Bricks, list[Any]]:
        """Return what a window of the padded grid is made of, and dask's futures of the bricks."""
        boxes = self._inputs.sources(window)
        pairs = zip(self._inputs.grids, boxes, strict=True)
        where = [_bricks(grid.input_shape, box) for grid, box in pairs]
        futures = [self._brick(i, brick) for i, bricks in enumerate(where) for brick in bricks]
        return Bricks(self._without, boxes, where), futures

    def keep(self, windows: Sequence[Box]) -> None:
        """Let go of the bricks that no window needs any more."""
        needed = [self._inputs.sources(w) for w in windows]
        for i, brick in list(self._sent):
            if not any(shared(boxes[i], brick) for boxes in needed):
                del self._sent[i, brick]

    def _brick(self, i: int, brick: Box) -> Any:
        if (i, brick) not in self._sent:
            voxels = np.asarray(self._inputs.grids[i].data.data[slices(brick)])
            self._sent[i, brick] = Sent(self._client, Packed.of(voxels))
        return self._sent[i, brick].future()


def arrived(given: SharedStack | Bricks, packed: Sequence[Packed] = ()) -> StackInputs:
    """Return the inputs on a worker.

    Parameters
    ----------
    given : SharedStack or Bricks
        How they are opened, or which bricks there are.
    packed : sequence of Packed
        The bricks.

    Raises
    ------
    NotHere
        If it does not see the file.
    """
    if isinstance(given, SharedStack):
        return given.inputs()
    parts, voxels = [], iter(packed)
    for grid, box, where in zip(given.inputs.grids, given.boxes, given.where, strict=True):
        values = np.empty([b - a for a, b in box], grid.data.data.dtype)
        for brick in where:
            inside = common(box, brick)
            values[slices(inside, box)] = next(voxels).array()[slices(inside, brick)]
        parts.append(Part(values, box, grid.input_shape))
    return given.inputs.over(parts)


class Nowhere:
    """The shape and type of an array whose voxels are elsewhere.

    Parameters
    ----------
    array : array-like
        That array.
    """

    def __init__(self, array: Any) -> None:
        self.shape, self.dtype = tuple(array.shape), np.dtype(array.dtype)


def _bricks(shape: Sequence[int], box: Box) -> list[Box]:
    """Return the bricks of an array that a box needs."""
    from itertools import product

    spans = [
        [(i * s, min((i + 1) * s, n)) for i in range(a // s, -(-b // s))]
        for (a, b), s, n in zip(box, _BRICK, shape, strict=True)
    ]
    return [tuple(brick) for brick in product(*spans)]


def _middle(shape: Sequence[int]) -> Box:
    z, y, x = shape
    return ((z // 2, z // 2 + 1), *((max(n // 2 - 32, 0), min(n // 2 + 32, n)) for n in (y, x)))


def _digest(inputs: StackInputs, boxes: Sequence[Box]) -> str:
    digest = hashlib.sha256(repr(inputs.scalings).encode())
    for grid, box in zip(inputs.grids, boxes, strict=True):
        digest.update(np.ascontiguousarray(grid.data.data[slices(box)]).tobytes())
    return digest.hexdigest()
