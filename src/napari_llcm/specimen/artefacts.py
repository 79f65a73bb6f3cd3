"""What a camera, a lamp and a stage add to an image: noise, dust, uneven light, drift."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import fft, ndimage

from .difficulty import Difficulty
from .grid import Array, Grid

Strength = Literal["none", "weak", "strong"]


@dataclass(frozen=True)
class Artefacts:
    """Image artefacts; without arguments there are none.

    Strengths are shares of the light, or with `of_contrast` of the standard deviation of what the
    specimen itself shows within 31 pixels, as in a stack that was stretched for the eye.

    Parameters
    ----------
    shot : float
        Standard deviation of white noise at the surface.
    attenuation : float
        Depth in µm over which the light falls to 1/e and shot noise grows.
    speckle, speckle_grain : float
        Coloured noise and its grain in µm.
    background, background_grain : float
        Slow background, other in each plane, and its grain in µm.
    stripes : float
        Offsets of the camera's rows, or of its columns, other in each plane.
    stripes_along : int
        1 for rows, 2 for columns: the axis along which a stripe is constant is the other one.
    fixed_pattern : float
        Offsets of single pixels, the same in each plane.
    uneven : float
        Difference of the illumination across the field: a slope and a bowl.
    dust : float
        Specks out of focus per 100 × 100 µm, which stay in place through the stack.
    pedestal : float
        Stray light and the camera's offset.
    saturation : float
        Light above the median at which the camera is full; 0 if it never is.
    drift : float
        Standard deviation of the gain from plane to plane.
    lateral : float
        Step in µm by which the specimen moves between two planes.
    dead_planes : float
        Share of planes that are empty.
    of_contrast : bool
        What strengths are shares of; drift and dead planes aside.
    strength : {"none", "weak", "strong"}
        What `shot`, `speckle`, `background`, `stripes` and `fixed_pattern` amount to.
    """

    shot: float = 0.0
    attenuation: float = 60.0
    speckle: float = 0.0
    speckle_grain: float = 0.4
    background: float = 0.0
    background_grain: float = 12.0
    stripes: float = 0.0
    stripes_along: int = 1
    fixed_pattern: float = 0.0
    uneven: float = 0.0
    dust: float = 0.0
    pedestal: float = 0.0
    saturation: float = 0.0
    drift: float = 0.0
    lateral: float = 0.0
    dead_planes: float = 0.0
    of_contrast: bool = False
    strength: Strength = field(default="none", compare=False)

    @classmethod
    def of(cls, preset: Difficulty) -> Artefacts:
        """Return the noise and the drift of a difficulty."""
        return cls(
            shot=1 / np.sqrt(preset.phase_photons),
            attenuation=preset.phase_length,
            speckle=preset.speckle,
            background=preset.background,
            drift=preset.drift,
        )

    @property
    def tags(self) -> tuple[str, ...]:
        """What a specimen with these artefacts may be asked for by."""
        return (f"noise:{self.strength}",)


def draw_artefacts(rng: np.random.Generator, strength: Strength | None = None) -> Artefacts:
    """Return artefacts as microscopes have them; noise from none to 60 % of the contrast.

    Parameters
    ----------
    rng : Generator
        Source of chance.
    strength : {"none", "weak", "strong"}, optional
        Of the noise; without it one is drawn.
    """
    drawn: Strength = strength or _STRENGTHS[int(rng.choice(3, p=(0.15, 0.5, 0.35)))]
    low, high = _SHARES[drawn]
    noise = _between(rng, low, high) if high else 0.0

    def sometimes(probability: float, low: float, high: float) -> float:
        """Return a number in a range, or 0 where the artefact is not there."""
        value, here = _between(rng, low, high), rng.random() < probability
        return value if here else 0.0

    return Artefacts(
        shot=noise,
        attenuation=_between(rng, 40, 400),
        speckle=noise * sometimes(0.5, 0.2, 1.0),
        speckle_grain=_between(rng, 0.2, 1.5),
        background=noise * sometimes(0.7, 0.2, 2.0),
        background_grain=_between(rng, 4, 30),
        stripes=noise * sometimes(0.2, 0.1, 0.7),
        stripes_along=int(rng.integers(1, 3)),
        fixed_pattern=noise * sometimes(0.3, 0.1, 0.7),
        uneven=sometimes(0.7, 0.1, 5),
        dust=sometimes(0.3, 0.5, 8),
        pedestal=sometimes(0.5, 0.1, 2),
        saturation=sometimes(0.4, 2.5, 10),
        drift=sometimes(0.6, 0.001, 0.05),
        lateral=sometimes(0.2, 0.02, 0.15),
        dead_planes=sometimes(0.05, 0.02, 0.06),
        of_contrast=True,
        strength=drawn,
    )


_STRENGTHS: tuple[Strength, ...] = ("none", "weak", "strong")
_SHARES: dict[Strength, tuple[float, float]] = {
    "none": (0, 0),
    "weak": (0.02, 0.12),
    "strong": (0.12, 0.6),
}


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number evenly distributed on a log scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


class Camera:
    """Exposes stacks of one specimen; the field stays, noise is new in each exposure.

    Parameters
    ----------
    grid : Grid
        Voxels.
    artefacts : Artefacts
        What is added.
    rng : Generator
        Source of chance.
    """

    def __init__(self, grid: Grid, artefacts: Artefacts, rng: np.random.Generator) -> None:
        self._grid, self._artefacts, self._rng = grid, artefacts, rng
        self._moves = _moves(grid, artefacts.lateral, rng) if artefacts.lateral else None
        self._light = _light(grid, artefacts, rng) if artefacts.uneven or artefacts.dust else None

    def expose(self, field: Array) -> Array:
        """Return a phase or a difference of two images as recorded: light adds to it (float32)."""
        unit = self._unit(field)
        seen = self._moved(field)
        if self._light is not None:
            seen = seen + unit * self._light
        return np.asarray(seen + unit * (self._noise() + np.float32(self._artefacts.pedestal)))

    def expose_light(self, intensity: Array) -> Array:
        """Return I/I₀ as recorded, in light that varies, until the camera is full (float32)."""
        unit, full = self._unit(intensity), self._artefacts.saturation
        seen = self._moved(intensity)
        if self._light is not None:
            seen = seen * np.exp(unit * self._light)
        seen = seen + unit * (self._noise() + np.float32(self._artefacts.pedestal))
        if full:
            seen = np.minimum(seen, np.median(seen) + unit * np.float32(full))
        return np.asarray(seen)

    def _unit(self, image: Array) -> np.float32:
        return _contrast(image) if self._artefacts.of_contrast else np.float32(1)

    def _moved(self, stack: Array) -> Array:
        if self._moves is None:
            return stack
        return np.stack([_shifted(*pair) for pair in zip(stack, self._moves, strict=True)])

    def flicker(self, image: Array) -> Array:
        """Return the image with a gain that drifts from plane to plane, and dead planes."""
        drawn = self._artefacts
        planes = (self._grid.shape[0], 1, 1)
        if drawn.drift:
            gain = 1 + drawn.drift * self._rng.standard_normal(planes)
            image = image * gain.astype(np.float32)
        if drawn.dead_planes:
            image = image * (self._rng.random(planes) >= drawn.dead_planes).astype(np.float32)
        return np.asarray(image, np.float32)

    def _noise(self) -> Array:
        """Return noise as a share of the detected light."""
        grid, drawn, rng = self._grid, self._artefacts, self._rng
        depth = np.maximum(grid.positions(0), 0)[:, None, None]
        noise = np.zeros((1, 1, 1), np.float32)
        if drawn.shot:
            shot = np.exp(depth / np.float32(2 * drawn.attenuation)) * drawn.shot
            noise = rng.standard_normal(grid.shape, dtype=np.float32) * shot.astype(np.float32)
        if drawn.speckle:
            noise = noise + np.float32(drawn.speckle) * grid.texture(rng, drawn.speckle_grain)
        if drawn.background:
            noise = noise + np.float32(drawn.background) * grid.texture(rng, drawn.background_grain)
        if drawn.stripes:
            shape = [*grid.shape]
            shape[3 - drawn.stripes_along] = 1
            noise = noise + np.float32(drawn.stripes) * rng.standard_normal(shape, np.float32)
        if drawn.fixed_pattern:
            pattern = rng.standard_normal((1, *grid.shape[1:]), np.float32)
            noise = noise + np.float32(drawn.fixed_pattern) * pattern
        return np.asarray(noise)


def _contrast(image: Array) -> np.float32:
    """Return the standard deviation of an image against its surroundings, 31 pixels wide."""
    planes = image[:: max(1, len(image) // 8)]
    return np.float32(np.std(planes - ndimage.uniform_filter(planes, (0, 31, 31))))


def _light(grid: Grid, drawn: Artefacts, rng: np.random.Generator) -> Array:
    """Return the logarithm of the light on an empty field (y, x): uneven, with specks of dust."""
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in grid.shape[1:])
    slope, bowl = rng.uniform(-1, 1, 2), rng.uniform(-1, 1)
    field = slope[0] * y[:, None] + slope[1] * x + bowl * (y[:, None] ** 2 + x**2 - 2 / 3)
    light = drawn.uneven * field / (np.ptp(field) + 1e-6)
    extent = [n * s for n, s in zip(grid.shape[1:], grid.spacing[1:], strict=True)]
    for _ in range(rng.poisson(drawn.dust * extent[0] * extent[1] / 1e4)):
        # a speck out of focus is a disc with a rim, or a ring; one near focus is a dark spot
        centre, radius = rng.uniform(0, extent), _between(rng, 1, 12)
        soft, depth = radius * rng.uniform(0.1, 0.5), rng.uniform(0.2, 2.5)
        ringed = rng.random() < 0.5
        away = np.hypot(
            (np.arange(grid.shape[1]) * grid.spacing[1] - centre[0])[:, None],
            np.arange(grid.shape[2]) * grid.spacing[2] - centre[1],
        )
        rim = np.exp(-(((away - radius) / soft) ** 2))
        disc = 1 / (1 + np.exp(np.clip((away - radius) / soft * 2, -30, 30)))
        light -= depth * (rim * rng.choice((-1, 1)) if ringed else disc)
    return np.asarray(light, np.float32)


def _moves(grid: Grid, step: float, rng: np.random.Generator) -> Array:
    """Return where the specimen stands in each plane (nz, 2) in pixels, 0 on average."""
    path = np.cumsum(rng.normal(0, step, (grid.shape[0], 2)), axis=0)
    path = ndimage.gaussian_filter1d(path, 1, axis=0)
    return np.asarray((path - path.mean(0)) / grid.spacing[1:], np.float32)


def _shifted(plane: Array, move: Array) -> Array:
    shape = (plane.shape[0], plane.shape[1])
    ky, kx = fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :]
    turn = np.exp(-2j * np.pi * (ky * move[0] + kx * move[1])).astype(np.complex64)
    return np.asarray(fft.irfft2(fft.rfft2(plane) * turn, shape))
