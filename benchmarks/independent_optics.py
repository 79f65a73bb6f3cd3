"""Multi-slice beam propagation through a volume of refractive index, for independent_specimens.py.

Every illuminating plane wave is carried through the volume slice by slice (a phase screen, then
free propagation over one slice by the angular spectrum), so that light is scattered more than
once; the field that leaves is focused back on each plane, filtered by the pupil of the objective,
and its intensity summed over the waves of the condenser. The last step turns intensities into what
a microscope hands out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

RING = 0.12  # width of the phase ring, as a share of the aperture of the objective


@dataclass(frozen=True)
class Microscope:
    """How a specimen is looked at.

    Parameters
    ----------
    mode : str
        "oblique" (two opposed pairs of half discs, phase by deconvolution), "brightfield",
        "zernike" or "dic".
    aperture, condenser : float
        Numerical apertures of the objective and of the illumination.
    waves : int
        How many plane waves stand for the condenser.
    finer : int
        How many points of the computation one camera pixel has along y and x.
    photons : float
        Mean number of photons of a camera pixel in one exposure.
    readout : float
        Readout noise in photons, correlated along rows and over some pixels.
    vignetting : float
        By how much the corners are darker.
    dust : int
        Specks that shade the same place of every plane.
    defocus : float
        µm by which the stage reads wrong.
    wavelength : float
        µm.
    """

    mode: str
    aperture: float
    condenser: float
    waves: int = 12
    finer: int = 1
    photons: float = 8000.0
    readout: float = 8.0
    vignetting: float = 0.15
    dust: int = 3
    defocus: float = 0.0
    wavelength: float = 0.55


def look(
    index: np.ndarray,
    medium: float,
    spacing: tuple[float, float, float],
    scope: Microscope,
    rng: np.random.Generator,
    margin: int,
) -> np.ndarray:
    """Return the stack that a microscope takes of a refractive index.

    Parameters
    ----------
    index : ndarray of float32
        Refractive index (z, y, x).
    medium : float
        Refractive index of what lies around.
    spacing : tuple of float
        µm (z, y, x).
    scope : Microscope
        What looks.
    rng : Generator
        Noise, dust and prism direction.
    margin : int
        Pixels along y and x that are cut off at each side, since light wraps around there.

    Returns
    -------
    ndarray of float32
        Phase in radian ("oblique"), else camera counts.
    """
    tilts = _condenser(scope, index.shape, spacing)
    if scope.mode == "oblique":
        angle = np.arctan2(tilts[:, 0], tilts[:, 1])
        weights = np.stack([np.maximum(np.cos(angle - turn * np.pi / 2), 0) for turn in range(4)])
    else:
        weights = np.ones((1, len(tilts)))
    weights /= weights.sum(axis=1, keepdims=True)
    exposed = _propagated(index - np.float32(medium), medium, spacing, scope, tilts, weights, rng)
    cut = (..., slice(margin, -margin), slice(margin, -margin))
    shade = _shade(exposed.shape[-2:], scope, rng, margin)
    taken = np.stack([_camera(image[cut], shade, scope, rng) for image in exposed])
    if scope.mode != "oblique":
        return taken[0]
    return _phase(taken, tilts, weights, spacing, scope)


def _condenser(
    scope: Microscope, shape: tuple[int, ...], spacing: tuple[float, float, float]
) -> np.ndarray:
    """Return the in-plane frequencies (n, 2) of the waves, each a whole number of periods."""
    n = np.arange(scope.waves) + 0.5
    turn = n * np.pi * (3 - 5**0.5)  # a sunflower fills a disc evenly
    if scope.mode == "zernike":
        radius, turn = np.full(len(n), scope.condenser), 2 * np.pi * n / scope.waves
    else:  # a disc, or for oblique light its outer part
        hole = 0.75 if scope.mode == "oblique" else 0.0
        radius = scope.condenser * np.sqrt(hole**2 + (1 - hole**2) * n / scope.waves)
    waves = np.stack([radius * np.sin(turn), radius * np.cos(turn)], 1) / scope.wavelength
    field = np.array(shape[1:]) * np.array(spacing[1:])
    return np.round(waves * field) / field


def _frequencies(shape: tuple[int, ...], pixel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, x = (np.fft.fftfreq(n, d) for n, d in zip(shape, pixel, strict=True))
    return y[:, None].astype(np.float32), x[None].astype(np.float32)


def _propagated(
    contrast: np.ndarray,
    medium: float,
    spacing: tuple[float, float, float],
    scope: Microscope,
    tilts: np.ndarray,
    weights: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the intensity of each exposure (n, z, y, x), which weighs the waves in its own way."""
    step, finer = spacing[0], scope.finer
    shape = tuple(n * finer for n in contrast.shape[1:])
    fy, fx = _frequencies(shape, np.array(spacing[1:]) / finer)
    axial = np.sqrt(np.maximum((medium / scope.wavelength) ** 2 - fy**2 - fx**2, 0))
    onwards = np.exp(2j * np.pi * step * axial).astype(np.complex64)
    # waves cross a slice at a slant, all at about the same one
    slant = np.sqrt(1 - (np.hypot(*tilts.T).mean() * scope.wavelength / medium) ** 2)
    delay = 2 * np.pi / scope.wavelength * step / slant
    screens = np.stack(
        [
            np.exp(
                1j * delay * ndimage.zoom(plane, finer, order=1, grid_mode=True, mode="grid-wrap")
            )
            for plane in contrast
        ]
    ).astype(np.complex64)
    depth = (len(contrast) - np.arange(len(contrast)) - 0.5) * step + scope.defocus
    backwards = np.stack([np.exp(-2j * np.pi * d * axial) for d in depth]).astype(np.complex64)
    periods = tilts * np.array(contrast.shape[1:]) * np.array(spacing[1:])
    y, x = (np.arange(n) / n for n in shape)
    shear = rng.uniform(0, 2 * np.pi)
    exposed = np.zeros((len(weights), *contrast.shape), np.float32)
    for tilt, period, shares in zip(tilts, periods, weights.T, strict=True):
        field = np.exp(2j * np.pi * (period[0] * y[:, None] + period[1] * x)).astype(np.complex64)
        for screen in screens:
            field = fft.ifft2(fft.fft2(field * screen) * onwards)
        left = fft.fft2(field) * _pupil(fy, fx, scope, tilt, shear)
        for z, back in enumerate(backwards):
            focused = fft.ifft2(left * back)
            light = focused.real**2 + focused.imag**2
            light = light.reshape(contrast.shape[1], finer, contrast.shape[2], finer).mean((1, 3))
            for image, share in zip(exposed, shares, strict=True):
                if share:
                    image[z] += np.float32(share) * light
    return exposed


