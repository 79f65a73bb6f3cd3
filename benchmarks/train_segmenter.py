"""Train the small Cellpose network that ships.

``python benchmarks/train_segmenter.py OUT`` makes ``OUT/nuclei.safetensors`` and
``OUT/nuclei.json``; copied to ``nuclei/weights`` they are what the package loads. The specimens'
seeds start at 10000 and are used nowhere else. ``--families`` adds specimens of all families, and
``--real IMAGE LABELS`` a real volume with its nuclei, as often as wanted; without them no real
image takes part, and all nuclei are those of one kind of tissue.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_llcm.models.device import autocast
from napari_llcm.nuclei.network import SmallCellpose
from napari_llcm.nuclei.scale import normalise
from napari_llcm.specimen.cells import add_bodies, empty_tissue, pack
from napari_llcm.specimen.difficulty import find_difficulty
from napari_llcm.specimen.fluorescence import expected_photons
from napari_llcm.specimen.grid import Grid
from napari_llcm.specimen.index import draw_nucleoli
from napari_llcm.specimen.make import TISSUE_AROUND
from napari_llcm.volumes import Spacing
from napari_llcm.volumes.atomic import replacing, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

FIRST_SEED = 10_000
FIRST_FAMILY = 60_000_000
CHANNELS = (32, 64, 128)
DIAMETER = 14.0  # pixels: specimens of 0.5 µm are hardly rescaled
CROP = 96  # pixels
SPACINGS = ((0.8, 0.5, 0.5), (0.5, 0.35, 0.35), (1.2, 0.4, 0.4))
NUCLEUS = 7.3  # µm, median diameter of simulated nuclei
EXTENT = (32.0, 64.0, 64.0)  # µm

Planes = list[tuple[np.ndarray, np.ndarray]]


def degraded(photons: np.ndarray, spacing: Spacing, rng: np.random.Generator) -> np.ndarray:
    """Return one image of a noiseless stain, as some microscope or network might show it.

    Brightness, blur, haze, background and noise vary far more widely than in any one data set;
    a quarter has no noise at all, as a virtual stain has none.
    """
    from scipy import ndimage

    image = photons - photons.min()
    pixels = 1 / np.array(spacing)
    if rng.random() < 0.6:
        width = rng.uniform(0.1, 0.7)  # µm
        image = ndimage.gaussian_filter(image, width * np.array([2.5, 1, 1]) * pixels)
    if rng.random() < 0.4:
        haze = ndimage.gaussian_filter(image, rng.uniform(2, 5) * pixels)
        image = image + rng.uniform(0.1, 0.8) * haze
    image = image / np.percentile(image, 99.8)
    image = image ** rng.uniform(0.75, 1.3)
    image = image + rng.uniform(0, 0.25)
    if rng.random() < 0.25:
        return image.astype(np.float32)
    light = np.exp(rng.uniform(np.log(4), np.log(400)))  # photons of a bright nucleus
    noise = rng.uniform(0, 0.04) * light * rng.standard_normal(image.shape)
    return (rng.poisson(image * light) + noise).astype(np.float32)


def planes_of(
    image: np.ndarray,
    labels: np.ndarray,
    spacing: Spacing,
    rng: np.random.Generator,
    count: int = 14,
    nucleus: float = NUCLEUS,
) -> Planes:
    """Return `count` planes of each orientation, cubic pixels, nuclei about `DIAMETER` wide.

    `nucleus` is their width in µm.
    """
    from skimage.transform import resize

    factor = DIAMETER / nucleus * np.exp(rng.uniform(np.log(0.75), np.log(1.3)))
    stretch = np.exp(0.25 * rng.standard_normal(3))  # simulated nuclei are rounder than real ones
    factors = factor * np.array(spacing) * stretch / np.prod(stretch) ** (1 / 3)
    shape = tuple(np.rint(image.shape * factors).astype(int).tolist())
    scaled = resize(normalise(image), shape, order=1).astype(np.float32)
    kept = resize(labels, shape, order=0, preserve_range=True, anti_aliasing=False)
    kept = kept.astype(np.int32)
    planes = []
    for axis in range(3):
        for at in rng.choice(shape[axis], min(count, shape[axis]), replace=False):
            planes.append((np.take(scaled, at, axis), np.take(kept, at, axis)))
    return planes


def crowd(seed: int, spacing: Spacing, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the noiseless DAPI (photons) and the labels of a tissue more crowded than any preset.

    Most of a sparse field is background, from which nothing is learned about touching nuclei.
    """
    z, y, x = (round(e / s) for e, s in zip(EXTENT, spacing, strict=True))
    size = (z, y, x)
    grid = Grid.around(size, spacing, TISSUE_AROUND)
    preset = dataclasses.replace(
        find_difficulty("hard"),
        density=float(np.exp(rng.uniform(np.log(40), np.log(180)))),
        crowding=rng.uniform(0.5, 0.95),
        look_alikes=0.0,  # so that every body is a nucleus
    )
    tissue_rng = np.random.default_rng(seed)
    bodies = pack(EXTENT, grid, preset, tissue_rng)
    tissue = empty_tissue(grid)
    add_bodies(tissue, bodies, grid)
    nucleoli = draw_nucleoli(bodies, grid, tissue_rng)
    chromatin = grid.texture(tissue_rng, 0.45)
    field = grid.field(size)
    photons = expected_photons(tissue, bodies, nucleoli, chromatin, grid, preset)[field]
    labels = np.where(tissue.level < 0, tissue.body, 0)[field]
    return photons, labels


