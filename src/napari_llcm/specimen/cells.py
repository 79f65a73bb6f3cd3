"""The geometry of a specimen: nuclei, their cells, and bodies that only look like nuclei."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from .difficulty import Difficulty
from .grid import Array, Grid, Triple

Kind = Literal["interphase", "mitotic", "apoptotic", "real", "vacuole", "corpse"]
WITH_DNA = ("interphase", "mitotic", "apoptotic")


@dataclass(frozen=True)
class Body:
    """A nucleus, or a body that looks like one; lengths in µm.

    Parameters
    ----------
    kind : str
        What it is.
    centre : ndarray
        Position (z, y, x).
    semi_axes : ndarray
        Half widths of the ellipsoid.
    rotation : ndarray
        Rotation matrix (3, 3) of the ellipsoid's axes.
    waves : ndarray
        Low-frequency deformation: rows of wave vector (3), phase and amplitude over directions.
    cytoplasm : float
        Mean thickness of the cytoplasm around it.
    lean : ndarray
        Direction in which the cytoplasm is thicker; at length 1 it vanishes on the other side.
    contrast : float
        Refractive index against the cytoplasm.
    brightness : float
        Dye relative to the median nucleus; 0 without DNA.
    fragments : ndarray
        Rows of offset (3) and radius: the pieces around an apoptotic nucleus.
    """

    kind: Kind
    centre: Array
    semi_axes: Array
    rotation: Array
    waves: Array
    cytoplasm: float
    lean: Array
    contrast: float
    brightness: float
    fragments: Array = field(default_factory=lambda: np.zeros((0, 4)))

    @property
    def radius(self) -> float:
        """Radius in µm of the ball of the same volume."""
        return float(np.prod(self.semi_axes) ** (1 / 3))

    @property
    def reach(self) -> float:
        """Distance in µm from the centre beyond which the body and its cell change nothing."""
        return float(self.semi_axes.max() * 1.3 + self.cytoplasm * 2.1 + 1.0)

    def levels(self, z: Array, y: Array, x: Array) -> tuple[Array, Array]:
        """Return the radial distances in µm to the surfaces of body and cell (inside < 0).

        Parameters
        ----------
        z, y, x : ndarray
            Offsets from the centre in µm, an open grid.
        """
        distance = np.sqrt(z**2 + y**2 + x**2) + np.float32(1e-3)
        turned = [
            (np.float32(r[0]) * z + np.float32(r[1]) * y + np.float32(r[2]) * x)
            for r in self.rotation
        ]
        scaled = [t / np.float32(a) for t, a in zip(turned, self.semi_axes, strict=True)]
        rho = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2) + np.float32(1e-4)
        bump = np.zeros_like(rho)
        for *vector, phase, amplitude in self.waves.astype(np.float32):
            along = sum(v * t for v, t in zip(vector, turned, strict=True))
            bump += amplitude * np.cos(along / distance + phase)
        body = distance * (1 - (1 + bump) / rho)
        lean = (self.lean[0] * z + self.lean[1] * y + self.lean[2] * x) / distance
        cell = body - np.float32(self.cytoplasm) * (1 + lean.astype(np.float32) - 2 * bump)
        for *offset, radius in self.fragments.astype(np.float32):
            piece = (z - offset[0]) ** 2 + (y - offset[1]) ** 2 + (x - offset[2]) ** 2
            body = np.minimum(body, np.sqrt(piece) - radius)
        return body, cell


@dataclass
class Tissue:
    """Where each body and cell lies on the grid.

    Parameters
    ----------
    level : ndarray
        Distance in µm to the surface of the nearest body, negative inside (float32).
    body : ndarray
        1 + index of that body, 0 far from all (int32).
    cell_level : ndarray
        Distance in µm to the surface of the cell, negative inside (float32).
    junction : ndarray
        Distance in µm to the next cell (float32).
    """

    level: Array
    body: Array
    cell_level: Array
    junction: Array

    def inside(self, softness: float = 0.35) -> Array:
        """Return how much of each voxel lies in a body, 0 to 1."""
        return np.clip(0.5 - self.level / (2 * softness), 0, 1)

    def in_cell(self, softness: float = 0.35) -> Array:
        """Return how much of each voxel lies in a cell, 0 to 1."""
        return np.clip(0.5 - self.cell_level / (2 * softness), 0, 1)


def draw_body(kind: Kind, centre: Array, preset: Difficulty, rng: np.random.Generator) -> Body:
    """Return a random body of one kind at `centre` (µm)."""
    size = preset.radius / 3.8
    radius = float(np.clip(rng.normal(3.8, 0.5), 2.75, 5.0)) * size
    stretch = np.exp(rng.normal(0, 0.12, 3))
    wobble, cytoplasm = 0.05, rng.uniform(1.5, 3.5)
    contrast = rng.uniform(*preset.contrast) * (-1 if rng.random() < preset.negative else 1)
    brightness = max(float(np.exp(rng.normal(0, preset.dye_spread))), preset.dye_floor)
    fragments = np.zeros((0, 4))
    if kind == "mitotic":  # a metaphase plate in a rounded cell
        radius, stretch, wobble = 3.2 * size, np.array([0.5, 1.4, 1.4]), 0.02
        cytoplasm, contrast, brightness = 3.0, abs(contrast) + 0.004, brightness * 1.6
    elif kind == "apoptotic":  # condensed, with pieces around it
        radius, cytoplasm = rng.uniform(1.9, 2.4) * size, 1.2
        contrast, brightness = abs(contrast) + 0.01, brightness * 1.8
        ways = rng.normal(size=(4, 3))
        ways *= radius * 0.95 / np.linalg.norm(ways, axis=1, keepdims=True)
        fragments = np.column_stack([ways, rng.uniform(0.7, 1.2, 4) * size])
    elif kind == "vacuole":  # smooth, in the cytoplasm of a cell cut beside its nucleus
        radius, wobble, brightness = radius * rng.uniform(0.6, 1.0), 0.02, 0.0
    elif kind == "corpse":  # a dead cell without DNA
        radius, wobble, brightness = radius * rng.uniform(0.7, 1.1), 0.07, 0.0
        cytoplasm, contrast = 0.0, rng.uniform(-0.008, 0.006)
    waves = np.column_stack(
        [rng.normal(0, 1.6, (4, 3)), rng.uniform(0, 2 * np.pi, 4), rng.normal(0, wobble, 4)]
    )
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    axes = radius * stretch / np.prod(stretch) ** (1 / 3)
    lean = rng.normal(size=3)
    lean *= rng.uniform(0.2, 0.9) / np.linalg.norm(lean)
    return Body(
        kind, centre, axes, rotation, waves, cytoplasm, lean, contrast, brightness, fragments
    )


def pack(field_um: Triple, grid: Grid, preset: Difficulty, rng: np.random.Generator) -> list[Body]:
    """Return bodies that fill the grid, some in touch with each other.

    No nucleus is cut by the border of the field through less than half, so that each one in the
    labels is a whole or at least a half.

    Parameters
    ----------
    field_um : tuple of float
        Size (z, y, x) of the field of view in µm; the grid goes beyond it on all sides.
    grid : Grid
        Grid with its margins.
    preset : Difficulty
        Settings.
    rng : Generator
        Source of chance.
    """
    low = -np.array(grid.margin) * grid.spacing
    high = low + np.array(grid.shape) * grid.spacing
    wanted = round(preset.density * np.prod(field_um) / 1e5 * rng.uniform(0.85, 1.15))
    bodies: list[Body] = []
    centres, radii = np.zeros((0, 3)), np.zeros(0)
    for _ in range(200 * wanted + 200):  # a field that is full ends the search
        if wanted <= 0:
            break
        kind = draw_kind(preset, rng)
        centre = rng.uniform(low, high)
        touching = len(bodies) > 0 and rng.random() < preset.crowding
        body = draw_body(kind, centre, preset, rng)
        if touching:
            other = int(rng.integers(len(bodies)))
            way = rng.normal(size=3)
            gap = (radii[other] + body.radius) * rng.uniform(0.93, 1.05)
            centre = centres[other] + way / np.linalg.norm(way) * gap
            body = replace(body, centre=centre)
        outside = float(np.max(np.maximum(-centre, centre - np.array(field_um))))
        taken = np.linalg.norm(centres - centre, axis=1) < 0.92 * (radii + body.radius)
        beyond = np.any(centre < low) or np.any(centre > high)
        if taken.any() or beyond or 0 < outside < 1.25 * body.semi_axes.max():
            continue
        bodies.append(body)
        centres, radii = np.vstack([centres, centre]), np.append(radii, body.radius)
        wanted -= kind in WITH_DNA and outside <= 0
    return bodies


def draw_kind(preset: Difficulty, rng: np.random.Generator) -> Kind:
    """Return what the next body is."""
    if rng.random() < preset.look_alikes / (1 + preset.look_alikes):
        return "vacuole" if rng.random() < 0.5 else "corpse"
    chance = rng.random()
    if chance < preset.mitotic:
        return "mitotic"
    return "apoptotic" if chance < preset.mitotic + preset.apoptotic else "interphase"


def empty_tissue(grid: Grid) -> Tissue:
    """Return a tissue without bodies."""
    far = np.float32(1e3)
    return Tissue(
        level=np.full(grid.shape, far, np.float32),
        body=np.zeros(grid.shape, np.int32),
        cell_level=np.full(grid.shape, far, np.float32),
        junction=np.full(grid.shape, far, np.float32),
    )


def add_bodies(tissue: Tissue, bodies: list[Body], grid: Grid, first: int = 1) -> None:
    """Draw bodies and cells into a tissue; those that touch share a flat contact.

    Parameters
    ----------
    tissue : Tissue
        Changed in place.
    bodies : list of Body
        What to draw.
    grid : Grid
        The grid of the tissue.
    first : int
        Number of the first body in `tissue.body`.
    """
    for number, body in enumerate(bodies, start=first):
        box, offsets = grid.box(body.centre, body.reach)
        level, cell = body.levels(*offsets)
        nearer = level < tissue.level[box]
        tissue.body[box][nearer] = number
        tissue.level[box][nearer] = level[nearer]
        # the second nearest cell is as far away as `cell_level + junction`
        before = tissue.cell_level[box]
        second = np.minimum(before + tissue.junction[box], np.maximum(cell, before))
        tissue.cell_level[box] = np.minimum(cell, before)
        tissue.junction[box] = second - tissue.cell_level[box]
