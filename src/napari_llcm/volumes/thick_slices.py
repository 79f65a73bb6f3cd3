"""Thick slices from thin ones, and thin planes between thick slices by interpolation.

Both grids cover the same extent, face to face: of N thin planes and M thick slices, slice j covers
the thin planes from j N/M to (j + 1) N/M, and its middle lies at plane (j + ½) N/M − ½. Either way
is one matrix along z, so the numbers of slices are exactly those asked for, and nothing is shifted.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ..events import UserError
from .slice_profile import ProfileName, profile_integral
from .volume import Volume

Order = Literal["linear", "cubic"]
_MOST_HIDDEN = 0.05  # share of a plane's weights that may lie where there is no data


class ThickOptions(BaseModel):
    """How thick slices are made of thin ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ratio: float = Field(default=6.0, gt=1, le=100, description="Thin planes in one thick slice.")
    profile: str = Field(
        default="slab",
        description="Sensitivity of a slice along z: slab, gaussian, or a CSV file with distance "
        "in µm and sensitivity in each line.",
    )
    thickness: float | None = Field(
        default=None,
        gt=0,
        le=10,
        description="Thickness of a slice (of a Gaussian at half its height) in steps between "
        "slices: 0.6 leaves gaps, 1.5 overlaps; 1 if none.",
    )
    noise: float = Field(
        default=0.0,
        ge=0,
        description="Standard deviation of noise that each thick slice gets, in the stack's unit.",
    )
    seed: int = Field(default=0, ge=0, description="Which noise.")


def thick_count(thin: int, ratio: float) -> tuple[int, int]:
    """Return how many thick slices fit into so many thin planes, and how many planes they cover.

    Parameters
    ----------
    thin : int
        Number of thin planes.
    ratio : float
        Thin planes in one thick slice; taken so nearly that whole slices cover whole planes.

    Raises
    ------
    UserError
        If not even one fits.
    """
    thick = int(thin / ratio + 1e-9)
    if thick < 1:
        raise UserError(f"{thin} planes are too few for one slice of {ratio:g}.")
    return thick, min(round(thick * ratio), thin)


def thicken(volume: Volume, options: ThickOptions = ThickOptions()) -> tuple[Volume, Volume]:
    """Return thick slices, and the thin planes that they cover: input and truth of a pair.

    Parameters
    ----------
    volume : Volume
        Thin planes, axes "zyx"; read into memory. Planes at its end that fill no whole slice are
        left out.
    options : ThickOptions
        Ratio, slice profile and noise.

    Returns
    -------
    thick : Volume
        In the type of `volume`; how it was made is in its metadata.
    thin : Volume
        The first planes of `volume`, as they are.

    Raises
    ------
    UserError
        If it is no stack, has too few planes, or there is no such profile.
    """
    _check_stack(volume)
    count, covered = thick_count(volume.shape[0], options.ratio)
    thin = volume if covered == volume.shape[0] else volume.replace(data=volume.data[:covered])
    ratio = covered / count
    step = None if volume.spacing is None else ratio * volume.spacing[0]
    share = profile_integral(options.profile, options.thickness, step)
    faces = np.arange(covered + 1) - 0.5
    below = share((faces - _middles(count, covered)[:, None]) / ratio)
    below[:, 0], below[:, -1] = 0.0, 1.0  # beyond the ends the last plane goes on
    values = _combined(np.diff(below, axis=1), thin.numpy())
    if options.noise:
        rng = np.random.default_rng([options.seed, count])
        values += options.noise * rng.standard_normal(values.shape, np.float32)
    made = {**options.model_dump(), "ratio": ratio, "from_planes": covered}
    thick = _on_grid(thin, values, count, {"thick_slices": made})
    thick.metadata.pop("slice_thickness", None)  # of the thin ones
    if step is not None and options.profile in get_args(ProfileName):
        thick.metadata["slice_thickness"] = step * (options.thickness or 1.0)  # µm
    return thick, thin


def interpolated(volume: Volume, count: int, order: Order = "linear") -> Volume:
    """Return a stack with exactly so many planes over the same extent.

    Parameters
    ----------
    volume : Volume
        Thick slices, axes "zyx"; read into memory.
    count : int
        Number of planes of the result.
    order : {"linear", "cubic"}
        Between two neighbours, or by a cubic spline along z. The grid in the plane is the same, so
        that either is what is called trilinear and tricubic.

    Raises
    ------
    UserError
        If it is no stack, or the number is below 1.
    """
    from scipy import ndimage

    _check_stack(volume)
    if count < 1:
        raise UserError(f"A stack cannot have {count} planes.")
    thick = volume.shape[0]
    # what the interpolation makes of each plane alone: a column of its matrix
    weights = np.stack(
        [
            ndimage.map_coordinates(
                one, [_middles(count, thick)], order={"linear": 1, "cubic": 3}[order],
                mode="nearest",
            )
            for one in np.eye(thick)
        ],
        axis=1,
    )  # fmt: skip
    values = _combined(weights, volume.numpy())
    return _on_grid(volume, values, count, {"interpolated": order})


def positions_between(thick: int, thin: int) -> np.ndarray:
    """Return where each thin plane lies between its two thick neighbours: 0 on the lower one, to 1.

    Planes beyond the middle of the first or last slice lie between it and the next that would be.

    Parameters
    ----------
    thick, thin : int
        Numbers of slices and of planes over the same extent.

    Returns
    -------
    ndarray
        (thin,), float32, in [0, 1).
    """
    at = _middles(thin, thick)
    return np.asarray((at - np.floor(at)) % 1.0, np.float32)


def _middles(count: int, planes: int) -> np.ndarray:
    """Return where the middles of `count` slices lie, in numbers of `planes` over one extent."""
    return (np.arange(count) + 0.5) * planes / count - 0.5


def _combined(weights: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Return sums of planes, float32; NaN where too much of their weight holds no data.

    Parameters
    ----------
    weights : ndarray
        (planes out, planes in); each row adds up to 1.
    data : ndarray
        (planes in, y, x).
    """
    weights = weights.astype(np.float32)
    planes = data.reshape(len(data), -1).astype(np.float32)
    known = np.isfinite(planes)
    shape = (len(weights), *data.shape[1:])
    if known.all():
        return np.asarray(weights @ planes).reshape(shape)
    there = weights @ known.astype(np.float32)
    hidden = np.abs(weights) @ (~known).astype(np.float32)
    values = weights @ np.where(known, planes, 0) / np.where(there > _MOST_HIDDEN, there, 1)
    return np.where(hidden > _MOST_HIDDEN, np.nan, values).astype(np.float32).reshape(shape)


def _on_grid(like: Volume, values: np.ndarray, count: int, made: dict[str, object]) -> Volume:
    """Return values on a grid of so many planes over the extent of a volume."""
    if like.dtype.kind in "iu":
        limits = np.iinfo(like.dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return with_planes(like, count / like.shape[0]).replace(
        data=values.astype(like.dtype, copy=False), metadata={**like.metadata, **made}
    )


def with_planes(like: Volume, planes: float) -> Volume:
    """Return a volume with the place and size of `planes` planes for each of its own.

    Its data are those given: they are to be replaced.
    """
    z, y, x = like.step
    sizes = {"spacing" if like.spacing else "scale": (z / planes, y, x)}
    first = np.array([(1 / planes - 1) / 2, 0, 0]) @ like.steps + like.origin
    return like.replace(origin=tuple(first.tolist()), **sizes)


def _check_stack(volume: Volume) -> None:
    if volume.axes != "zyx":
        raise UserError(f"{volume.name} has axes {volume.axes}: choose one channel and time point.")
