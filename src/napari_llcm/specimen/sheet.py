"""One layer of cells on a coverslip: flat nuclei under a thin cytoplasm, medium above and below.

The cytoplasm is a height over the coverslip: an edge of even thickness that rises to a roof over
each nucleus. Which cell a place belongs to, and how far away its edge is, are maps (y, x).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from .arrangement import RADIUS, Scene, scatter
from .cells import Body, Tissue, add_bodies, empty_tissue
from .grid import Array
from .shapes import bent, flattened, scaled

FLAT = (2.0, 5.0)  # µm: thickness of the nuclei of spread cells
TALL = (3.0, 10.0)  # and of those that stand side by side in an epithelium
LYING = ("interphase", "vacuole")  # kinds that are flat


@dataclass(frozen=True)
class Layer:
    """The shape of a layer, in units.

    Parameters
    ----------
    base : float
        Where the coverslip is at the origin of the field, along z.
    up : float
        1 or -1: where the cells are, seen from the coverslip.
    tilt : tuple of float
        Slope of the coverslip along y and x.
    edge : float
        Thickness of a cell far from its nucleus.
    roof : float
        Cytoplasm above and below the nucleus.
    fall : float
        Distance from the nucleus over which the roof falls to the edge.
    spread : float
        Mean distance from the nucleus to the edge of the cell.
    arms : float
        How much further the processes reach, relative to `spread`.
    """

    base: float
    up: float
    tilt: tuple[float, float]
    edge: float
    roof: float
    fall: float
    spread: float
    arms: float

    def height(self, z: Array, y: Array, x: Array) -> Array:
        """Return the height over the coverslip."""
        slope = np.float32(self.tilt[0]) * y + np.float32(self.tilt[1]) * x
        return np.asarray(np.float32(self.up) * (z - np.float32(self.base) - slope))


def adherent(scene: Scene, rng: np.random.Generator) -> tuple[Tissue, list[Body]]:
    """Return spread cells with processes and empty coverslip between them."""
    shape = {
        "edge": rng.uniform(0.3, 1.2) / scene.unit,
        "roof": rng.uniform(0.3, 0.8) / scene.unit,
        "fall": rng.uniform(1.0, 3.5),
        "spread": rng.uniform(1.5, 5.0),
        "arms": rng.uniform(0.2, 2.5),
    }
    return _lay(scene, rng, shape, FLAT, rng.uniform(0.08, 0.3), rng.uniform(1.0, 1.9))


def monolayer(scene: Scene, rng: np.random.Generator) -> tuple[Tissue, list[Body]]:
    """Return a closed layer of cells, or one with a few gaps."""
    shape = {
        "edge": rng.uniform(0.8, 4.0) / scene.unit,
        "roof": rng.uniform(0.3, 1.2) / scene.unit,
        "fall": rng.uniform(1.5, 5.0),
        "spread": rng.uniform(4.0, 14.0),
        "arms": 0.3,
    }
    height = TALL if rng.random() < 0.4 else FLAT
    return _lay(scene, rng, shape, height, rng.uniform(0.25, 0.55), rng.uniform(1.0, 1.4))


def _lay(
    scene: Scene,
    rng: np.random.Generator,
    shape: dict[str, float],
    height: tuple[float, float],
    cover: float,
    length: float,
) -> tuple[Tissue, list[Body]]:
    """Return a layer whose nuclei cover a share `cover` of the coverslip."""
    width = 2 * RADIUS * scene.unit
    most = rng.uniform(0.35, 0.75 if height is FLAT else 1.0) * width
    thickness = np.clip(rng.uniform(*height), 0.18 * width, most)
    thickness = float(thickness) / scene.unit
    middle = rng.uniform(0.2, 0.8) if rng.random() < 0.85 else rng.choice([0.0, 1.0])
    up = float(rng.choice([-1.0, 1.0]))
    slope = rng.uniform(0, 0.03) * thickness / RADIUS
    way = rng.uniform(0, 2 * np.pi)
    tilt = (float(slope * np.cos(way)), float(slope * np.sin(way)))
    lie = tilt[0] * scene.field[1] / 2 + tilt[1] * scene.field[2] / 2
    base = float(middle) * scene.field[0] - up * (thickness / 2 + shape["roof"]) - lie
    layer = Layer(base, up, tilt, **shape)
    area = float(np.prod((scene.high - scene.low)[1:]))
    density = 1e5 * cover / (np.pi * RADIUS**2) * area / float(np.prod(scene.high - scene.low))
    common = rng.uniform(0, np.pi)
    spread = rng.choice([0.3, 2.0])  # cells lie along each other, or any way
    rounded = float((thickness / (2 * RADIUS)) ** (1 / 3))  # of the same volume as a flat one
    flat = [
        bent(
            flattened(
                b,
                thickness * float(np.exp(rng.normal(0, 0.1))),
                common + rng.normal(0, spread),
                max(length * float(np.exp(rng.normal(0, 0.12))), 1.0),
            ),
            rng,
        )
        if b.kind in LYING
        else scaled(b, rounded)
        for b in scene.draw_bodies(density, rng)
    ]
    flat = scatter(scene, flat, rng, plane=0.0, closeness=rng.choice([0.8, 0.95, 1.15]))
    placed = []
    for body in flat:
        rise = layer.roof + (body.semi_axes[0] if body.kind in LYING else body.radius)
        _, y, x = body.centre
        z = layer.base + layer.tilt[0] * y + layer.tilt[1] * x + layer.up * rise
        placed.append(replace(body, centre=np.array([z, y, x])))
    # those that lie in the layer first: rounded cells stand on it with a cytoplasm of their own
    lying = [b for b in placed if b.kind in LYING]
    standing = [b for b in placed if b.kind not in LYING]
    return _tissue(scene, layer, lying, standing, rng), lying + standing


def _tissue(
    scene: Scene,
    layer: Layer,
    lying: Sequence[Body],
    standing: list[Body],
    rng: np.random.Generator,
) -> Tissue:
    grid = scene.grid
    tissue = empty_tissue(grid)
    add_bodies(tissue, list(lying), grid)
    z, y, x = (grid.positions(axis) for axis in range(3))
    z, y = z[:, None, None], y[:, None]
    first = np.full(grid.shape[1:], 1e3, np.float32)
    second, distance, roof = first.copy(), first.copy(), np.zeros_like(first)
    for body in lying:
        near, edge = _maps(body, layer, y, x, rng)
        mine = edge < first
        second = np.minimum(second, np.maximum(first, edge))
        first = np.minimum(first, edge)
        distance[mine] = near[mine]
        roof[mine] = 2 * (body.semi_axes[0] + layer.roof)
    rise = np.exp(-((np.maximum(distance, 0) / np.float32(layer.fall)) ** 2))
    top = layer.edge + np.maximum(roof - layer.edge, 0) * rise
    ruffles = ndimage.gaussian_filter(rng.standard_normal(top.shape), 4).astype(np.float32)
    top = ndimage.gaussian_filter(top, 1.0) * (1 + 0.12 * ruffles / ruffles.std())
    height = layer.height(z, y, x)
    # a thin sheet has no voxel of its own: its level says what share of a voxel it fills
    tissue.cell_level = np.maximum(np.maximum(-height, height - top), first).astype(np.float32)
    tissue.junction = np.broadcast_to(second - first, grid.shape).copy()
    add_bodies(tissue, standing, grid, first=len(lying) + 1)
    return tissue


def _maps(
    body: Body, layer: Layer, y: Array, x: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return the distances (y, x) to a nucleus and to the edge of its cell, seen from above."""
    y, x = y - np.float32(body.centre[1]), x - np.float32(body.centre[2])
    along = np.float32(body.rotation[1, 1]) * y + np.float32(body.rotation[1, 2]) * x
    across = np.float32(body.rotation[2, 1]) * y + np.float32(body.rotation[2, 2]) * x
    distance = np.sqrt(along**2 + across**2) + np.float32(1e-3)
    long, short = np.float32(body.semi_axes[1]), np.float32(body.semi_axes[2])
    rho = np.sqrt((along / long) ** 2 + (across / short) ** 2) + np.float32(1e-4)
    near = distance * (1 - 1 / rho)
    angle = np.arctan2(across, along)
    number = int(rng.integers(2, 6))
    ways = np.linspace(0, 2 * np.pi, number, endpoint=False) + rng.normal(0, 0.35, number)
    reach = np.full_like(near, 1.0 + rng.uniform(-0.3, 0.3))
    for way in ways.astype(np.float32):
        sharp = int(rng.integers(3, 14))
        arm = np.maximum(np.cos((angle - way) / 2), 0) ** np.float32(2 * sharp)
        reach += np.float32(layer.arms * rng.uniform(0.3, 1.5)) * arm
    return near, near - np.float32(layer.spread) * reach
