"""Volumes of one field lie on one grid: one shape, one voxel size, one place."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..events import UserError
from .orientation import is_upright, upright
from .volume import Spacing, Volume

_SAME = 0.01  # relative difference of voxel sizes that is rounding
NO_POSITION = (0.0, 0.0, 0.0)


def on_one_grid(*volumes: Volume) -> tuple[Volume, ...]:
    """Return volumes of one field with the voxel size and the position that any of them tells.

    Segmented, resampled or measured with sizes of their own, voxels that belong together would
    come apart.

    Parameters
    ----------
    *volumes : Volume
        Axes "zyx".

    Returns
    -------
    tuple of Volume
        The same voxels, with one spacing (None where no volume tells it) and one origin. A volume
        that was given the spacing of another says so in its notes.

    Raises
    ------
    UserError
        If their shapes differ, or two tell different spacings.
    """
    first = volumes[0]
    for other in volumes[1:]:
        if other.shape != first.shape:
            a, b = _called(first, other)
            raise UserError(
                f"{a} has {in_words(first.shape)} voxels, but {b} has {in_words(other.shape)}: "
                "choose stacks of the same field and of one shape."
            )
    volumes = _facing_one_way(volumes)
    known = [v for v in volumes if v.spacing is not None]
    if not known:
        return volumes
    origin = next((v.origin for v in known if v.origin != NO_POSITION), NO_POSITION)
    turned = next((v.orientation for v in known if v.orientation is not None), None)
    grid = known[0].replace(origin=origin, orientation=turned)
    return tuple(_placed(v, grid) for v in volumes)


def _facing_one_way(volumes: tuple[Volume, ...]) -> tuple[Volume, ...]:
    """Return volumes whose axes run the same way in space, as far as their files tell."""
    told = [v for v in volumes if v.orientation is not None]
    silent = [v for v in volumes if v.orientation is None]
    if not told:
        return volumes
    if all(np.allclose(_directions(v), _directions(told[0]), atol=1e-3) for v in told):
        if not silent or is_upright(told[0]):
            return volumes
        a, b = _called(told[0], silent[0])
        note = (
            f"The grid of {a} is mirrored or turned in space, while {b} does not tell how it lies: "
            "they are compared voxel by voxel, as if they lay on each other."
        )
        return tuple(v.noted(note) if v is silent[0] else v for v in volumes)
    facing = tuple(upright(v) for v in volumes)
    other = next((i for i, v in enumerate(facing) if not is_upright(v)), None)
    if other is not None:
        first = next(v for v in told if v is not volumes[other])
        a, b = _called(first, volumes[other])
        raise UserError(
            f"{a} and {b} are turned in space against each other: resample one to the other's grid."
        )
    return facing


def _directions(volume: Volume) -> np.ndarray:
    return np.eye(3) if volume.orientation is None else np.asarray(volume.orientation)


def _placed(volume: Volume, grid: Volume) -> Volume:
    """Return a volume on the grid of another one, or refuse it."""
    a, b = _called(grid, volume)
    spacing, origin = grid.step, grid.origin
    shared = volume.replace(spacing=spacing, origin=origin, orientation=grid.orientation)
    if volume.spacing is None:
        return shared.noted(
            f"{b} does not tell its voxel size: that of {a} is taken, {micron(spacing)}."
        )
    if not np.allclose(spacing, volume.spacing, rtol=_SAME):
        raise UserError(
            f"{a} has voxels of {micron(spacing)}, but {b} of {micron(volume.spacing)}: correct "
            "the one that is wrong, or resample one to the other's grid."
        )
    away = np.abs(np.subtract(origin, volume.origin))
    if volume.origin != NO_POSITION and (away > spacing).any():
        return shared.noted(
            f"{a} and {b} tell different positions, {in_words(origin)} and "
            f"{in_words(volume.origin)} µm (z, y, x): they are compared voxel by voxel, as if they "
            "lay on each other."
        )
    return shared


def _called(first: Volume, second: Volume) -> tuple[str, str]:
    """Return what to call two volumes: their files, or their names where these tell no more."""
    if first.source is None or second.source is None or first.source == second.source:
        return first.name, second.name
    return first.source, second.source


def in_words(values: Iterable[float]) -> str:
    """Return sizes such as "4 × 8 × 8"."""
    return " × ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values)


def micron(spacing: Spacing) -> str:
    """Return a voxel size with its unit and the order of its axes."""
    return f"{in_words(float(s) for s in spacing)} µm (z, y, x)"
