"""Label-free stacks, DAPI and labels by a simulator that shares nothing with the project's own.

    python benchmarks/independent_specimens.py FOLDER --n 3
    python benchmarks/held_out.py FOLDER/* --model specimen-v6

NEVER TRAIN, CALIBRATE OR TUNE ON WHAT THIS WRITES: it tells what a model does with stacks of
another kind than it was made for, and it can tell that only once for a model that has seen them.

Other cells (nuclei are smoothed random polyhedra or metaballs, cytoplasm the Voronoi region of
each, textures fractal noise), other optics (beam propagation, see independent_optics.py), another
microscope for the DAPI (Gaussian-Lorentzian point spread, haze, bleaching) and other noise than
src/napari_llcm/specimen. FOLDER/KIND/{qpi,dapi,labels} are pairs as every command reads them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from independent_optics import Microscope, look
from scipy import fft, ndimage

from napari_llcm import Volume, write

MARGIN = 24  # pixels around the field in which light may wrap around
MEDIUM = 1.335


@dataclass(frozen=True)
class Kind:
    """A kind of specimen under a kind of microscope.

    Parameters
    ----------
    scope : Microscope
        What looks at it.
    spacing : tuple of float
        µm (z, y, x).
    width : float
        Typical nucleus, µm.
    spread : float
        Deviation of the logarithm of the width.
    crowding : float
        Least distance of two centres, in widths.
    share : float
        Of the field in which centres are sought at all (cells come in groups below 1).
    metaballs : float
        Share of nuclei that are metaballs, and not polyhedra.
    flat : float
        By how much nuclei are flattened along z; below 1 they lie on a substrate.
    cytoplasm : float
        How far a cell reaches beyond its nucleus, in widths.
    nucleus, inside : float
        Refractive index of nucleus and cytoplasm above the medium.
    texture : float
        Deviation of the index within both.
    droplets, debris : int
        For each 100 000 µm³.
    """

    scope: Microscope
    spacing: tuple[float, float, float]
    width: float
    spread: float
    crowding: float
    metaballs: float
    nucleus: float
    inside: float
    share: float = 1.0
    flat: float = 1.0
    cytoplasm: float = 0.5
    texture: float = 0.002
    droplets: int = 0
    debris: int = 0
    dapi: dict[str, float] = field(default_factory=dict)


KINDS = {
    "qpi-easy": Kind(
        Microscope("oblique", 1.0, 1.0, waves=24, finer=2, photons=20_000, wavelength=0.72),
        (0.7, 0.44, 0.44), 7.0, 0.08, 1.9, 0.2, 0.040, 0.010, texture=0.001,
    ),
    "qpi-hard": Kind(
        Microscope("oblique", 0.9, 0.9, waves=24, finer=2, photons=6000, readout=14, dust=8),
        (0.6, 0.36, 0.36), 5.2, 0.2, 1.35, 0.6, 0.015, 0.026,
        texture=0.002, droplets=60, debris=20, dapi={"photons": 60, "haze": 0.4},
    ),
    "brightfield": Kind(
        Microscope("brightfield", 0.55, 0.25, waves=16, photons=9000, dust=6),
        (0.5, 0.33, 0.33), 9.0, 0.12, 1.1, 0.3, 0.026, 0.030,
        flat=0.6, share=0.75, texture=0.003, droplets=30, debris=6,
    ),
    "phase-contrast": Kind(
        Microscope("zernike", 0.45, 0.2, waves=16, finer=2, photons=6000, vignetting=0.3),
        (0.5, 0.5, 0.5), 11.0, 0.15, 1.4, 0.4, 0.028, 0.022,
        flat=0.45, cytoplasm=0.7, texture=0.002, droplets=8, debris=4,
    ),
    "dic": Kind(
        Microscope("dic", 0.75, 0.5, waves=20, finer=2, photons=9000, readout=12),
        (0.6, 0.3, 0.3), 6.0, 0.12, 1.2, 0.5, 0.034, 0.020,
        share=0.75, texture=0.0015, droplets=20,
    ),
}  # fmt: skip


def specimen(
    kind: Kind, size: tuple[int, int, int], seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return label-free stack, DAPI and labels of one field.

    Parameters
    ----------
    kind : Kind
        What it is of.
    size : tuple of int
        Voxels (z, y, x).
    seed : int
        Of everything random in it.
    """
    rng = np.random.default_rng([20_261_127, seed])
    shape = (size[0], size[1] + 2 * MARGIN, size[2] + 2 * MARGIN)
    labels, depth, index = _cells(kind, shape, rng)
    stack = look(index, MEDIUM, kind.spacing, kind.scope, rng, MARGIN)
    dapi = _dapi(kind, labels, depth, rng, **kind.dapi)
    cut = (slice(None), slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    if kind.scope.mode != "oblique":
        stack = np.clip(stack + 100, 0, 65535).astype(np.uint16)
    return stack, dapi[cut], labels[cut]


def fractal(
    shape: tuple[int, ...], grain: np.ndarray, rng: np.random.Generator, octaves: int = 4
) -> np.ndarray:
    """Return noise of mean 0 and deviation 1: lattices of random values, each finer and weaker.

    Parameters
    ----------
    shape : tuple of int
        Of the result.
    grain : ndarray
        Voxels between two points of the coarsest lattice.
    rng : Generator
        Draws the lattices.
    octaves : int
        How many lattices.
    """
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        step = np.maximum(grain / 2**octave, 1)
        lattice = rng.normal(size=[int(n / s) + 4 for n, s in zip(shape, step, strict=True)])
        start = rng.uniform(0, 1, 3)
        fine = ndimage.affine_transform(
            lattice.astype(np.float32), 1 / step, start + 1, output_shape=shape, order=3
        )
        total += fine / 2 ** (octave * 0.8)
    return (total - total.mean()) / total.std()


def _cells(
    kind: Kind, shape: tuple[int, int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, depth below the nuclear surface (µm) and refractive index."""
    spacing = np.array(kind.spacing)
    extent = np.array(shape) * spacing
    labels = np.zeros(shape, np.uint16)
    depth = np.full(shape, -1e3, np.float32)  # the largest over all nuclei
    cell = np.full(shape, -1e3, np.float32)
    bumps = fractal(shape, 0.4 * kind.width / spacing, rng)
    for number, (centre, radius) in enumerate(_centres(kind, extent, rng), 1):
        reach = radius * (1.4 + 2 * kind.cytoplasm)
        low = np.maximum(((centre - reach) / spacing).astype(int), 0)
        high = np.minimum(((centre + reach) / spacing).astype(int) + 2, shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        grid = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
        away = [(g + 0.5) * s - c for g, s, c in zip(grid, spacing, centre, strict=True)]
        away = np.stack(np.meshgrid(*away, indexing="ij"), -1)
        rounded = away / np.array([kind.flat, 1, 1])
        shape_of = _metaballs if rng.random() < kind.metaballs else _polyhedron
        inside = (shape_of(radius, rng)(rounded) + 0.05 * radius * bumps[box]).astype(np.float32)
        new = (inside > 0) & (inside > depth[box])
        labels[box][new] = number
        depth[box] = np.maximum(depth[box], inside)
        body = radius + 2 * radius * kind.cytoplasm - np.linalg.norm(rounded, axis=-1)
        body = np.maximum(body + 0.25 * radius * bumps[box], inside + 0.4)  # a rim of cytoplasm
        near = body - np.float32(0.5 * radius)
        wall = (near > 0) & (cell[box] > 0) & (np.abs(near - cell[box]) < 0.25)
        cell[box] = np.where(wall, -0.1, np.maximum(cell[box], body))  # Voronoi walls are thin
    if kind.flat < 1:  # nothing lies below the substrate
        floor = np.arange(shape[0]) * spacing[0] < 0.25 * extent[0]
        for volume in (depth, cell):
            volume[floor] = -1e3
        labels[floor] = 0
    return labels, depth, _index(kind, labels, depth, cell, rng)


def _centres(
    kind: Kind, extent: np.ndarray, rng: np.random.Generator
) -> list[tuple[np.ndarray, float]]:
    """Return centre (µm) and radius of each nucleus: darts that hit no other."""
    group = rng.uniform(0, 1, (3, 3)) * extent
    found: list[tuple[np.ndarray, float]] = []
    for _ in range(6000):
        centre = rng.uniform(0, 1, 3) * extent
        radius = kind.width / 2 * np.exp(rng.normal(0, kind.spread))
        if kind.flat < 1:
            centre[0] = 0.25 * extent[0] + kind.flat * radius * rng.uniform(0.9, 1.2) + 0.5
        if kind.share < 1:
            far = np.linalg.norm((group - centre)[:, 1:], axis=1).min()
            if far > 0.42 * kind.share * extent[1]:
                continue
        flat = np.array([kind.flat, 1, 1])
        if all(
            np.linalg.norm((centre - other) / flat) > kind.crowding * (radius + beside)
            for other, beside in found
        ):
            found.append((centre, radius))
    return found


def _polyhedron(radius: float, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Return the depth below the surface of a polyhedron with rounded edges."""
    faces = int(rng.integers(9, 16))
    normal = rng.normal(size=(faces, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    long = np.exp(rng.normal(0, 0.12, 3))
    far = radius * rng.uniform(0.85, 1.1, faces) * np.linalg.norm(normal * long, axis=1)
    round_off = 7 / radius
    return lambda at: np.minimum(
        -np.log(np.exp(round_off * (at @ normal.T - far)).sum(-1)) / round_off,
        1.25 * radius - np.linalg.norm(at, axis=-1),
    )


def _metaballs(radius: float, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Return roughly the depth below the surface of some balls that melt into each other."""
    count = int(rng.integers(3, 6))
    centre = rng.normal(0, 0.3, (count, 3)) * radius
    wide = radius * rng.uniform(0.5, 0.62, count)
    return lambda at: (
        0.45
        * radius
        * np.log(
            sum(
                np.exp(-((at - c) ** 2).sum(-1) / (2 * w**2))
                for c, w in zip(centre, wide, strict=True)
            )
            / 0.55
            + 1e-6
        )
    )


def _index(
    kind: Kind, labels: np.ndarray, depth: np.ndarray, cell: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return the refractive index."""
    spacing = np.array(kind.spacing)
    soft = np.clip(cell / 0.6, 0, 1)
    coarse = fractal(labels.shape, 1.6 / spacing, rng)
    above = soft * (kind.inside + kind.texture * coarse)
    nucleus = kind.nucleus + 0.7 * kind.texture * fractal(labels.shape, 1.0 / spacing, rng)
    share = np.clip(depth / 0.4 + 0.5, 0, 1)
    above += share * (nucleus - above)
    above += 0.005 * np.exp(-((depth / 0.3) ** 2)) * (soft > 0)  # the envelope
    ids = np.flatnonzero(np.bincount(labels.ravel()))[1:]
    for centre in ndimage.center_of_mass(labels > 0, labels, ids):
        for _ in range(rng.integers(1, 4)):
            place = (np.array(centre) + 0.5) * spacing + rng.normal(0, 0.13, 3) * kind.width
            _ball(above, place, 0.11 * kind.width * rng.uniform(0.7, 1.3), 0.012, spacing)
    volume = np.prod(np.array(labels.shape) * spacing) / 1e5
    cytoplasm = np.argwhere((cell > 0.3) & (depth < -0.3))
    outside = np.argwhere((cell < 0) & (depth < -0.3))
    for where, count, index, sizes in (
        (cytoplasm, kind.droplets, 0.05, (0.3, 0.9)),
        (outside, kind.debris, 0.03, (0.4, 2.0)),
    ):
        for at in rng.permutation(where)[: int(count * volume)]:
            _ball(above, (at + 0.5) * spacing, rng.uniform(*sizes), index, spacing)
    return (MEDIUM + above).astype(np.float32)


def _ball(
    above: np.ndarray, place: np.ndarray, radius: float, index: float, spacing: np.ndarray
) -> None:
    """Add a soft ball (µm)."""
    low = np.maximum(((place - 2 * radius) / spacing).astype(int), 0)
    high = np.minimum(((place + 2 * radius) / spacing).astype(int) + 2, above.shape)
    if (high <= low).any():
        return
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    grid = np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij")
    far = np.sqrt(
        sum(((g + 0.5) * s - p) ** 2 for g, s, p in zip(grid, spacing, place, strict=True))
    )
    above[box] += index * np.clip((radius - far) / 0.3 + 0.5, 0, 1)


def _dapi(
    kind: Kind,
    labels: np.ndarray,
    depth: np.ndarray,
    rng: np.random.Generator,
    photons: float = 200.0,
    haze: float = 0.2,
    dim: float = 0.3,
) -> np.ndarray:
    """Return the DAPI: chromatin, its blur, haze, bleaching with depth, and a camera."""
    spacing = np.array(kind.spacing)
    bright = np.exp(rng.normal(0, dim, int(labels.max()) + 1))
    bright[0] = 0
    chromatin = np.clip(1 + 0.35 * fractal(labels.shape, 1.4 / spacing, rng), 0.2, None)
    dye = (bright[labels] * chromatin * np.clip(depth / 0.3, 0, 1)).astype(np.float32)
    # widefield light keeps its sum in each plane while it spreads; the detection takes it off
    z, y, x = (np.fft.fftfreq(n, 1 / (n * s)) for n, s in zip(labels.shape, spacing, strict=True))
    radius = np.hypot(y[:, None], x[None])[None]
    waist = 0.22 * np.sqrt(1 + (z / 0.9) ** 2)[:, None, None]
    gauss = np.exp(-(radius**2) / (2 * waist**2))
    lorentz = 1 / (1 + (radius / (1.5 * waist)) ** 2) ** 1.5
    spot = 0.75 * gauss / gauss.sum((1, 2), keepdims=True)
    spot += 0.25 * lorentz / lorentz.sum((1, 2), keepdims=True)
    spot *= (1 / (1 + (z / 1.1) ** 2))[:, None, None]
    spot /= spot.sum()
    sharp = fft.irfftn(fft.rfftn(dye) * fft.rfftn(spot.astype(np.float32)), labels.shape)
    light = (1 - haze) * sharp + haze * ndimage.gaussian_filter(dye, 3.5 / spacing)
    light *= np.exp(-0.6 * np.arange(len(light)) / len(light))[:, None, None]
    y, x = (np.linspace(-1, 1, n) for n in light.shape[1:])
    light *= 1 - 0.12 * (y[:, None] ** 2 + x[None] ** 2)
    counts = rng.poisson(np.maximum(light, 0) * photons + 4).astype(np.float32)
    counts += 1.5 * ndimage.gaussian_filter(rng.normal(size=light.shape), (0, 0.6, 0.6))
    return np.clip(counts * 2.3 + 96, 0, 65535).astype(np.uint16)


def picture(path: Path, stacks: tuple[np.ndarray, np.ndarray, np.ndarray], aspect: float) -> None:
    """Write middle planes along z and along y of a field.

    Parameters
    ----------
    path : Path
        A .png file.
    stacks : tuple of ndarray
        Label-free stack, DAPI, labels.
    aspect : float
        Spacing along z over that in the plane.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 6), layout="constrained")
    axes = figure.subplots(2, 3)
    for (above, below), stack in zip(axes.T, stacks, strict=True):
        labels = stack is stacks[2]
        shown = np.where(stack > 0, stack % 17 + 3, 0) if labels else stack
        low, high = (0, 20) if labels else np.percentile(shown, [0.5, 99.7])
        cmap = "nipy_spectral" if labels else "gray"
        plane = int(np.argmax((stacks[2] > 0).sum((1, 2))))
        above.imshow(shown[plane], cmap=cmap, vmin=low, vmax=high)
        below.imshow(shown[:, shown.shape[1] // 2], cmap=cmap, vmin=low, vmax=high, aspect=aspect)
    figure.savefig(path, dpi=80)


def main() -> None:
    """Write fields of each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--n", type=int, default=3, help="fields of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the first field")
    parser.add_argument("--size", type=int, nargs=3, default=[48, 192, 192], help="voxels z y x")
    parser.add_argument("--pictures", action="store_true", help="write KIND.png, too")
    options = parser.parse_args()
    for name in options.kinds:
        kind = KINDS[name]
        for seed in range(options.seed, options.seed + options.n):
            stacks = specimen(kind, tuple(options.size), seed)
            for role, data in zip(("qpi", "dapi", "labels"), stacks, strict=True):
                path = options.out / name / role / f"{name}-{seed}.ome.tif"
                path.parent.mkdir(parents=True, exist_ok=True)
                volume = Volume(np.ascontiguousarray(data), spacing=kind.spacing, name=path.name)
                write(path, volume, overwrite=True, labels=role == "labels")
            if options.pictures:
                aspect = kind.spacing[0] / kind.spacing[2]
                picture(options.out / f"{name}-{seed}.png", stacks, aspect)
            print(f"{name}-{seed}: {len(np.unique(stacks[2])) - 1} nuclei", flush=True)


if __name__ == "__main__":
    main()