def _pupil(
    fy: np.ndarray, fx: np.ndarray, scope: Microscope, tilt: np.ndarray, shear: float
) -> np.ndarray:
    """Return what the objective makes of each spatial frequency of the field."""
    radius = np.hypot(fy, fx) * scope.wavelength
    edge = 0.02 * scope.aperture
    pupil = (0.5 - 0.5 * np.tanh((radius - scope.aperture) / edge)).astype(np.complex64)
    if scope.mode == "zernike":  # a quarter wave of delay and less light for what went straight
        ring = np.abs(radius - scope.condenser) < RING * scope.aperture
        return np.where(ring, pupil * 0.5j, pupil)
    if scope.mode == "dic":  # two images, a little apart, that the second prism brings to differ
        apart = 0.6 * scope.wavelength / (2 * scope.aperture)  # µm
        along = (fy - tilt[0]) * np.sin(shear) + (fx - tilt[1]) * np.cos(shear)
        return pupil * np.sin(np.pi * along * apart + np.pi / 8)
    return pupil


def _shade(
    shape: tuple[int, int], scope: Microscope, rng: np.random.Generator, margin: int
) -> np.ndarray:
    """Return how much light reaches each pixel: less in the corners and behind dust."""
    y, x = (np.linspace(-1, 1, n - 2 * margin) for n in shape)
    centre = rng.uniform(-0.3, 0.3, 2)
    far = (y[:, None] - centre[0]) ** 2 + (x[None] - centre[1]) ** 2
    shade = 1 - scope.vignetting * far / 2
    for _ in range(scope.dust):
        at, wide = rng.uniform(-1, 1, 2), rng.uniform(0.02, 0.06)
        apart = np.hypot(y[:, None] - at[0], x[None] - at[1]) / wide
        shade *= 1 - 0.12 * np.exp(-((apart - 0.8) ** 2) * 6)  # out of focus: a ring
    return shade


def _camera(
    light: np.ndarray, shade: np.ndarray, scope: Microscope, rng: np.random.Generator
) -> np.ndarray:
    """Return camera counts: photon noise, and readout noise that neighbours and rows share."""
    expected = light / light.mean() * scope.photons * shade
    counts = rng.poisson(expected).astype(np.float32)
    blots = ndimage.gaussian_filter(rng.normal(size=light.shape), (0, 1.0, 1.0))
    rows = rng.normal(size=(*light.shape[:2], 1))
    counts += scope.readout * (blots / blots.std() + 0.5 * rows).astype(np.float32)
    return np.asarray(counts, np.float32)


def _phase(
    taken: np.ndarray,
    tilts: np.ndarray,
    weights: np.ndarray,
    spacing: tuple[float, float, float],
    scope: Microscope,
) -> np.ndarray:
    """Return phase from opposed oblique exposures, plane by plane.

    The difference of two opposed exposures over their sum is, for a thin and weak object in focus,
    its phase times an odd transfer function H = i sum_j w_j [P(f_j) P(f_j + f) - P(f_j) P(f_j - f)]
    (Hamilton and Sheppard 1984; Tian and Waller 2015); both axes are inverted together by
    Tikhonov's rule.
    """
    fy, fx = _frequencies(taken.shape[2:], np.array(spacing[1:]))
    power = np.zeros((len(fy), fx.shape[1]), np.float32)
    total = np.zeros(taken.shape[1:], np.complex64)
    for one, other in ((0, 2), (1, 3)):
        transfer = np.zeros(power.shape, np.complex64)
        for tilt, share in zip(tilts, weights[one] - weights[other], strict=True):
            inside = [
                np.hypot(fy * s + tilt[0], fx * s + tilt[1]) * scope.wavelength < scope.aperture
                for s in (1, -1)
            ]
            transfer += 0.5j * share * (inside[0].astype(np.float32) - inside[1])
        first, second = taken[one], taken[other]
        smooth = [ndimage.gaussian_filter(i.mean(0), 12) for i in (first, second)]  # flat field
        first, second = first / smooth[0], second / smooth[1]
        difference = (first - second) / np.maximum(first + second, 0.1)
        total += np.conj(transfer) * fft.fft2(difference)
        power += np.abs(transfer) ** 2
    return fft.ifft2(total / (power + 0.006)).real.astype(np.float32)
