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
from pathlib import Path

import numpy as np
from independent_cells import MEDIUM, Kind, cells, fractal
from independent_optics import Microscope, look
from scipy import fft, ndimage

from napari_llcm import Volume, write

MARGIN = 24  # pixels around the field in which light may wrap around
SLIVER = 0.05  # of a usual nucleus: what is left of one at the border, and counts as none


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
    labels, depth, index = cells(kind, shape, rng)
    stack = look(index, MEDIUM, kind.spacing, kind.scope, rng, MARGIN)
    light = np.random.default_rng([20_261_127, seed, 1])
    dapi = _dapi(kind, labels, depth, light, **kind.dapi)
    cut = (slice(None), slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    if kind.scope.mode != "oblique":
        stack = np.clip(stack + 100, 0, 65535).astype(np.uint16)
    labels = labels[cut]
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    keep = sizes >= SLIVER * np.median(sizes[sizes > 0])
    return stack, dapi[cut], np.where(keep[labels], labels, 0).astype(np.uint16)


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
    beyond = int(np.ceil(9 / spacing[0]))  # empty planes, lest light wraps around along z
    dye = np.pad(dye, ((beyond, beyond), (0, 0), (0, 0)))
    # widefield light keeps its sum in each plane while it spreads; the detection takes it off
    z, y, x = (np.fft.fftfreq(n, 1 / (n * s)) for n, s in zip(dye.shape, spacing, strict=True))
    radius = np.hypot(y[:, None], x[None])[None]
    waist = 0.22 * np.sqrt(1 + (z / 0.9) ** 2)[:, None, None]
    gauss = np.exp(-(radius**2) / (2 * waist**2))
    lorentz = 1 / (1 + (radius / (1.5 * waist)) ** 2) ** 1.5
    spot = 0.75 * gauss / gauss.sum((1, 2), keepdims=True)
    spot += 0.25 * lorentz / lorentz.sum((1, 2), keepdims=True)
    spot *= (1 / (1 + (z / 1.1) ** 2))[:, None, None]
    spot /= spot.sum()
    sharp = fft.irfftn(fft.rfftn(dye) * fft.rfftn(spot.astype(np.float32)), dye.shape)
    light = (1 - haze) * sharp + haze * ndimage.gaussian_filter(dye, 3.5 / spacing)
    light = light[beyond:-beyond]
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
