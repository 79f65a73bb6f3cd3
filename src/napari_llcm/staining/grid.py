"""The networks' grid over an input volume: read windows from it, bring results back onto it.

Where the input's voxels are not those of the training volumes, both ways interpolate linearly at
absolute coordinates, window by window: no window shows a seam, and none needs the whole volume.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..events import Notice, UserError
from ..models.bundle import ModelInfo
from ..models.normalise import Scaling, noise_level
from ..models.nucleus_width import matched_spacing
from ..volumes import NoData, Volume
from .tiling import Box, padded, slices

_SAME = 0.05  # spacings that differ by less are the same
_STRANGE, _ABSURD = 2.0, 10.0
_FEW_LEVELS = 40  # steps of rounding are then 1/10 of the training stacks' standard width
_NOISY = 2.0  # among simulated training stacks of all difficulties noise differs by a third


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

    Attributes
    ----------
    shape : tuple of int
        Size in voxels of this grid.
    padded : tuple of int
        Size with the padding.
    resampled : bool
        Whether it differs from the input's grid.
    """

    def __init__(self, data: Any, ratio: Sequence[float], multiple: Sequence[int]) -> None:
        self.data, self.ratio, self.multiple = data, tuple(ratio), tuple(multiple)
        self.input_shape = tuple(int(n) for n in data.shape)
        self.resampled = any(r != 1 for r in ratio)
        self.shape = tuple(
            max(round(n / r), 1) for n, r in zip(self.input_shape, ratio, strict=True)
        )
        self.padded = padded(self.shape, multiple)

    def read(self, box: Box) -> np.ndarray:
        """Return the voxels of a box of the padded grid, float32."""
        index = [_reflected(a, b, n) for (a, b), n in zip(box, self.shape, strict=True)]
        inside = tuple((int(i.min()), int(i.max()) + 1) for i in index)
        values = self._sample(inside) if self.resampled else self._input(inside)
        return values[np.ix_(*(i - a for i, (a, _) in zip(index, inside, strict=True)))]

    def cut(self, box: Box) -> NetworkGrid:
        """Return this grid with no more of the input than a box needs, in memory."""
        index = [_reflected(a, b, n) for (a, b), n in zip(box, self.shape, strict=True)]
        source = self._source(tuple((int(i.min()), int(i.max()) + 1) for i in index))
        part = _Part(np.asarray(self.data[slices(source)]), source, self.input_shape)
        return NetworkGrid(part, self.ratio, self.multiple)

    def inside(self, box: Box) -> Box:
        """Return the part of a box that is not padding."""
        return tuple((a, min(b, n)) for (a, b), n in zip(box, self.shape, strict=True))

    def outputs(self, box: Box) -> Box:
        """Return the input voxels whose centres lie in a box of this grid."""
        spans = []
        for (a, b), r, n, m in zip(box, self.ratio, self.input_shape, self.shape, strict=True):
            stop = n if b >= m else math.ceil(b * r - 0.5)
            spans.append((min(max(math.ceil(a * r - 0.5), 0), n), min(max(stop, 0), n)))
        return tuple(spans)

    def back(self, box: Box, values: np.ndarray, within: Box) -> np.ndarray:
        """Return `values`, known in the window `within`, at the input voxels `outputs(box)`.

        The window must reach one voxel further than the box, or to the volume's edge.
        """
        if not self.resampled:
            return values[slices(box, within)]
        from scipy.ndimage import affine_transform

        out = self.outputs(box)
        ratio = np.array(self.ratio)
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
        return np.asarray(self.data[slices(box)]).astype(np.float32)


class _Part:
    """A part of an array that is indexed as if it were the whole."""

    def __init__(self, values: np.ndarray, box: Box, shape: tuple[int, ...]) -> None:
        self._values, self._box, self.shape = values, box, shape

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        box = tuple((i.start, i.stop) for i in index)
        return self._values[slices(box, self._box)]


def spacing_ratio(
    volume: Volume, info: ModelInfo, width: float | None = None
) -> tuple[tuple[float, float, float], list[Notice]]:
    """Return input voxels for each voxel of the model's grid, and what the user should know.

    Parameters
    ----------
    volume : Volume
        Axes "zyx".
    info : ModelInfo
        The model.
    width : float, optional
        Of the volume's nuclei, in µm; in pixels where it has no spacing.

    Raises
    ------
    UserError
        If the volume's spacing is so far from the model's that the stain would be fantasy, or the
        width fits neither the volume nor the model.
    """
    if width is not None:
        return _width_ratio(volume, info, width)
    same = (1.0, 1.0, 1.0)
    if info.spacing is None:
        return same, []
    model = _text(info.spacing)
    if volume.spacing is None:
        return same, [
            Notice(
                text=f"{volume.name} does not tell its voxel size; the model's {model} is assumed. "
                "Give its own if it differs."
            )
        ]
    ratio = tuple(m / v for m, v in zip(info.spacing, volume.spacing, strict=True))
    worst = max(max(r, 1 / r) for r in ratio)
    own = _text(volume.spacing)
    if worst > _ABSURD:
        raise UserError(
            f"{volume.name} has voxels of {own}, the model was trained on {model}: correct the "
            "voxel size, or choose another model."
        )
    if worst <= 1 + _SAME:
        return same, []
    notices = [
        Notice(
            text=f"{volume.name} has voxels of {own}; it is resampled to the model's {model}, "
            "and the result is brought back.",
            warning=False,
        )
    ]
    if worst > _STRANGE:
        far = f"The voxels of {volume.name} differ {worst:.1f}-fold from those that the model "
        notices.append(Notice(text=far + "was trained on: look twice at the result."))
    return _where_it_differs(ratio), notices


