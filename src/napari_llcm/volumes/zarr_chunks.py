"""Which chunks of a Zarr array are there; zarr itself reads missing ones as empty, silently."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_ABSENT = 2**64 - 1  # what the index of a shard says of a chunk that it does not hold


def missing_chunks(array: Any, letters: str, path: Path) -> tuple[str, ...]:
    """Return a sentence that tells how many of an array's chunks are not there; reads no voxels.

    A store may leave out chunks that are empty, so that this need not be damage.

    Parameters
    ----------
    array : zarr.Array
        Of either format, sharded or not, in a folder.
    letters : str
        Its axes.
    path : Path
        The store that the sentence names.
    """
    there = _chunks_there(array)
    if there.all():
        return ()
    lost = np.argwhere(~there)
    where = []
    for axis, word in (("t", "time point"), ("c", "channel")):
        if axis in letters and there.shape[letters.index(axis)] > 1:
            at, size = letters.index(axis), array.chunks[letters.index(axis)]
            found = [i for n in np.unique(lost[:, at]) for i in range(n * size, (n + 1) * size)]
            found = [i for i in found if i < array.shape[at]]
            if len(found) < array.shape[at]:
                where.append(f"{word}{'s' * (len(found) > 1)} {', '.join(map(str, found))}")
    told = f" ({'; '.join(where)})" if where else ""
    verb = "are" if len(lost) > 1 else "is"
    return (
        f"{len(lost)} of {there.size} chunks of {path.name}{told} {verb} not there and {verb} read "
        f"as {array.fill_value}: unless its maker left out empty ones, copy or export it again.",
    )


def _chunks_there(array: Any) -> np.ndarray:
    """Return which chunks are there, one bool for each in their grid."""
    grid = tuple(-(-n // c) for n, c in zip(array.shape, array.chunks, strict=True))
    stored = array.shards or array.chunks
    parts = tuple(s // c for s, c in zip(stored, array.chunks, strict=True))
    folder = Path(array.store.root) / array.path
    files = set(_files(folder))
    there = np.zeros(grid, bool)
    for at in np.ndindex(*(-(-n // s) for n, s in zip(array.shape, stored, strict=True))):
        key = array.metadata.encode_chunk_key(at)
        if key in files:
            box = tuple(slice(i * n, (i + 1) * n) for i, n in zip(at, parts, strict=True))
            inner = _index(array, folder / key, parts) if array.shards else np.ones(parts, bool)
            fits = there[box].shape  # the last shard may reach beyond the array
            there[box] = inner[tuple(slice(n) for n in fits)]
    return there


def _files(folder: Path, prefix: str = "") -> Iterator[str]:
    """Yield the names of all files, as paths below the folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(Path(entry.path), f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name


def _index(array: Any, shard: Path, parts: tuple[int, ...]) -> np.ndarray:
    """Return which chunks a shard holds, from its index: two numbers of 8 bytes for each."""
    codec = array.metadata.codecs[0]
    if len(array.metadata.codecs) > 1 or not hasattr(codec, "index_location"):
        return np.ones(parts, bool)  # turned or packed as a whole: its index is not where it is
    length = 16 * int(np.prod(parts))
    checksum = 4 if len(codec.index_codecs) > 1 else 0
    with shard.open("rb") as file:
        if codec.index_location.value == "end":
            file.seek(-length - checksum, os.SEEK_END)
        index = np.frombuffer(file.read(length), "<u8").reshape(*parts, 2)
    return index[..., 0] != _ABSENT
