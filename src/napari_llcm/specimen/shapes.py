"""Nuclei that are not round: flattened, stretched, bent, lobed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .cells import Body
from .grid import Array


@dataclass(frozen=True)
class BentBody(Body):
    """A body whose long axis is a parabola.

    Parameters
    ----------
    along, aside : ndarray
        Unit vectors (3,) of the long axis and of the way it bends.
    curvature : float
        The axis is moved by curvature · s² at the distance s from the centre.
    """

    along: Array = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))
    aside: Array = field(default_factory=lambda: np.array([0.0, 1.0, 0.0]))
    curvature: float = 0.0

    def levels(self, z: Array, y: Array, x: Array) -> tuple[Array, Array]:
        """Return the levels of the straight body at the places that the bend moves here."""
        s = np.float32(self.along[0]) * z + np.float32(self.along[1]) * y
        s = s + np.float32(self.along[2]) * x
        shift = np.float32(self.curvature) * s**2
        z, y, x = (p - np.float32(w) * shift for p, w in zip((z, y, x), self.aside, strict=True))
        return super().levels(z, y, x)


def flattened(body: Body, thickness: float, angle: float, length: float) -> Body:
    """Return the body lying flat.

    Parameters
    ----------
    body : Body
        A body.
    thickness : float
        Its new thickness along z.
    angle : float
        Of its long axis in the plane, radians.
    length : float
        Its long axis relative to the short one.
    """
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.array([[1.0, 0, 0], [0, c, s], [0, -s, c]])
    axes = np.array([thickness / 2, body.radius * length**0.5, body.radius / length**0.5])
    lean = body.lean * (0.0, 1.0, 1.0)
    return replace(body, semi_axes=axes, rotation=rotation, lean=lean)


def scaled(body: Body, factor: float) -> Body:
    """Return the body `factor` times as large, its cell too."""
    return replace(
        body,
        semi_axes=body.semi_axes * factor,
        cytoplasm=body.cytoplasm * factor,
        fragments=body.fragments * factor,
    )


def stretched(body: Body, way: Array, length: float) -> Body:
    """Return the body of the same volume drawn out along `way` (3,), `length` times its width."""
    along = way / np.linalg.norm(way)
    across = np.cross(along, (0.0, along[2], -along[1]) if along[0] ** 2 < 0.9 else (0.0, 0.0, 1.0))
    across /= np.linalg.norm(across)
    rotation = np.array([along, across, np.cross(along, across)])
    axes = body.radius * np.array([length ** (2 / 3), length ** (-1 / 3), length ** (-1 / 3)])
    return replace(body, semi_axes=axes, rotation=rotation)


def bent(body: Body, rng: np.random.Generator) -> Body:
    """Return the body bent along its longest axis, by up to its own width."""
    order = np.argsort(body.semi_axes)
    along, aside = body.rotation[order[2]], body.rotation[order[1]]
    long, short = body.semi_axes[order[2]], body.semi_axes[order[1]]
    # a round one that bends becomes a triangle
    most = 0.9 * min(long / short - 1, 1.0)
    curvature = float(rng.uniform(0.0, most) * short / long**2)
    return BentBody(**vars(body), along=along, aside=aside, curvature=curvature)


def lobed(body: Body, rng: np.random.Generator) -> Body:
    """Return a nucleus of two to four lobes around a smaller middle."""
    number = int(rng.integers(2, 5))
    ways = rng.normal(size=(number, 3))
    ways *= 0.75 * body.radius / np.linalg.norm(ways, axis=1, keepdims=True)
    pieces = np.column_stack([ways, body.radius * rng.uniform(0.5, 0.7, number)])
    return replace(body, semi_axes=body.semi_axes * 0.8, fragments=pieces)