def _width_ratio(
    volume: Volume, info: ModelInfo, width: float
) -> tuple[tuple[float, float, float], list[Notice]]:
    """Return the ratio that makes nuclei as wide as those that the model knows.

    Raises
    ------
    UserError
        As `spacing_ratio`.
    """
    own, target = matched_spacing(volume, info, width)
    assert own is not None
    assert target is not None
    ratio = tuple(t / o for t, o in zip(target, own, strict=True))
    told = f"{width:g} µm" if volume.spacing is not None else f"{width:g} pixels"
    text = f"The nuclei of {volume.name} are taken to be {told} wide: "
    finest = min(ratio)  # detail that the stack does not have cannot be made up for
    if finest < 1 / _ABSURD:
        raise UserError(
            f"{text}its voxels of {_text(own)} are then too coarse for {info.name}: correct the "
            "nucleus width or the voxel size."
        )
    used = _where_it_differs(ratio)
    if used == (1.0, 1.0, 1.0):
        text += "as wide as those that the model knows."
    elif volume.spacing is None:
        text += f"each plane is resampled {used[2]:.2g} to 1, and the result is brought back."
    else:
        text += f"it is resampled to voxels of {_text(target)}, and the result is brought back."
    if volume.spacing is None:
        text += " Its planes are taken as they are, as its file does not tell how far apart they "
        text += f"lie: {info.name} knows steps of {target[0]:g} µm."
    notices = [Notice(text=text, warning=False)]
    if finest < 1 / _STRANGE:
        coarse = f"The voxels of {volume.name} are {1 / finest:.1f} times as coarse, for its "
        notices.append(Notice(text=coarse + "nuclei, as those that the model knows: look twice."))
    return used, notices


def _where_it_differs(ratio: Sequence[float]) -> tuple[float, float, float]:
    """Return the ratio with 1 for axes that agree, which are left alone."""
    z, y, x = (1.0 if max(r, 1 / r) <= 1 + _SAME else r for r in ratio)
    return (z, y, x)


def contrast_notices(
    volume: Volume, scaling: Scaling, info: ModelInfo, no_data: NoData | None = None
) -> list[str]:
    """Return notices if contrast or noise are far from those of the training volumes.

    Integers are counts of a unit that no file tells: 16-bit phase differs from the training
    stacks' radians by any factor, which scaling takes away. What scaling cannot bring back is
    contrast that was rounded off.
    """
    notices = []
    if volume.dtype.kind in "bui":
        levels = round(4 * (scaling.high - scaling.low))  # `qpi_scaling`: 1 to 99 % is 4 wide
        if levels < _FEW_LEVELS:
            notices.append(
                f"98 % of the voxels of {volume.name} lie on {levels + 1} grey levels: its "
                "contrast was rounded off. Export it again with 16 or 32 bits."
            )
    elif info.qpi is not None:
        ratio = (scaling.high - scaling.low) / (info.qpi.high - info.qpi.low)
        if not 1 / _ABSURD < ratio < _ABSURD:
            notices.append(
                f"The contrast of {volume.name} is {ratio:.2g} times that of the training stacks; "
                "it is scaled to match. Make sure that it is the kind of image that the model was "
                "trained on."
            )
    if info.qpi_noise:
        ratio = noise_level(volume.data, scaling, no_data) / info.qpi_noise
        if ratio > _NOISY:
            notices.append(
                f"{volume.name} is {ratio:.1f} times as noisy as the training stacks: expect "
                "missed and made-up nuclei; average more exposures, or fine-tune the model."
            )
    return notices


def _reflected(start: int, stop: int, count: int) -> np.ndarray:
    """Return the indices that padding by reflection gives for `start` to `stop`."""
    if count == 1:
        return np.zeros(stop - start, int)
    period = 2 * (count - 1)
    index = np.arange(start, stop) % period
    return np.where(index < count, index, period - index)


def _text(spacing: Sequence[float]) -> str:
    return " × ".join(f"{s:.3g}" for s in spacing) + " µm"
