"""Voxels without data get values that mirror what lies around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

REACH = 32  # voxels into a hole that are filled from its surroundings


def filled(values: np.ndarray, mask: np.ndarray, background: float) -> np.ndarray:
    """Return a stack in memory (z, y, x) whose holes are filled as `FilledStack` does.

    Parameters
    ----------
    values : ndarray of float32
        Changed in place.
    mask : ndarray of bool
        The holes.
    background : float
        What lies more than 32 voxels inside a hole.
    """
    if not mask.any():
        return values
    dead = np.nonzero(mask.all((1, 2)))[0].tolist()
    filled_planes(values, mask, background)
    return values[sources(len(values), dead)] if dead else values


def filled_planes(values: np.ndarray, mask: np.ndarray, background: float) -> np.ndarray:
    """Return planes (z, y, x) whose holes mirror what lies beyond their nearest border.

    Parameters
    ----------
    values : ndarray of float32
        Changed in place.
    mask : ndarray of bool
        The holes.
    background : float
        What lies more than 32 voxels inside a hole.
    """
    from scipy.ndimage import distance_transform_edt

    before: np.ndarray | None = None
    for plane, hole in zip(values, mask, strict=True):
        if not hole.any():
            continue
        if hole.all():
            plane[:] = background
            continue
        if before is None or not np.array_equal(hole, before):
            away, near = distance_transform_edt(hole, return_indices=True)
            at, before = np.nonzero(hole), hole
            close = away[at] <= REACH
            border = [n[at] for n in near]
            # a voxel beyond the border as far as this one lies before it, if there is one
            beyond = [2 * b - a for a, b in zip(at, border, strict=True)]
            known = np.ones(len(close), bool)
            for b, n in zip(beyond, hole.shape, strict=True):
                known &= (b >= 0) & (b < n)
            known[known] = ~hole[tuple(b[known] for b in beyond)]
            source = tuple(np.where(known, m, b) for m, b in zip(beyond, border, strict=True))
        plane[at] = np.where(close, plane[source], np.float32(background))
    return values


def sources(depth: int, dead: Sequence[int]) -> np.ndarray:
    """Return of each plane which one is seen in its place: itself, or its mirror image."""
    planes = np.arange(depth)
    living = np.setdiff1d(planes, dead)
    if not len(dead) or not len(living):
        return planes
    nearest = living[np.abs(planes[:, None] - living).argmin(1)]
    mirror = 2 * nearest - planes
    known = (mirror >= 0) & (mirror < depth)
    known[known] = np.isin(mirror[known], living)
    return np.where(known, mirror, nearest)
