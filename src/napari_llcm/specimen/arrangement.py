"""How cells lie in space: alone, in dense tissue, in balls, in clumps, along fibres.

Lengths are in units in which a nucleus has a radius of 3.8, as µm are in `cells`: whoever asks for
nuclei of another size scales the finished cells, so that cytoplasm and surface waves scale with
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .cells import Body, Tissue, add_bodies, draw_body, draw_kind, empty_tissue, pack
from .difficulty import Difficulty
from .grid import Array, Grid, Triple
from .shapes import bent, lobed, stretched

RADIUS = 3.8  # of a nucleus, in units
_TRIES = 40  # places that are tried for each body


@dataclass(frozen=True)
class Scene:
    """Where cells are put, in units.

    Parameters
    ----------
    grid : Grid
        The grid, its spacing in units.
    field : tuple of float
        Size (z, y, x) of the field of view.
    preset : Difficulty
        Kinds, contrast and brightness of the bodies.
    unit : float
        µm of one unit, as asked for.
    """

    grid: Grid
    field: Triple
    preset: Difficulty
    unit: float

    @property
    def low(self) -> Array:
        """Return the near corner of the grid."""
        return np.asarray(-np.array(self.grid.margin) * self.grid.spacing)

    @property
    def high(self) -> Array:
        """Return the far corner of the grid."""
        return np.asarray(self.low + np.array(self.grid.shape) * self.grid.spacing)

    def draw_bodies(self, density: float, rng: np.random.Generator) -> list[Body]:
        """Return bodies without a place, `density` in 10⁵ cubic units of the whole grid."""
        wanted = round(density * float(np.prod(self.high - self.low)) / 1e5)
        kinds = [draw_kind(self.preset, rng) for _ in range(max(wanted, 6))]
        return [draw_body(kind, np.zeros(3), self.preset, rng) for kind in kinds]


def scatter(
    scene: Scene,
    bodies: Sequence[Body],
    rng: np.random.Generator,
    *,
    allowed: Callable[[Array], Array] | None = None,
    plane: float | None = None,
    closeness: float = 0.92,
    touching: float | None = None,
) -> list[Body]:
    """Return the bodies for which a free place was found.

    As in `pack`, no nucleus is cut by the border of the field through less than half.

    Parameters
    ----------
    scene : Scene
        Where to put them.
    bodies : sequence of Body
        What to put, in this order.
    rng : Generator
        Source of chance.
    allowed : callable, optional
        Tells for places (n, 3) whether a body may be there.
    plane : float, optional
        Put all at this z.
    closeness : float
        Smallest distance of two bodies, relative to the sum of their radii.
    touching : float, optional
        Share that is put in touch with another one; of the preset if not given.
    """
    low, high = scene.low, scene.high
    if plane is not None:
        low, high = low.copy(), high.copy()
        low[0] = high[0] = plane
    free = high > low
    touching = scene.preset.crowding if touching is None else touching
    field = np.array(scene.field)
    centres, radii = np.zeros((len(bodies), 3)), np.zeros(len(bodies))
    placed: list[Body] = []
    for body in bodies:
        n, radius = len(placed), float(np.sqrt(np.prod(np.sort(body.semi_axes)[1:])))
        places = rng.uniform(low, high, (_TRIES, 3))
        if n and rng.random() < touching:  # in touch with one that is there
            other = rng.integers(n, size=_TRIES)
            way = rng.normal(size=(_TRIES, 3)) * free
            way /= np.linalg.norm(way, axis=1, keepdims=True)
            gap = closeness * (radii[other] + radius) * rng.uniform(1.0, 1.12, _TRIES)
            places = centres[other] + way * gap[:, None]
        outside = np.maximum(-places, places - field)[:, free].max(1)
        ok = (outside <= 0) | (outside >= 1.25 * body.semi_axes.max())
        ok &= np.all((places >= low) & (places <= high), axis=1)
        if allowed is not None:
            ok &= allowed(places)
        apart = np.linalg.norm(places[:, None] - centres[None, :n], axis=2)
        ok &= np.all(apart >= closeness * (radii[:n] + radius), axis=1)
        if ok.any():
            centres[n], radii[n] = places[np.argmax(ok)], radius
            placed.append(replace(body, centre=centres[n].copy()))
    return placed


def tissue(scene: Scene, rng: np.random.Generator) -> tuple[Tissue, list[Body]]:
    """Return tissue as `make_specimen` makes it."""
    return _tissue(scene, pack(scene.field, scene.grid, scene.preset, rng))


def sparse(scene: Scene, rng: np.random.Generator) -> tuple[Tissue, list[Body]]:
    """Return single round cells in medium, all through the stack or settled near one plane."""
    bodies = scene.draw_bodies(rng.uniform(4, 14), rng)
    if rng.random() < 0.3:
        bodies = [lobed(b, rng) if b.kind == "interphase" else b for b in bodies]
    allowed = None
    if rng.random() < 0.4:
        level = rng.uniform(0.2, 0.8) * scene.field[0]

        def allowed(places: Array) -> Array:
            return np.abs(places[:, 0] - level) < RADIUS

    return _tissue(scene, scatter(scene, bodies, rng, allowed=allowed))


def confluent(scene: Scene, rng: np.random.Generator) -> tuple[Tissue, list[Body]]:
    """Return tissue without gaps: each place belongs to a cell."""
    bodies = scene.draw_bodies(rng.uniform(28, 48), rng)
    bodies = scatter(scene, bodies, rng, touching=0.3 * scene.preset.crowding)
    return _filled(*_tissue(scene, bodies))


def spheroid(scene: Scene, rng: np.random.Generator) -> tuple[Tissue, list[Body]]:
    """Return balls of dense cells in medium, sometimes with dead cells at their heart."""
    return _balls(scene, rng, count=int(rng.integers(1, 4)), radius=(16, 42), closeness=0.95)


def crowded(scene: Scene, rng: np.random.Generator) -> tuple[Tissue, list[Body]]:
    """Return clumps whose nuclei press against each other, around a cavity or none."""
    return _balls(scene, rng, count=int(rng.integers(1, 3)), radius=(18, 34), closeness=0.84)


def elongated(scene: Scene, rng: np.random.Generator) -> tuple[Tissue, list[Body]]:
    """Return long, bent nuclei that lie along one direction, as in muscle or stroma."""
    way = rng.normal(size=3) * (0.35, 1, 1)
    bodies = [
        bent(stretched(b, way + rng.normal(0, 0.25, 3), rng.uniform(1.6, 3.2)), rng)
        if b.kind == "interphase"
        else b
        for b in scene.draw_bodies(rng.uniform(10, 30), rng)
    ]
    made = _tissue(scene, scatter(scene, bodies, rng, closeness=1.0))
    return _filled(*made) if rng.random() < 0.5 else made


def _tissue(scene: Scene, bodies: list[Body]) -> tuple[Tissue, list[Body]]:
    made = empty_tissue(scene.grid)
    add_bodies(made, bodies, scene.grid)
    return made, bodies


def _filled(
    made: Tissue, bodies: list[Body], level: Array | float = -1.0
) -> tuple[Tissue, list[Body]]:
    """Return the tissue with cytoplasm wherever `level` (a distance to its surface) is negative."""
    made.cell_level = np.minimum(made.cell_level, np.float32(level))
    return made, bodies


def _balls(
    scene: Scene,
    rng: np.random.Generator,
    count: int,
    radius: tuple[float, float],
    closeness: float,
) -> tuple[Tissue, list[Body]]:
    """Return cells inside `count` ellipsoids; the first is centred in the field."""
    field = np.array(scene.field)
    middle = [field * rng.uniform(0.25, 0.75, 3)]
    middle += [field * rng.uniform(-0.1, 1.1, 3) for _ in range(count - 1)]
    axes = [rng.uniform(*radius) * np.exp(rng.normal(0, 0.12, 3)) for _ in range(count)]
    hollow = rng.uniform(0.4, 0.7) if rng.random() < 0.35 else 0.0

    def depth(z: Array, y: Array, x: Array) -> Array:
        """Return the distance to the surface of the nearest ball, negative inside."""
        levels = []
        for centre, half in zip(middle, axes, strict=True):
            parts = [((p - c) / h) ** 2 for p, c, h in zip((z, y, x), centre, half, strict=True)]
            rho = np.sqrt(parts[0] + parts[1] + parts[2])
            size = float(np.prod(half) ** (1 / 3))
            levels.append(np.maximum(rho - 1, hollow - rho) * size)
        return np.asarray(np.minimum.reduce(levels), np.float32)

    bodies = scatter(
        scene,
        scene.draw_bodies(rng.uniform(45, 75), rng),
        rng,
        allowed=lambda p: depth(*p.T) < -0.8 * RADIUS,
        closeness=closeness,
    )
    z, y, x = (scene.grid.positions(axis) for axis in range(3))
    return _filled(*_tissue(scene, bodies), depth(z[:, None, None], y[:, None], x))
