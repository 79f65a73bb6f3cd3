"""Fit how a model tells the width of nuclei, on drawn specimens, and keep it in its bundle.

    python benchmarks/nucleus_width.py MODEL --n 120

A drawn specimen's nuclei are 10 to 22 voxels wide: were they left so, the size of a voxel would
tell the width. So each is resampled in the plane by a random factor, 0.54 to 2.6, and given noise
of the new voxels. The figures that are printed are of families that were left out of the fit:
one microscope at a time, then one arrangement of cells at a time.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_llcm.evaluation.width_fit import Tried, fit_width
from napari_llcm.models import find_model, load_bundle
from napari_llcm.models.bundle import write_info
from napari_llcm.specimen import draw_specimen
from napari_llcm.staining.estimate_width import FirstLook, widths_to_try
from napari_llcm.volumes import Volume

SIZE = (24, 128, 128)
SMALLER, LARGER = -0.9, 1.4  # octaves of the resampling
NOISE = (0.0, 0.03, 0.1, 0.25)  # deviations of the contrast


def resized(qpi: Volume, rng: np.random.Generator) -> tuple[Volume, float]:
    """Return a stack with pixels of another size, and by what it was magnified."""
    factor = 2 ** rng.uniform(SMALLER, LARGER)
    data = qpi.numpy().astype(np.float32)
    if factor < 1:
        blur = (1 / factor - 1) / 2
        data = ndimage.gaussian_filter(data, (0, blur, blur))
    data = ndimage.zoom(data, (1, factor, factor), order=3)
    low, high = np.percentile(data[::3, ::3, ::3], [25, 75])
    noise = rng.normal(0, (high - low) / 1.35 * rng.choice(NOISE), data.shape)
    z, y, x = qpi.spacing or (1.0, 1.0, 1.0)
    spacing = (z, y / factor, x / factor) if rng.random() < 0.7 else None
    return Volume((data + noise).astype(np.float32), spacing=spacing, name=qpi.name), factor


def looked_at(model: Path, count: int, first: int) -> Iterator[tuple[dict[str, str], Tried]]:
    """Yield the tags of drawn specimens, and how the model's encoder sees them."""
    bundle = load_bundle(find_model(model))
    for seed in range(first, first + count):
        qpi = draw_specimen(seed, size=SIZE).qpi
        tags = dict(tag.split(":") for tag in qpi.metadata["tags"])
        stack, factor = resized(qpi, np.random.default_rng(seed))
        look, tried = FirstLook(stack, bundle, "auto"), widths_to_try(stack)
        assert qpi.spacing is not None
        width = math.log2(qpi.metadata["nucleus_um"] / qpi.spacing[2] * factor)
        features = np.stack([look.features(float(pixels)) for pixels in tried])
        yield tags, Tried(tags["modality"], width, np.log2(tried), features)


def main() -> None:
    """Draw, fit, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--n", type=int, default=120)
    parser.add_argument("--seed", type=int, default=70_000)
    chosen = parser.parse_args()
    seen = list(looked_at(chosen.model, chosen.n, chosen.seed))
    stacks = [stack for _, stack in seen]
    by_cells = [Tried(t["cells"], s.width, s.tried, s.features) for t, s in seen]
    fitted = fit_width(stacks)
    print("a microscope left out:", fitted.figures)
    print("an arrangement left out:", fit_width(by_cells).figures)
    folder = find_model(chosen.model)
    info = load_bundle(folder).info
    write_info(folder, info.model_copy(update={"width_model": fitted}))


if __name__ == "__main__":
    main()
