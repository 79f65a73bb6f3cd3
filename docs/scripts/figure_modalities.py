"""Draw docs/images/modalities.png: each modality, simulated, against real stacks.

Run with a folder that holds real stacks as FOLDER/FILE (see REAL); those that are not there are
left out. Pictures are shown of what may be passed on; of the others, curves that were measured.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from scipy import ndimage, stats
from skimage.transform import resize

from napari_llcm.specimen import draw_specimen
from napari_llcm.specimen.optics import Modality
from napari_llcm.volumes import read

OUT = Path(__file__).parents[1] / "images" / "modalities.png"
MODALITIES = get_args(Modality)
SIZE, DRAWS = (24, 144, 144), 8
FREQUENCIES = np.linspace(0, 0.5, 26)
LEVELS = np.linspace(-5, 5, 61)
BAND, LINE = "#56b4e9", ("#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00")

# file, pixels per voxel (planes, in plane) that make nuclei about 15 voxels wide, modalities
REAL = {
    "isl": ("isl/phase.ome.tif", 1, 2.0, ("zernike", "dic")),
    "aics12": ("aics12_881/aics12_881_brightfield.ome.tif", 4.7, 2.8, ("brightfield",)),
    "dm4isl": ("dm4isl/dm4isl_nucenv0_brightfield.ome.tif", 1, 2.0, ("brightfield",)),
    "sephaCe": ("sephace/sephace_set1_brightfield.ome.tif", 1, 4.5, ("brightfield",)),
    "deepcell": ("deepcellintro/deepcellintro_phase.ome.tif", 1, 1.6, ("zernike", "brightfield")),
    "hl60": ("odtbrain/hl60_refractive_index.ome.tif", 5.2, 3.3, ("odt",)),
    "glim": ("glim/glim_bead1_phase.ome.tif", 1, 1, ("transmission",)),
}
SHOWN = {"zernike": "isl", "odt": "hl60"}  # Apache-2.0 and CC0


def draws(modality: str) -> Iterator[np.ndarray]:
    """Yield simulated stacks of one modality."""
    others = [f"modality:{name}" for name in MODALITIES if name != modality]
    for seed in range(DRAWS):
        yield draw_specimen(seed, size=SIZE, leave_out=others).qpi.numpy()


def real(data: Path) -> dict[str, np.ndarray]:
    """Return the real stacks that are there, with nuclei as wide as the simulated ones."""
    found = {}
    for name, (file, planes, pixels, _) in REAL.items():
        if not (data / file).exists():
            continue
        stack = read(data / file).numpy().astype(np.float32)
        factors = (planes, pixels, pixels)
        shape = [max(1, round(n / f)) for n, f in zip(stack.shape, factors, strict=True)]
        small = resize(stack, shape, order=1, anti_aliasing=True, preserve_range=True)
        corner = [(n - min(n, 144)) // 2 for n in shape[1:]]
        found[name] = small[:, corner[0] : corner[0] + 144, corner[1] : corner[1] + 144]
    return found


def spectrum(stack: np.ndarray) -> np.ndarray:
    """Return the share of the variance in each ring of frequencies, a mean over planes."""
    n = min(stack.shape[1:])
    planes = stack[:, :n, :n] - stack[:, :n, :n].mean((1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(planes * np.hanning(n)[:, None] * np.hanning(n))) ** 2).mean(0)
    f = np.fft.fftfreq(n)
    ring = np.digitize(np.hypot(f[:, None], f), FREQUENCIES) - 1
    rings = np.bincount(ring.ravel(), power.ravel(), len(FREQUENCIES))[:-1]
    return rings / rings.sum()


def detail(stack: np.ndarray) -> np.ndarray:
    """Return a stack against its surroundings, in standard deviations."""
    flat = stack - ndimage.uniform_filter(stack, (0, 31, 31))
    return flat / flat.std()


def measures(stack: np.ndarray) -> dict[str, float]:
    """Return skewness, kurtosis, noise, axial correlation and directionality."""
    flat = detail(stack.astype(np.float64))
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6  # Immerkær (1996)
    rough = ndimage.convolve(flat, kernel[None])
    smooth = ndimage.gaussian_filter(flat, (0, 1, 1))
    gradients = [np.gradient(smooth, axis=axis).ravel() for axis in (1, 2)]
    low, high = np.linalg.eigvalsh(np.cov(gradients))
    return {
        "skewness": stats.skew(flat.ravel()),
        "kurtosis": stats.kurtosis(flat.ravel()),
        "noise": np.median(np.abs(rough)) / 0.6745,
        "next plane": np.corrcoef(smooth[:-1].ravel(), smooth[1:].ravel())[0, 1],
        "direction": (high - low) / (high + low),
    }


def show(axes: np.ndarray, stack: np.ndarray, title: str) -> None:
    """Show the middle plane and a section along z."""
    low, high = np.percentile(stack, [0.5, 99.5])
    middle = [n // 2 for n in stack.shape]
    axes[0].imshow(stack[middle[0]], cmap="gray", vmin=low, vmax=high)
    axes[1].imshow(stack[:, middle[1]], cmap="gray", vmin=low, vmax=high, aspect="auto")
    axes[0].set_title(title, fontsize=9)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])


def main(data: Path) -> None:
    """Draw the figure and print the table of measures."""
    known = real(data)
    figure, axes = plt.subplots(
        6, 6, figsize=(13, 11.5), layout="constrained", height_ratios=(3, 1, 3, 1, 2.4, 2.4)
    )
    middle = (FREQUENCIES[:-1] + FREQUENCIES[1:]) / 2
    for column, modality in zip(axes.T, MODALITIES, strict=True):
        stacks = list(draws(modality))
        show(column[:2], stacks[0], modality)
        name = SHOWN.get(modality)
        if name in known:
            show(column[2:4], known[name], f"real: {name}")
        else:
            show(column[2:4], stacks[1], f"{modality}, another draw")
        compared = {n: s for n, s in known.items() if modality in REAL[n][3]}
        curves = np.array([spectrum(stack) for stack in stacks])
        column[4].fill_between(middle, curves.min(0), curves.max(0), color=BAND)
        counts = np.array([np.histogram(detail(s), LEVELS, density=True)[0] for s in stacks])
        levels = (LEVELS[:-1] + LEVELS[1:]) / 2
        column[5].fill_between(levels, counts.min(0), counts.max(0), color=BAND)
        for colour, (name, stack) in zip(LINE, compared.items(), strict=False):
            column[4].plot(middle, spectrum(stack), color=colour, label=name)
            column[5].plot(levels, np.histogram(detail(stack), LEVELS, density=True)[0], colour)
        column[4].set(yscale="log", ylim=(1e-5, 1))
        column[5].set(yscale="log", ylim=(1e-4, 2))
        if compared:
            column[4].legend(fontsize=7)
        tell(modality, [measures(stack) for stack in stacks])
        for name, stack in compared.items():
            tell(f"  real: {name}", [measures(stack)])
    axes[4, 0].set_ylabel("share of variance\nby cycles per voxel", fontsize=8)
    axes[5, 0].set_ylabel("histogram by\nstandard deviations", fontsize=8)
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=80)
    with Image.open(OUT) as picture:  # a third of the size in 64 colours
        picture.convert("RGB").quantize(64).save(OUT, optimize=True)


def tell(name: str, rows: list[dict[str, float]]) -> None:
    """Print the range of each measure."""
    for key in rows[0]:
        low, high = min(r[key] for r in rows), max(r[key] for r in rows)
        print(f"{name:22} {key:12} {low:8.2f}" + (f" to {high:8.2f}" if len(rows) > 1 else ""))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path())
