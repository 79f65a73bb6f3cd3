"""What is in the lungs: trees of arteries and veins, clots in the arteries, and nodules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .anatomy import HILUM, Chest
from .canvas import Canvas

_THINNEST = 0.45  # mm; smaller vessels are part of the lung's texture
_MOST = 900  # branches of one tree
Where = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Finding:
    """One embolus or nodule.

    Parameters
    ----------
    kind : str
        "embolus", or of a nodule "solid", "ground glass" or "calcified".
    voxel : tuple of float
        Its middle in voxels (z, y, x) of the thin volume.
    diameter : float
        In mm; of an embolus across the vessel.
    hu : float
        Its density.
    """

    kind: str
    voxel: tuple[float, float, float]
    diameter: float
    hu: float


@dataclass(frozen=True)
class Branch:
    """A piece of a vessel: ends (z, y, x) and radii there, mm."""

    start: np.ndarray
    end: np.ndarray
    radii: tuple[float, float]


def paint_lungs(canvas: Canvas, chest: Chest, rng: np.random.Generator) -> list[Finding]:
    """Paint vessels, clots and nodules, and return the findings that lie on the grid."""

    def depth(p: np.ndarray) -> float:
        """Return how deep in a lung a point lies, in mm."""
        z, y, x = (np.array([v], np.float32) for v in p)
        return -float(chest.lungs(z, y, x)[0])

    arteries, veins = list[Branch](), list[Branch]()
    for side in (-1, 1):
        z, y, x = HILUM
        arteries += _tree(np.array([z, y, side * x]), side, 6.5, rng, depth)
        veins += _tree(np.array([z - 22, y - 8, side * x]), side, 5.5, rng, depth)
    for branches, hu in ((veins, 0.8 * chest.contrast), (arteries, chest.contrast)):
        for one in branches:
            # a vessel thinner than a voxel still holds its blood: the share of a voxel
            canvas.tube(one.start, one.end, one.radii, hu, "blood")
    clots = [_clot(canvas, one, rng) for one in _chosen(arteries, rng)]
    return [f for f in (*clots, *_nodules(canvas, rng, depth)) if _is_on_grid(canvas, f)]


def _tree(
    root: np.ndarray, side: int, radius: float, rng: np.random.Generator, depth: Where
) -> list[Branch]:
    """Return the branches of one tree, each splitting in two until they are thin or leave.

    Flow goes with the third power of the radius (Murray, PNAS 12, 207, 1926).
    """
    branches = list[Branch]()
    todo = [(root, np.array([0.0, 0.0, float(side)]), radius)]
    while todo and len(branches) < _MOST:
        start, way, r = todo.pop(0)  # wide ones first
        for shorter in (1.0, 0.7, 0.5):
            length = shorter * (4 + 2.4 * r) * rng.uniform(0.8, 1.2)
            end = start + length * way
            if depth(end) > 1.5 or not branches:
                break
        else:
            continue
        branches.append(Branch(start, end, (r, r * 0.95)))
        share = rng.uniform(0.12, 0.5)  # of the flow
        spin = rng.normal(size=3)
        spin -= (spin @ way) * way
        spin /= np.linalg.norm(spin)
        for part, sign in ((1 - share, 1), (share, -1)):
            small = 0.97 * r * part ** (1 / 3)
            if small < _THINNEST:
                continue
            angle = np.radians(rng.uniform(60, 80)) * (1 - part)  # the smaller one turns more
            turned = np.cos(angle) * way + sign * np.sin(angle) * spin
            todo.append((end, turned / np.linalg.norm(turned), small))
    return branches


def _chosen(arteries: list[Branch], rng: np.random.Generator) -> list[Branch]:
    wide = [one for one in arteries if 1.2 < one.radii[0] < 5.5]
    count = min(int(rng.integers(5, 13)), len(wide))
    return [wide[i] for i in rng.choice(len(wide), count, replace=False)] if count else []


def _clot(canvas: Canvas, vessel: Branch, rng: np.random.Generator) -> Finding:
    """Paint a clot that fills a part of a vessel, and sits aside in it or closes it."""
    r = min(vessel.radii)
    size = r * rng.uniform(0.6, 0.95)
    aside = rng.normal(size=3)
    aside *= (r - size) / np.linalg.norm(aside)
    along = vessel.end - vessel.start
    a, b = vessel.start + 0.2 * along + aside, vessel.start + 0.8 * along + aside
    hu = float(rng.uniform(35, 75))
    canvas.tube(a, b, (size, size), hu, "embolus")
    return Finding("embolus", _voxel(canvas, (a + b) / 2), 2 * size, hu)


def _nodules(canvas: Canvas, rng: np.random.Generator, depth: Where) -> list[Finding]:
    kinds = {"solid": (20, 60), "ground glass": (-680, -450), "calcified": (250, 600)}
    found: list[Finding] = []
    low, high = (np.array([a[i] for a in canvas.axes]) for i in (0, -1))
    for _ in range(400):  # tries
        if len(found) >= 8:
            break
        at = rng.uniform(low, high)
        diameter = float(np.exp(rng.uniform(np.log(3), np.log(14))))
        if depth(at) < diameter / 2 + 2:
            continue
        kind = str(rng.choice(list(kinds), p=[0.6, 0.25, 0.15]))
        hu = float(rng.uniform(*kinds[kind]))
        radii = diameter / 2 * rng.uniform(0.8, 1.2, 3)
        canvas.ball(at, radii, hu, "nodule")
        found.append(Finding(kind, _voxel(canvas, at), diameter, hu))
    return found


def _voxel(canvas: Canvas, at: np.ndarray) -> tuple[float, float, float]:
    z, y, x = ((p - a[0]) / s for p, a, s in zip(at, canvas.axes, canvas.step, strict=True))
    return float(z), float(y), float(x)


def _is_on_grid(canvas: Canvas, found: Finding) -> bool:
    return all(0 <= v <= n - 1 for v, n in zip(found.voxel, canvas.hu.shape, strict=True))
