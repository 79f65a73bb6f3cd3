"""What can be measured of a virtual nucleus that tells whether it is real."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..models.confidence_model import STACK
from ..tasks.normalise import dapi_scaling, qpi_scaling, stabilise
from ..volumes import Volume, filled, find_no_data

Features = dict[str, np.ndarray]
STAIN = ("mean", "peak", "contrast", "edge", "volume", "volume²", "border")
PHASE = ("phase", "phase step", "phase texture", "phase fine", "phase peak")
SPREAD = ("spread", "relative spread")
_SHELL = 1.5  # µm around a nucleus, or voxels where the spacing is unknown
_UNIT_VOLUME = 200.0  # µm³ of a usual nucleus, only to bring the logarithm near 0


def measure(
    labels: np.ndarray,
    stain: np.ndarray,
    qpi: np.ndarray,
    spacing: tuple[float, float, float] | None,
    spread: np.ndarray | None = None,
) -> tuple[np.ndarray, Features]:
    """Return the labels in use and the features of each.

    Parameters
    ----------
    labels : ndarray of int
        (z, y, x), 0 is background.
    stain, qpi : ndarray
        The virtual DAPI and the label-free image, (z, y, x).
    spacing : tuple of float, optional
        µm (z, y, x).
    spread : ndarray, optional
        Standard deviation of the stain over views or samples, in its unit.

    Returns
    -------
    ids : ndarray
        (n,), ascending.
    features : dict of ndarray
        (n,) each: `STAIN`, `PHASE` and, with a spread, `SPREAD`.
    """
    ids = np.unique(labels)
    ids = ids[ids > 0]
    step = np.array(spacing or (1.0, 1.0, 1.0))
    scaling = dapi_scaling(stain)
    light = stabilise(stain, scaling)
    phase = qpi_scaling(qpi)
    holes = find_no_data(Volume(qpi)).mask(qpi)
    scaled = phase.apply(filled(np.array(qpi, np.float32), holes, phase.low))
    fine = scaled - ndimage.gaussian_filter(scaled, 0.8 / step)
    shell = _shells(labels, step)
    border = _on_border(labels)

    def inside(of: str, image: np.ndarray) -> np.ndarray:
        """Return a statistic of the image over each nucleus."""
        return np.asarray(getattr(ndimage, of)(image, labels, ids), float)

    def around(image: np.ndarray) -> np.ndarray:
        """Return the mean of the image over the shell of each nucleus."""
        with np.errstate(invalid="ignore"):  # a shell without a voxel has no mean
            return np.nan_to_num(np.asarray(ndimage.mean(image, shell, ids), float))

    volume = np.log(inside("sum", np.ones(labels.shape, np.float32)) * step.prod() / _UNIT_VOLUME)
    mean = inside("mean", light)
    features = {
        "mean": mean,
        "peak": inside("maximum", ndimage.uniform_filter(light, 3)),
        "contrast": mean - around(light),
        "edge": inside("standard_deviation", light),
        "volume": volume,
        "volume²": volume**2,
        "border": np.isin(ids, border).astype(float),
        "phase": inside("mean", scaled),
        "phase step": inside("mean", scaled) - around(scaled),
        "phase texture": inside("standard_deviation", scaled),
        "phase fine": inside("standard_deviation", fine),
        "phase peak": inside("maximum", ndimage.uniform_filter(fine, 3)),
    }
    if spread is not None:
        relative = np.asarray(spread, np.float32) / (scaling.high - scaling.low)
        features["spread"] = inside("mean", relative)
        features["relative spread"] = features["spread"] / np.maximum(mean, 0.05)
    return ids, features


def of_stack(expected: float | None, count: int) -> Features:
    """Return what all nuclei of a stack have in common: how well its model can read it.

    Parameters
    ----------
    expected : float or None
        Nuclei F1 to be expected of the stack; nothing is returned where it is not known.
    count : int
        How many nuclei there are.
    """
    if expected is None:
        return {}
    share = float(np.clip(expected, 0.02, 0.98))
    return {STACK: np.full(count, np.log(share / (1 - share)))}


def faint_places(
    labels: np.ndarray, stain: np.ndarray, spacing: tuple[float, float, float] | None, width: float
) -> np.ndarray:
    """Return labels of balls around local maxima of the stain that lie in no nucleus.

    Parameters
    ----------
    labels : ndarray of int
        The nuclei found, (z, y, x).
    stain : ndarray
        The virtual DAPI, (z, y, x).
    spacing : tuple of float, optional
        µm (z, y, x).
    width : float
        Usual width of a nucleus, in µm or, without spacing, voxels.

    Returns
    -------
    ndarray of int32
        (z, y, x); the balls are half as wide as a nucleus and leave the nuclei out.
    """
    from skimage.feature import peak_local_max

    step = np.array(spacing or (1.0, 1.0, 1.0))
    light = ndimage.gaussian_filter(stabilise(stain, dapi_scaling(stain)), width / 8 / step)
    free = labels == 0
    # half a nucleus away from what was found: not its blurred rim
    distance = ndimage.distance_transform_edt(free, sampling=step)
    near = np.maximum(np.round(width / 3 / step), 1).astype(int)
    footprint = np.ones(2 * near + 1, bool)
    floor = float(np.median(light)) + 0.05
    peaks = peak_local_max(
        np.where(distance > width / 4, light, 0),
        threshold_abs=floor,
        footprint=footprint,
        exclude_border=False,
    )
    places = np.zeros(labels.shape, np.int32)
    if not len(peaks):
        return places
    seeds = np.ones(labels.shape, bool)
    seeds[tuple(peaks.T)] = False
    away, nearest = ndimage.distance_transform_edt(seeds, sampling=step, return_indices=True)
    number = np.zeros(labels.shape, np.int32)
    number[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return np.where((away <= width / 4) & free, number[tuple(nearest)], 0).astype(np.int32)


def width_of(labels: np.ndarray, spacing: tuple[float, float, float] | None) -> float:
    """Return the usual width of the nuclei in µm (voxels where the spacing is unknown)."""
    sizes = np.bincount(labels.ravel())[1:]
    if not sizes.any():
        return (6 / np.pi * _UNIT_VOLUME) ** (1 / 3)
    return float((6 / np.pi * np.median(sizes[sizes > 0]) * np.prod(spacing or 1.0)) ** (1 / 3))


def _shells(labels: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return the label of the nearest nucleus within `_SHELL` of it, 0 elsewhere and inside."""
    free = labels == 0
    away, nearest = ndimage.distance_transform_edt(free, sampling=step, return_indices=True)
    return np.where(free & (away <= _SHELL * max(1.0, step.max())), labels[tuple(nearest)], 0)


def _on_border(labels: np.ndarray) -> np.ndarray:
    faces = [labels[0], labels[-1], labels[:, 0], labels[:, -1], labels[..., 0], labels[..., -1]]
    return np.unique(np.concatenate([f.ravel() for f in faces]))
