"""A few windows of a stack, however large it is: enough for its contrast, noise and holes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..tasks.normalise import no_data_of_sample
from ..volumes import NoData

_PLANES = 8
_WINDOW, _ACROSS = 256, 4  # pixels, and windows along each side of a plane


def sample_of(data: Any) -> tuple[np.ndarray, NoData]:
    """Return some planes of a stack, patched together from windows where they are large.

    Parameters
    ----------
    data : array-like
        (z, y, x), numpy, zarr or dask; 2²³ voxels are read at the most, beside what its chunks
        bring along.

    Returns
    -------
    sample : ndarray
        (planes, y, x).
    no_data : NoData
        Which voxels of the stack hold no data, as far as the sample tells.
    """
    depth, height, width = (int(n) for n in data.shape)
    chosen = np.unique(np.linspace(0, depth - 1, min(depth, _PLANES)).round().astype(int))
    rows, columns = _starts(height), _starts(width)
    planes = []
    for z in chosen.tolist():
        strips = [
            np.concatenate([np.asarray(data[z, y : y + n, x : x + m]) for x, m in columns], 1)
            for y, n in rows
        ]
        planes.append(np.concatenate(strips, 0))
    sample = np.stack(planes)
    found = no_data_of_sample(sample)
    dead = tuple(int(chosen[z]) for z in found.planes)
    return sample, replace(found, planes=dead)


def _starts(size: int) -> list[tuple[int, int]]:
    """Return start and length of each window along one side."""
    if size <= _WINDOW * _ACROSS:
        return [(0, size)]
    starts = np.linspace(0, size - _WINDOW, _ACROSS).round().astype(int)
    return [(int(a), _WINDOW) for a in starts]
