"""Is this a stack that a network can work on?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..events import UserError
from .no_data import NoData
from .no_data_search import NoDataSearch
from .read_errors import read_errors
from .volume import Volume, planes


class BlankStack(UserError):
    """A stack of one value throughout: nothing to stain, and no nuclei to count."""


def check_stack(
    volume: Volume, *, least: int = 2, part: Sequence[tuple[int, int]] | None = None
) -> NoData:
    """Check, reading every plane once, that a volume is a whole grey stack with something in it.

    Parameters
    ----------
    volume : Volume
        Axes "zyx" (choose channel and time first, with `Volume.select`).
    least : int
        How many planes are needed.
    part : sequence of tuple, optional
        (start, stop) for z, y and x: read these voxels only, which may be of one value.

    Returns
    -------
    NoData
        Which voxels hold no data; of a part, what that part tells.

    Raises
    ------
    BlankStack
        If it has one value throughout.
    UserError
        If it is not a stack, is complex or empty, holds no finite number, or cannot be read to
        its end.
    """
    name = volume.source or volume.name
    if volume.axes == "yx":
        raise UserError(f"{name} is a 2D image; a stack of at least {least} planes is needed.")
    if volume.axes != "zyx":
        raise UserError(f"{name} has axes {volume.axes}: choose one channel and one time point.")
    if 0 in volume.shape:
        raise UserError(f"{name} is an empty image.")
    if volume.shape[0] < least:
        raise UserError(
            f"{name} has {volume.shape[0]} plane; a stack of at least {least} planes is needed."
        )
    if volume.dtype.kind not in "biuf":
        raise UserError(f"{name} holds {volume.dtype} values; real numbers are needed.")
    search = NoDataSearch()
    first, read = 0, volume
    if part is not None:
        first, read = part[0][0], volume.replace(data=_lazy(volume.data)[_slices(part)])
    with read_errors(name):
        for z, plane in enumerate(planes(read), start=first):
            search.add(z, plane)
    low, high = search.least, search.most
    if part is None and low > high:
        raise UserError(f"{name} holds nothing but values that are not numbers (NaN or infinite).")
    if low == high and part is None:
        raise BlankStack(f"{name} has the same value ({low:g}) everywhere: there is nothing in it.")
    return search.found()


def _slices(part: Sequence[tuple[int, int]]) -> tuple[slice, ...]:
    return tuple(slice(a, b) for a, b in part)


def _lazy(data: Any) -> Any:
    """Return an array that is not read when it is cut."""
    if isinstance(data, np.ndarray) or not hasattr(data, "chunks") or hasattr(data, "dask"):
        return data
    import dask.array as da

    return da.from_zarr(data)
