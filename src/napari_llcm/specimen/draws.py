"""Microscopes drawn at random, within what is built and sold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .optics import Optics


def qobm(rng: np.random.Generator) -> Optics:
    """Return an oblique back-illumination microscope."""
    aperture = rng.uniform(0.45, 1.0)
    return Optics(
        wavelength=rng.uniform(0.53, 0.85),
        numerical_aperture=aperture,
        illumination_aperture=aperture * rng.uniform(0.6, 1.0),
        regularisation=_between(rng, 1e-3, 5e-2),
    )


def transmission(rng: np.random.Generator) -> Optics:
    """Return an interference microscope: of the field, through a ring (SLIM), sheared (GLIM)."""
    aperture, kind = rng.uniform(0.3, 1.2), rng.random()
    plain = Optics(
        wavelength=rng.uniform(0.45, 0.66),
        numerical_aperture=aperture,
        illumination_aperture=aperture * rng.uniform(0.1, 0.95),
        polarity=_sign(rng, 0.85),
    )
    if kind < 0.2:
        return replace(plain, **_annulus(rng, aperture), polarity=1)
    if kind < 0.4:
        shear = _way(rng, _between(rng, 0.1, 0.6))
        return replace(plain, shear=shear, regularisation=_between(rng, 1e-3, 3e-2))
    return plain


def brightfield(rng: np.random.Generator) -> Optics:
    """Return a brightfield microscope, lit straight or obliquely, focused in either direction."""
    aperture = rng.uniform(0.3, 1.2)
    return Optics(
        wavelength=rng.uniform(0.45, 0.7),
        numerical_aperture=aperture,
        illumination_aperture=aperture * _between(rng, 0.12, 0.9),
        polarity=_sign(rng, 0.5),
        oblique=_way(rng, rng.uniform(0.05, 0.9) * (rng.random() < 0.4)),
        spherical=_aberration(rng, aperture),
        absorption=_between(rng, 0.002, 0.1) * (rng.random() < 0.4),
    )


def zernike(rng: np.random.Generator) -> Optics:
    """Return a phase contrast microscope, mostly of the positive kind: what is dense is dark."""
    aperture = rng.uniform(0.3, 0.95)
    return Optics(
        wavelength=rng.uniform(0.5, 0.66),
        numerical_aperture=aperture,
        **_annulus(rng, aperture),
        ring_transmittance=_between(rng, 0.08, 0.6),
        polarity=_sign(rng, 0.8),
        oblique=_way(rng, rng.uniform(0.05, 0.9) * (rng.random() < 0.5)),
        spherical=_aberration(rng, aperture),
        absorption=_between(rng, 0.002, 0.05) * (rng.random() < 0.4),
    )


def dic(rng: np.random.Generator) -> Optics:
    """Return a differential interference contrast microscope with shear along any direction."""
    aperture = rng.uniform(0.4, 1.2)
    return Optics(
        wavelength=rng.uniform(0.45, 0.66),
        numerical_aperture=aperture,
        illumination_aperture=aperture * rng.uniform(0.3, 0.95),
        polarity=_sign(rng, 0.5),
        shear=_way(rng, _between(rng, 0.1, 0.6)),
        bias=rng.uniform(0.15, 0.6) * np.pi,
        spherical=_aberration(rng, aperture),
        absorption=_between(rng, 0.002, 0.05) * (rng.random() < 0.4),
    )


def odt(rng: np.random.Generator) -> Optics:
    """Return a diffraction tomograph, lit from a ring of directions or from all."""
    aperture = rng.uniform(0.6, 1.2)
    edge = aperture * rng.uniform(0.6, 0.98)
    return Optics(
        wavelength=rng.uniform(0.45, 0.66),
        numerical_aperture=aperture,
        illumination_aperture=edge,
        illumination_inner=edge * rng.uniform(0.8, 0.95) * (rng.random() < 0.5),
        regularisation=_between(rng, 0.01, 0.3),
    )


def _annulus(rng: np.random.Generator, aperture: float) -> dict[str, Any]:
    """Return an annulus of light and a phase ring that is a little wider than it."""
    middle, half = aperture * rng.uniform(0.3, 0.65), aperture * rng.uniform(0.02, 0.09)
    wider = half * rng.uniform(1.15, 2.0)
    return {
        "illumination_aperture": middle + half,
        "illumination_inner": middle - half,
        "ring": (middle - wider, middle + wider),
    }


def _way(rng: np.random.Generator, length: float) -> tuple[float, float]:
    """Return a vector (y, x) of this length along any direction."""
    angle = rng.uniform(0, 2 * np.pi)
    return float(length * np.sin(angle)), float(length * np.cos(angle))


def _aberration(rng: np.random.Generator, aperture: float) -> float:
    """Return spherical aberration in waves; the wider the pupil, the more of it."""
    return float(rng.normal(0, 0.3) * aperture * (rng.random() < 0.6))


def _sign(rng: np.random.Generator, usual: float) -> int:
    return 1 if rng.random() < usual else -1


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number evenly distributed on a log scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
