"""Draw docs/images/families.png: a specimen of each family, each seen by another microscope."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from napari_llcm.specimen import TAGS, Specimen, draw_specimen

OUT = Path(__file__).parents[1] / "images" / "families.png"
SHOWN = {
    "tissue": ("transmission", 3),
    "confluent": ("qobm", 4),
    "elongated": ("dic", 6),
    "spheroid": ("brightfield", 11),
    "crowded": ("odt", 2),
    "sparse": ("zernike", 5),
    "adherent": ("zernike", 9),
    "monolayer": ("brightfield", 6),
}


def draw(cells: str, modality: str, seed: int) -> Specimen:
    """Return a specimen of one family and one modality, with all its planes and little noise."""
    wanted = {"cells": cells, "modality": modality, "planes": "many", "noise": "weak"}
    out = [f"{k}:{v}" for k, which in wanted.items() for v in TAGS[k] if v != which]
    return draw_specimen(seed, leave_out=out)


def main() -> None:
    """Draw the figure."""
    figure, axes = plt.subplots(
        4, 8, figsize=(15, 7), layout="constrained", gridspec_kw={"height_ratios": [3, 1.2, 3, 1.2]}
    )
    for column, (cells, (modality, seed)) in zip(axes.T, SHOWN.items(), strict=True):
        specimen = draw(cells, modality, seed)
        labels = specimen.labels.numpy()
        plane = int(np.argmax((labels > 0).sum((1, 2))))
        row = int(np.argmax((labels > 0).sum((0, 2))))
        ratio = specimen.qpi.spacing[0] / specimen.qpi.spacing[1]
        for top, volume, high in ((0, specimen.qpi, 99.5), (2, specimen.dapi, 99.8)):
            stack = volume.numpy()
            low, high = np.percentile(stack, [0.5, high])
            column[top].imshow(stack[plane], cmap="gray", vmin=low, vmax=high)
            column[top + 1].imshow(stack[:, row], cmap="gray", vmin=low, vmax=high, aspect=ratio)
        voxel = specimen.qpi.spacing[2]
        bar = 10 if voxel < 0.8 else 25
        column[0].plot([8, 8 + bar / voxel], [150, 150], color="white", linewidth=3)
        width = specimen.qpi.metadata["nucleus_um"]
        column[0].set_title(f"{cells}, {modality}\nnuclei {width:.1f} µm, bar {bar} µm", fontsize=9)
    for row, title in zip(axes[:, 0], ("label-free", "along z", "DAPI", "along z"), strict=True):
        row.set_ylabel(title)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.savefig(OUT, dpi=80)
    with Image.open(OUT) as picture:  # a third of the size in 64 colours
        picture.convert("RGB").quantize(64).save(OUT, optimize=True)


if __name__ == "__main__":
    main()
