"""What lies between cells: fibres, neurites and debris."""

from __future__ import annotations

import numpy as np
from scipy import fft

from .cells import Tissue
from .grid import Array, Grid
from .index import add_ball


def between_cells(
    tissue: Tissue, grid: Grid, unit: float, plane: float | None, rng: np.random.Generator
) -> Array:
    """Return Δn of what lies between cells, and shows through them a little (float32).

    Parameters
    ----------
    tissue : Tissue
        The cells.
    grid : Grid
        The grid, its spacing in units.
    unit : float
        µm of a unit.
    plane : float, optional
        The z of a coverslip on which all lies.
    rng : Generator
        Source of chance.
    """
    extra = np.zeros(grid.shape, np.float32)
    if rng.random() < 0.35:
        number = int(rng.integers(4, 40))
        radius = rng.uniform(0.2, 0.9) / unit
        wandering = float(rng.choice([0.02, 0.1, 0.25]))
        way = rng.normal(size=3) if rng.random() < 0.4 else None
        lines = tubes(grid, rng, number, radius, wandering, way, plane)
        extra += np.float32(rng.uniform(0.004, 0.025)) * lines
    if rng.random() < 0.4:
        number = int(rng.integers(5, 80))
        pieces = debris(grid, rng, number, rng.uniform(0.25, 1.0) / unit, plane)
        extra += np.float32(rng.uniform(0.01, 0.05)) * pieces
    return extra * (1 - tissue.inside()) * (1 - np.float32(0.6) * tissue.in_cell())


def tubes(
    grid: Grid,
    rng: np.random.Generator,
    number: int,
    radius: float,
    wandering: float,
    way: Array | None = None,
    plane: float | None = None,
) -> Array:
    """Return thin tubes (float32, 1 at their axis).

    Parameters
    ----------
    grid : Grid
        The grid.
    rng : Generator
        Source of chance.
    number : int
        How many.
    radius : float
        Of a tube, in the grid's unit of length.
    wandering : float
        How fast a tube turns, radians per square root of length; 0 is straight.
    way : ndarray, optional
        Direction (3,) that they have in common.
    plane : float, optional
        The z near which they stay.
    """
    step = np.array(grid.spacing)
    low = -np.array(grid.margin) * step
    high = low + np.array(grid.shape) * step
    pace = 0.7 * float(step.min())
    count = int(1.2 * float(np.max(high - low)) / pace)
    axis = rng.normal(size=(number, 3)) if way is None else way + rng.normal(0, 0.2, (number, 3))
    turns = np.cumsum(rng.normal(0, wandering * pace**0.5, (number, count, 3)), axis=1)
    axis = axis[:, None] / np.linalg.norm(axis, axis=1)[:, None, None] + turns
    if plane is not None:
        axis[..., 0] *= 0.03
    axis *= pace / np.linalg.norm(axis, axis=2, keepdims=True)
    places = np.cumsum(axis, axis=1)
    places += rng.uniform(low, high, (number, 1, 3)) - places[:, count // 2, None]
    if plane is not None:
        places[..., 0] += plane - places[:, count // 2, None, 0]
    voxels = np.floor(places / step).astype(int) + grid.margin
    voxels = voxels.reshape(-1, 3)
    voxels = voxels[np.all((voxels >= 0) & (voxels < grid.shape), axis=1)]
    line = np.zeros(grid.shape, np.float32)
    np.add.at(line, tuple(voxels.T), np.float32(1))
    sigma = np.maximum(radius / 1.5, 0.5 * step)
    # the axis of a blurred line of one point per `pace` holds 1 / (2π σ² pace) points per volume
    across = float(sigma.max() * sigma.min())
    scale = 2 * np.pi * across * pace / float(np.prod(step))
    soft = fft.irfftn(fft.rfftn(line) * grid.gaussian(tuple(sigma)), grid.shape)
    return np.clip(soft * np.float32(scale), 0, 1.5).astype(np.float32)


def debris(
    grid: Grid, rng: np.random.Generator, number: int, size: float, plane: float | None = None
) -> Array:
    """Return small bright pieces (float32, 0 to 1) of about `size` radius; see `tubes`."""
    step = np.array(grid.spacing)
    low = -np.array(grid.margin) * step
    high = low + np.array(grid.shape) * step
    pieces = np.zeros(grid.shape, np.float32)
    for _ in range(number):
        centre = rng.uniform(low, high)
        if plane is not None:
            centre[0] = plane + abs(rng.normal(0, 2.0))
        for _ in range(int(rng.integers(1, 4))):
            radius = size * float(np.exp(rng.normal(0, 0.5)))
            add_ball(pieces, grid, centre, radius, rng.uniform(0.2, 1.0))
            centre = centre + rng.normal(0, radius, 3)
    return pieces
