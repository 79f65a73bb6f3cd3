"""Microscopes drawn at random, within what is built and sold."""

from __future__ import annotations

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
    """Return an interference microscope, from nearly coherent light to a filled pupil."""
    aperture = rng.uniform(0.3, 1.2)
    return Optics(
        wavelength=rng.uniform(0.45, 0.66),
        numerical_aperture=aperture,
        illumination_aperture=aperture * rng.uniform(0.1, 0.95),
        polarity=_sign(rng, 0.85),
    )


def brightfield(rng: np.random.Generator) -> Optics:
    """Return a brightfield microscope; focus is stepped in either direction."""
    aperture = rng.uniform(0.3, 1.2)
    return Optics(
        wavelength=rng.uniform(0.45, 0.7),
        numerical_aperture=aperture,
        illumination_aperture=aperture * rng.uniform(0.15, 0.9),
        polarity=_sign(rng, 0.5),
        absorption=rng.uniform(0.0, 0.08) * (rng.random() < 0.6),
    )


def zernike(rng: np.random.Generator) -> Optics:
    """Return a phase contrast microscope: a ring that is a little wider than its annulus."""
    aperture = rng.uniform(0.3, 0.95)
    middle, half = aperture * rng.uniform(0.3, 0.65), aperture * rng.uniform(0.02, 0.07)
    wider = half * rng.uniform(1.15, 2.0)
    return Optics(
        wavelength=rng.uniform(0.5, 0.66),
        numerical_aperture=aperture,
        illumination_aperture=middle + half,
        illumination_inner=middle - half,
        ring=(middle - wider, middle + wider),
        ring_transmittance=rng.uniform(0.1, 0.5),
        polarity=_sign(rng, 0.8),
        absorption=rng.uniform(0.0, 0.05) * (rng.random() < 0.5),
    )


def dic(rng: np.random.Generator) -> Optics:
    """Return a differential interference contrast microscope with shear along any direction."""
    aperture, angle = rng.uniform(0.4, 1.2), rng.uniform(0, 2 * np.pi)
    shear = _between(rng, 0.1, 0.6)
    return Optics(
        wavelength=rng.uniform(0.45, 0.66),
        numerical_aperture=aperture,
        illumination_aperture=aperture * rng.uniform(0.3, 0.95),
        polarity=_sign(rng, 0.5),
        shear=(float(shear * np.sin(angle)), float(shear * np.cos(angle))),
        bias=rng.uniform(0.15, 0.6) * np.pi,
        absorption=rng.uniform(0.0, 0.05) * (rng.random() < 0.5),
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


def _sign(rng: np.random.Generator, usual: float) -> int:
    return 1 if rng.random() < usual else -1


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number evenly distributed on a log scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
