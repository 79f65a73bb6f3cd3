"""Transfer functions of phase microscopes, on the frequencies of a volume's real FFT."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from . import sampled_transfer
from .grid import Array, Grid
from .optics import Optics
from .radial_transfer import direction, expand, kernel_table, mirrored, transverse_frequencies


def phase_per_plane(grid: Grid, optics: Optics) -> float:
    """Return the phase in rad that a unit of index adds in one plane."""
    return 2 * np.pi * grid.spacing[0] / optics.wavelength


@lru_cache(maxsize=2)
def transmission_transfer(grid: Grid, optics: Optics) -> Array:
    """Return the phase in radians that a transmission microscope sees per unit of index.

    An interference microscope measures the phase of the field itself: H = transform of Re a,
    times 2π Δz/λ, the phase that a unit of index adds in one plane. One that shifts the phase of a
    ring in the pupil measures against light that passed the ring, hence with a halo (SLIM, Wang et
    al., Opt. Express 19, 1016 (2011)); one that integrates the gradient between two sheared images
    loses what varies slowly along the shear (GLIM, Nguyen et al., Nat. Commun. 8, 210 (2017)).
    """
    if optics.sampling == "grid":
        return sampled_transfer.transmission_transfer(grid, optics)
    table = kernel_table(grid, optics)
    if optics.ring[1]:
        table = table - kernel_table(grid, optics, optics.ring)
    table = (table + mirrored(table)) * np.float32(phase_per_plane(grid, optics) / 2)
    transfer = expand(table * np.float32(optics.polarity), grid, optics)
    if any(optics.shear):
        ky, kx = transverse_frequencies(grid)
        turn = np.sin(np.float32(np.pi) * (ky * optics.shear[0] + kx * optics.shear[1])) ** 2
        transfer *= turn / (turn + np.float32(optics.regularisation))
    return transfer


@lru_cache(maxsize=2)
def oblique_transfer(grid: Grid, optics: Optics) -> tuple[Array, Array]:
    """Return the differential contrast per unit of index along y and along x.

    Oblique back-illumination takes two images lit from opposite sides and divides their difference
    by their sum (Ledwig & Robles, Biomed. Opt. Express 10, 3605 (2019)); for a pure phase object
    H = transform of −2 Im a with the difference of both sources in place of S.
    """
    if optics.sampling == "grid":
        return sampled_transfer.oblique_transfer(grid, optics)
    table = kernel_table(grid, optics, lean=True)
    table = (table + mirrored(table)) * np.complex64(1j * phase_per_plane(grid, optics))
    transfer = expand(table, grid, optics)
    return transfer * direction(grid, (1, 0)), transfer * direction(grid, (0, 1))


@lru_cache(maxsize=2)
def intensity_transfer(grid: Grid, optics: Optics) -> Array:
    """Return the contrast I/I₀ − 1 of brightfield, phase contrast or DIC per unit of index.

    H(k) = i β B(k) + conj(i β B(−k)) with β = 1 + i·absorption. Brightfield: B = A, whose part
    odd in kz is all that pure phase leaves, so contrast flips with defocus. A phase ring of
    amplitude √T that advances the direct light by π/2: B = A_ring + (i/√T) A_open, with the pupil
    inside and outside the ring (Zernike, Physica 9, 686 (1942)). DIC: two images at ±d/2 with the
    retardation θ between them: B = A sin(θ/2 − π k⊥·d) / sin(θ/2) (Preza, Snyder & Conchello,
    J. Opt. Soc. Am. A 16, 2185 (1999), here with the condenser's prism).
    """
    evenly, oddly = _both_sides(grid, optics, lean=False)
    if any(optics.oblique):
        # a source that leans: its kernel turns its sign with k⊥, so what is even becomes odd
        lean_evenly, lean_oddly = _both_sides(grid, optics, lean=True)
        cosine = direction(grid, optics.oblique)
        evenly = evenly + cosine * lean_oddly
        oddly = oddly + cosine * lean_evenly
    if not any(optics.shear):
        return evenly
    ky, kx = transverse_frequencies(grid)
    turn = np.float32(np.pi) * (ky * optics.shear[0] + kx * optics.shear[1])
    return np.asarray(evenly * np.cos(turn) - oddly * (np.sin(turn) / np.tan(optics.bias / 2)))


def _both_sides(grid: Grid, optics: Optics, *, lean: bool) -> tuple[Array, Array]:
    """Return i β B(k) + conj(i β B(−k)) and their difference, for a source that leans or not."""
    table = kernel_table(grid, optics, lean=lean)
    if optics.ring[1]:
        in_ring = kernel_table(grid, optics, optics.ring, lean=lean)
        delay = optics.polarity / np.sqrt(optics.ring_transmittance)
        table = in_ring + np.complex64(1j * delay) * (table - in_ring)
    elif optics.polarity < 0:
        table = np.roll(table[:, ::-1], 1, axis=1)
    table = table * np.complex64(phase_per_plane(grid, optics) * 1j * (1 + 1j * optics.absorption))
    other = mirrored(table)
    return expand(table + other, grid, optics), expand(table - other, grid, optics)


@lru_cache(maxsize=2)
def tomographic_transfer(grid: Grid, optics: Optics) -> Array:
    """Return the phase per unit of index, summed over all directions of light; the cone is empty.

    The fields of all directions cover as much as partially coherent light does (Wolf, Opt. Commun.
    1, 153 (1969)).
    """
    table = kernel_table(grid, optics, finer=1).real
    transfer = expand(table + mirrored(table), grid, optics)
    return transfer * np.float32(phase_per_plane(grid, optics) / 2)


def deconvolution(
    transfers: tuple[Array, ...], regularisation: float, reference: float | None = None
) -> tuple[Array, ...]:
    """Return the Tikhonov filters conj(H_j) / (Σ|H|² + α r), with r = max Σ|H|² if not given."""
    power = np.asarray(sum(np.abs(h) ** 2 for h in transfers))
    power += regularisation * (power.max() if reference is None else reference)
    return tuple(np.conj(h) / power for h in transfers)
