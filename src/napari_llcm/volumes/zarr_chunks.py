"""Which chunks of a Zarr array are there; zarr itself reads missing ones as empty, silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def missing_chunks(array: Any, path: Path) -> tuple[str, ...]:
    """Return a sentence that tells how many of an array's chunks are not there; reads no voxels.

    A store may leave out chunks that are empty, so that this need not be damage.

    Parameters
    ----------
    array : zarr.Array
        Of either format, sharded or not.
    path : Path
        The store that the sentence names.
    """
    lost = array.nchunks - array.nchunks_initialized
    if not lost:
        return ()
    return (
        f"{lost} of {array.nchunks} chunks of {path.name} are not there and are read as "
        f"{array.fill_value}: unless its maker left out empty ones, copy it again.",
    )
