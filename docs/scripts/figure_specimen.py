"""Draw docs/images/specimen.png: one field of each difficulty, from index to labels."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from napari_llcm.specimen import make_specimen

OUT = Path(__file__).parents[1] / "images" / "specimen.png"
PLANE = 20


def main() -> None:
    """Draw the figure."""
    figure, axes = plt.subplots(3, 4, figsize=(10, 7.7), layout="constrained")
    for row, difficulty in zip(axes, ("easy", "medium", "hard"), strict=True):
        specimen = make_specimen(seed=11, difficulty=difficulty)
        index, phase, dapi, labels = (
            volume.numpy()[PLANE]
            for volume in (
                specimen.refractive_index,
                specimen.qpi,
                specimen.dapi,
                specimen.labels,
            )
        )
        low, high = np.percentile(phase, [0.5, 99.5])
        row[0].imshow(index, cmap="gray", vmin=1.335, vmax=1.38)
        row[1].imshow(phase, cmap="gray", vmin=low, vmax=high)
        row[2].imshow(dapi, cmap="gray", vmin=100, vmax=np.percentile(dapi, 99.7))
        row[3].imshow(phase, cmap="gray", vmin=low, vmax=high)
        row[3].contour(labels > 0, [0.5], colors="#56b4e9", linewidths=0.8)
        row[0].set_ylabel(difficulty)
    titles = ("refractive index", "phase (qOBM)", "DAPI", "phase, true nuclei")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    axes[2, 0].plot([10, 50], [182, 182], color="white", linewidth=3)
    axes[2, 0].text(30, 178, "20 µm", color="white", ha="center", va="bottom")
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=90)
    with Image.open(OUT) as picture:  # a third of the size in 64 colours
        picture.convert("RGB").quantize(64).save(OUT, optimize=True)


if __name__ == "__main__":
    main()
