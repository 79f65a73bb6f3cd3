"""Cells and their refractive index, for independent_specimens.py.

Nuclei are smoothed random polyhedra or metaballs, a cell is the Voronoi region around each, and
textures are fractal noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from independent_optics import Microscope

MEDIUM = 1.335


@dataclass(frozen=True)
class Kind:
    """A kind of specimen under a kind of microscope.

    Parameters
    ----------
    scope : Microscope
        What looks at it.
    spacing : tuple of float
        µm (z, y, x).
    width : float
        Typical nucleus, µm.
    spread : float
        Deviation of the logarithm of the width.
    crowding : float
        Least distance of two centres, in widths.
    share : float
        Of the field in which centres are sought at all (cells come in groups below 1).
    metaballs : float
        Share of nuclei that are metaballs, and not polyhedra.
    flat : float
        By how much nuclei are flattened along z; below 1 they lie on a substrate.
    cytoplasm : float
        How far a cell reaches beyond its nucleus, in widths.
    nucleus, inside : float
        Refractive index of nucleus and cytoplasm above the medium.
    texture : float
        Deviation of the index within both.
    droplets, debris : int
        For each 100 000 µm³.
    """

    scope: Microscope
    spacing: tuple[float, float, float]
    width: float
    spread: float
    crowding: float
    metaballs: float
    nucleus: float
    inside: float
    share: float = 1.0
    flat: float = 1.0
    cytoplasm: float = 0.5
    texture: float = 0.002
    droplets: int = 0
    debris: int = 0
    dapi: dict[str, float] = field(default_factory=dict)


def fractal(
    shape: tuple[int, ...], grain: np.ndarray, rng: np.random.Generator, octaves: int = 4
) -> np.ndarray:
    """Return noise of mean 0 and deviation 1: lattices of random values, each finer and weaker.

    Parameters
    ----------
    shape : tuple of int
        Of the result.
    grain : ndarray
        Voxels between two points of the coarsest lattice.
    rng : Generator
        Draws the lattices.
    octaves : int
        How many lattices.
    """
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        step = np.maximum(grain / 2**octave, 1)
        lattice = rng.normal(size=[int(n / s) + 4 for n, s in zip(shape, step, strict=True)])
        start = rng.uniform(0, 1, 3)
        fine = ndimage.affine_transform(
            lattice.astype(np.float32), 1 / step, start + 1, output_shape=shape, order=3
        )
        total += fine / 2 ** (octave * 0.8)
    return (total - total.mean()) / total.std()


def cells(
    kind: Kind, shape: tuple[int, int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, depth below the nuclear surface (µm) and refractive index."""
    spacing = np.array(kind.spacing)
    extent = np.array(shape) * spacing
    labels = np.zeros(shape, np.uint16)
    depth = np.full(shape, -1e3, np.float32)  # the largest over all nuclei
    cell = np.full(shape, -1e3, np.float32)
    bumps = fractal(shape, 0.4 * kind.width / spacing, rng)
    for number, (centre, radius) in enumerate(_centres(kind, extent, rng), 1):
        reach = radius * (1.4 + 2 * kind.cytoplasm)
        low = np.maximum(((centre - reach) / spacing).astype(int), 0)
        high = np.minimum(((centre + reach) / spacing).astype(int) + 2, shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        grid = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
        away = [(g + 0.5) * s - c for g, s, c in zip(grid, spacing, centre, strict=True)]
        away = np.stack(np.meshgrid(*away, indexing="ij"), -1)
        rounded = away / np.array([kind.flat, 1, 1])
        shape_of = _metaballs if rng.random() < kind.metaballs else _polyhedron
        inside = (shape_of(radius, rng)(rounded) + 0.05 * radius * bumps[box]).astype(np.float32)
        new = (inside > 0) & (inside > depth[box])
        labels[box][new] = number
        depth[box] = np.maximum(depth[box], inside)
        body = radius + 2 * radius * kind.cytoplasm - np.linalg.norm(rounded, axis=-1)
        body = np.maximum(body + 0.25 * radius * bumps[box], inside + 0.4)  # a rim of cytoplasm
        near = body - np.float32(0.5 * radius)
        wall = (near > 0) & (cell[box] > 0) & (np.abs(near - cell[box]) < 0.25)
        cell[box] = np.where(wall, -0.1, np.maximum(cell[box], body))  # Voronoi walls are thin
    if kind.flat < 1:  # nothing lies below the substrate
        floor = np.arange(shape[0]) * spacing[0] < 0.25 * extent[0]
        for volume in (depth, cell):
            volume[floor] = -1e3
        labels[floor] = 0
    return labels, depth, _index(kind, labels, depth, cell, rng)


def _centres(
    kind: Kind, extent: np.ndarray, rng: np.random.Generator
) -> list[tuple[np.ndarray, float]]:
    """Return centre (µm) and radius of each nucleus: darts that hit no other."""
    group = rng.uniform(0, 1, (3, 3)) * extent
    found: list[tuple[np.ndarray, float]] = []
    for _ in range(6000):
        centre = rng.uniform(0, 1, 3) * extent
        radius = kind.width / 2 * np.exp(rng.normal(0, kind.spread))
        if kind.flat < 1:
            centre[0] = 0.25 * extent[0] + kind.flat * radius * rng.uniform(0.9, 1.2) + 0.5
        if kind.share < 1:
            far = np.linalg.norm((group - centre)[:, 1:], axis=1).min()
            if far > 0.42 * kind.share * extent[1]:
                continue
        flat = np.array([kind.flat, 1, 1])
        if all(
            np.linalg.norm((centre - other) / flat) > kind.crowding * (radius + beside)
            for other, beside in found
        ):
            found.append((centre, radius))
    return found


def _polyhedron(radius: float, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Return the depth below the surface of a polyhedron with rounded edges."""
    faces = int(rng.integers(9, 16))
    normal = rng.normal(size=(faces, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    long = np.exp(rng.normal(0, 0.12, 3))
    far = radius * rng.uniform(0.85, 1.1, faces) * np.linalg.norm(normal * long, axis=1)
    round_off = 7 / radius
    return lambda at: np.minimum(
        -np.log(np.exp(round_off * (at @ normal.T - far)).sum(-1)) / round_off,
        1.25 * radius - np.linalg.norm(at, axis=-1),
    )


def _metaballs(radius: float, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Return roughly the depth below the surface of some balls that melt into each other."""
    count = int(rng.integers(3, 6))
    centre = rng.normal(0, 0.3, (count, 3)) * radius
    wide = radius * rng.uniform(0.5, 0.62, count)
    return lambda at: (
        0.45
        * radius
        * np.log(
            sum(
                np.exp(-((at - c) ** 2).sum(-1) / (2 * w**2))
                for c, w in zip(centre, wide, strict=True)
            )
            / 0.55
            + 1e-6
        )
    )


def _index(
    kind: Kind, labels: np.ndarray, depth: np.ndarray, cell: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return the refractive index."""
    spacing = np.array(kind.spacing)
    soft = np.clip(cell / 0.6, 0, 1)
    coarse = fractal(labels.shape, 1.6 / spacing, rng)
    above = soft * (kind.inside + kind.texture * coarse)
    nucleus = kind.nucleus + 0.7 * kind.texture * fractal(labels.shape, 1.0 / spacing, rng)
    share = np.clip(depth / 0.4 + 0.5, 0, 1)
    above += share * (nucleus - above)
    above += 0.005 * np.exp(-((depth / 0.3) ** 2)) * (soft > 0)  # the envelope
    ids = np.flatnonzero(np.bincount(labels.ravel()))[1:]
    for centre in ndimage.center_of_mass(labels > 0, labels, ids):
        for _ in range(rng.integers(1, 4)):
            place = (np.array(centre) + 0.5) * spacing + rng.normal(0, 0.13, 3) * kind.width
            _ball(above, place, 0.11 * kind.width * rng.uniform(0.7, 1.3), 0.012, spacing)
    volume = np.prod(np.array(labels.shape) * spacing) / 1e5
    cytoplasm = np.argwhere((cell > 0.3) & (depth < -0.3))
    outside = np.argwhere((cell < 0) & (depth < -0.3))
    for where, count, index, sizes in (
        (cytoplasm, kind.droplets, 0.05, (0.3, 0.9)),
        (outside, kind.debris, 0.03, (0.4, 2.0)),
    ):
        for at in rng.permutation(where)[: int(count * volume)]:
            _ball(above, (at + 0.5) * spacing, rng.uniform(*sizes), index, spacing)
    return (MEDIUM + above).astype(np.float32)


def _ball(
    above: np.ndarray, place: np.ndarray, radius: float, index: float, spacing: np.ndarray
) -> None:
    """Add a soft ball (µm)."""
    low = np.maximum(((place - 2 * radius) / spacing).astype(int), 0)
    high = np.minimum(((place + 2 * radius) / spacing).astype(int) + 2, above.shape)
    if (high <= low).any():
        return
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    grid = np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij")
    far = np.sqrt(
        sum(((g + 0.5) * s - p) ** 2 for g, s, p in zip(grid, spacing, place, strict=True))
    )
    above[box] += index * np.clip((radius - far) / 0.3 + 0.5, 0, 1)