def training_planes(specimens: int, seed: int = FIRST_SEED) -> Planes:
    """Return planes of simulated specimens, each imaged twice in different ways."""
    planes: Planes = []
    for number in range(specimens):
        rng = np.random.default_rng([seed, number])
        spacing = SPACINGS[number % len(SPACINGS)]
        photons, labels = crowd(seed + number, spacing, rng)
        for _ in range(2):
            planes += planes_of(degraded(photons, spacing, rng), labels, spacing, rng)
        empty = nothing(photons, spacing, rng)
        planes += planes_of(empty, np.zeros_like(labels), spacing, rng, count=4)
    return planes


def family_planes(specimens: int, seed: int = FIRST_FAMILY) -> Planes:
    """Return planes of specimens of all families, each imaged twice in different ways."""
    from napari_llcm.specimen.families import draw_specimen

    planes: Planes = []
    for number in range(seed, seed + specimens):
        specimen, rng = draw_specimen(number, size=(32, 128, 128)), np.random.default_rng(number)
        assert specimen.photons is not None
        assert specimen.dapi.spacing is not None
        spacing, nucleus = specimen.dapi.spacing, float(specimen.qpi.metadata["nucleus_um"])
        labels = specimen.labels.numpy().astype(np.int32)
        for _ in range(2):
            image = degraded(specimen.photons.numpy(), spacing, rng)
            planes += planes_of(image, labels, spacing, rng, 8, nucleus)
    return planes


def real_planes(image_path: Path, labels_path: Path, views: int = 6) -> Planes:
    """Return planes of a real volume with labelled nuclei, as it is and degraded further."""
    from napari_llcm.nuclei.features import width_of
    from napari_llcm.volumes import labels_of, on_one_grid, read

    image, marked = on_one_grid(read(image_path), labels_of(read(labels_path)))
    assert image.spacing is not None
    labels, rng = marked.numpy().astype(np.int32), np.random.default_rng(0)
    nucleus = width_of(labels, image.spacing)
    planes: Planes = []
    for view in range(views):
        seen = image.numpy().astype(np.float32)
        seen = degraded(seen, image.spacing, rng) if view % 2 else seen
        planes += planes_of(seen, labels, image.spacing, rng, 14, nucleus)
    return planes


def nothing(photons: np.ndarray, spacing: Spacing, rng: np.random.Generator) -> np.ndarray:
    """Return an image without nuclei: noise, or haze too smooth to hold any.

    Normalising stretches whatever there is; what is stretched must not seem full of nuclei.
    """
    from scipy import ndimage

    haze = ndimage.gaussian_filter(photons, rng.uniform(8, 20) / np.array(spacing))
    if rng.random() < 0.5:
        haze = np.full_like(haze, haze.mean())
    light = np.exp(rng.uniform(np.log(2), np.log(400)))
    noisy = rng.poisson(haze / haze.mean() * light).astype(np.float32)
    return noisy if rng.random() < 0.75 else haze + 0.01 * rng.random(haze.shape, np.float32)


class MixedPrecision(SmallCellpose):
    """The network for training: in bfloat16 where the processor multiplies it natively."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `SmallCellpose` returns."""
        # Here and not around Cellpose's loop: autocast keeps its copies of the weights until it
        # ends, and would never see a step of the optimiser.
        with autocast(self.device):
            return super().forward(x)

    def save_model(self, filename: str) -> None:
        """Do nothing: `cellpose.train` asks for a pickle, the weights ship as safetensors."""


def train(
    out: Path,
    specimens: int = 24,
    epochs: int = 160,
    seed: int = FIRST_SEED,
    families: int = 0,
    real: Sequence[tuple[Path, Path]] = (),
) -> None:
    """Train with Cellpose's own loop and loss, and write the weights as float16."""
    import cellpose.train
    import torch
    from safetensors.torch import save_file

    start = time.monotonic()
    torch.manual_seed(seed)
    planes = training_planes(specimens, seed) + family_planes(families)
    for image, labels in real:
        planes += real_planes(image, labels)
    print(f"{len(planes)} planes in {time.monotonic() - start:.0f} s", flush=True)
    net = MixedPrecision(CHANNELS, DIAMETER)
    with tempfile.TemporaryDirectory() as scratch:
        _, losses, _ = cellpose.train.train_seg(
            net,
            train_data=[image[None] for image, _ in planes],
            train_labels=[labels for _, labels in planes],
            normalize=False,
            rescale=False,
            scale_range=0.2,
            bsize=CROP,
            batch_size=16,
            learning_rate=2e-3,
            weight_decay=1e-4,
            n_epochs=epochs,
            nimg_per_epoch=192,  # 12 steps: Cellpose's schedule counts epochs
            min_train_masks=0,
            save_path=scratch,
        )
    about = {
        "channels": CHANNELS,
        "diameter": DIAMETER,
        "made_by": f"python benchmarks/train_segmenter.py OUT --specimens {specimens} "
        f"--epochs {epochs} --seed {seed} --families {families}",
        "trained_on": f"simulated specimens, seeds {seed} to {seed + specimens - 1}; {families} of "
        f"all families, from seed {FIRST_FAMILY}; real: "
        + (", ".join(image.name for image, _ in real) or "none"),
        "planes": len(planes),
        "final_loss": float(losses[-1]),
        "seconds": round(time.monotonic() - start),
    }
    weights = {
        name: value.half() if value.is_floating_point() else value
        for name, value in net.state_dict().items()
    }
    with replacing(out / "nuclei.safetensors") as partial:
        save_file(weights, partial)
    write_json(out / "nuclei.json", about)
    print(json.dumps(about), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--specimens", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=160)
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    parser.add_argument("--families", type=int, default=0)
    parser.add_argument("--real", type=Path, nargs=2, action="append", default=[])
    options = parser.parse_args()
    train(
        options.out,
        options.specimens,
        options.epochs,
        options.seed,
        options.families,
        [(image, labels) for image, labels in options.real],
    )
