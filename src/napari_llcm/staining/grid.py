"""The networks' grid over an input volume: read windows from it, bring results back onto it.

Where the input's voxels are not those of the training volumes, both ways interpolate linearly at
absolute coordinates, window by window: no window shows a seam, and none needs the whole volume.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .tiling import Box, padded, slices


class NetworkGrid:
    """The grid that the networks see.

    Parameters
    ----------
    data : array-like
        The input (z, y, x), numpy, zarr or dask.
    ratio : sequence of float
        Input voxels for each voxel of this grid, along z, y and x.
    multiple : sequence of int
        The grid is padded by reflection to a multiple of this.
    planes : int
        Planes of the result for each plane of the input.

    Attributes
    ----------
    shape : tuple of int
        Size in voxels of this grid.
    padded : tuple of int
        Size with the padding.
    output_shape : tuple of int
        Size of the result: that of the input, with more planes.
    output_ratio : tuple of float
        The result's voxels for each voxel of this grid.
    resampled : bool
        Whether the input's grid is another one.
    brought_back : bool
        Whether the result's grid is another one.
    """

    def __init__(
        self, data: Any, ratio: Sequence[float], multiple: Sequence[int], planes: int = 1
    ) -> None:
        self.data, self.ratio, self.multiple = data, tuple(ratio), tuple(multiple)
        self.planes = planes
        self.input_shape = tuple(int(n) for n in data.shape)
        self.output_shape = (planes * self.input_shape[0], *self.input_shape[1:])
        # 1/6 x 6 is 1 to the last bit or nearly so
        along_z = 1.0 if abs(planes * ratio[0] - 1) < 1e-9 else planes * ratio[0]
        self.output_ratio = (along_z, *self.ratio[1:])
        self.resampled = any(r != 1 for r in ratio)
        self.brought_back = any(r != 1 for r in self.output_ratio)
        self.shape = tuple(
            max(round(n / r), 1) for n, r in zip(self.input_shape, ratio, strict=True)
        )
        self.padded = padded(self.shape, multiple)

    def read(self, box: Box) -> np.ndarray:
        """Return the voxels of a box of the padded grid, float32."""
        index = [_reflected(a, b, n) for (a, b), n in zip(box, self.shape, strict=True)]
        inside = tuple((int(i.min()), int(i.max()) + 1) for i in index)
        values = self._sample(inside) if self.resampled else self._input(inside)
        if inside == tuple(box):  # nothing of it is padding
            return values
        return values[np.ix_(*(i - a for i, (a, _) in zip(index, inside, strict=True)))]

    def planes_of(self, box: Box) -> np.ndarray:
        """Return which planes of the unpadded grid the planes of a box of the padded one are."""
        return _reflected(*box[0], self.shape[0])

    def slices(self, span: tuple[int, int], plane: Box) -> np.ndarray:
        """Return slices of the input as they are along z, in the plane as `read` does, float32."""
        ratio = (1.0, *self.ratio[1:])
        return NetworkGrid(self.data, ratio, (1, *self.multiple[1:])).read((span, *plane))

    def source(self, box: Box) -> Box:
        """Return the input voxels that a box of the padded grid is read from."""
        index = [_reflected(a, b, n) for (a, b), n in zip(box, self.shape, strict=True)]
        return self._source(tuple((int(i.min()), int(i.max()) + 1) for i in index))

    def over(self, data: Any) -> NetworkGrid:
        """Return this grid over another array of the same size."""
        return NetworkGrid(data, self.ratio, self.multiple, self.planes)

    def inside(self, box: Box) -> Box:
        """Return the part of a box that is not padding."""
        return tuple((a, min(b, n)) for (a, b), n in zip(box, self.shape, strict=True))

    def outputs(self, box: Box) -> Box:
        """Return the voxels of the result whose centres lie in a box of this grid."""
        spans, ratio = [], self.output_ratio
        for (a, b), r, n, m in zip(box, ratio, self.output_shape, self.shape, strict=True):
            stop = n if b >= m else math.ceil(b * r - 0.5)
            spans.append((min(max(math.ceil(a * r - 0.5), 0), n), min(max(stop, 0), n)))
        return tuple(spans)

    def back(self, box: Box, values: np.ndarray, within: Box) -> np.ndarray:
        """Return `values`, known in the window `within`, at the result's voxels `outputs(box)`.

        The window must reach one voxel further than the box, or to the volume's edge.
        """
        if not self.brought_back:
            return values[slices(box, within)]
        from scipy.ndimage import affine_transform

        out = self.outputs(box)
        ratio = np.array(self.output_ratio)
        start = np.array([a for a, _ in out])
        offset = (start + 0.5) / ratio - 0.5 - np.array([a for a, _ in within])
        shape = tuple(b - a for a, b in out)
        return affine_transform(
            values, 1 / ratio, offset, output_shape=shape, order=1, mode="nearest"
        )

    def _sample(self, box: Box) -> np.ndarray:
        """Return interpolated input at the voxels of a box of the unpadded grid."""
        from scipy.ndimage import affine_transform, gaussian_filter

        source, ratio = self._source(box), np.array(self.ratio)
        values = gaussian_filter(self._input(source), self._blur(), mode="nearest", truncate=4.0)
        first = (np.array([a for a, _ in box]) + 0.5) * ratio - 0.5
        offset = first - np.array([a for a, _ in source])
        shape = tuple(b - a for a, b in box)
        return affine_transform(values, ratio, offset, output_shape=shape, order=1, mode="nearest")

    def _source(self, box: Box) -> Box:
        """Return the input voxels that a box of the unpadded grid is interpolated from."""
        if not self.resampled:
            return box
        spans = []
        for (a, b), r, n, s in zip(box, self.ratio, self.input_shape, self._blur(), strict=True):
            reach = math.ceil(4 * s) + 2
            first, last = math.floor((a + 0.5) * r - 0.5), math.ceil((b - 0.5) * r - 0.5)
            spans.append((min(max(first - reach, 0), n - 1), min(max(last + reach + 1, 1), n)))
        return tuple(spans)

    def _blur(self) -> list[float]:
        """Return the anti-aliasing deviation: half of what a voxel grows by (scikit-image)."""
        return [max((r - 1) / 2, 0.0) for r in self.ratio]

    def _input(self, box: Box) -> np.ndarray:
        return np.asarray(self.data[slices(box)]).astype(np.float32, copy=False)


class Part:
    """A part of an array that is indexed as if it were the whole.

    Parameters
    ----------
    values : numpy.ndarray
        Its voxels.
    box : Box
        Where they lie.
    shape : tuple of int
        Of the whole.
    """

    def __init__(self, values: np.ndarray, box: Box, shape: tuple[int, ...]) -> None:
        self._values, self._box, self.shape = values, box, shape

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        box = tuple((i.start, i.stop) for i in index)
        return self._values[slices(box, self._box)]


def _reflected(start: int, stop: int, count: int) -> np.ndarray:
    """Return the indices that padding by reflection gives for `start` to `stop`."""
    if count == 1:
        return np.zeros(stop - start, int)
    period = 2 * (count - 1)
    index = np.arange(start, stop) % period
    return np.where(index < count, index, period - index)
