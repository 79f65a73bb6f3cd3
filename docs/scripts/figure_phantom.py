"""Draw docs/images/phantom.png: a phantom across and along, thin, thick, and interpolated."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from napari_llcm.phantom import TISSUES, make_phantom
from napari_llcm.volumes.thick_slices import ThickOptions, interpolated, thicken

OUT = Path(__file__).parents[1] / "images" / "phantom.png"
SEED = 7
ROW, COLUMN = 118, slice(24, 232)  # of the cut along the body
LUNG, SOFT = (-1200, 300), (-160, 240)  # HU, from black to white


def main() -> None:
    """Draw the figure."""
    phantom = make_phantom(seed=SEED)
    thick, thin = thicken(phantom.thin, ThickOptions(ratio=6))
    cubic = interpolated(thick, thin.shape[0], "cubic").numpy()
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained")
    plane = max(phantom.findings, key=lambda f: f.diameter * (f.kind == "solid")).voxel[0]
    across = phantom.thin.numpy()[round(plane), 40:220, COLUMN]
    axes[0, 0].imshow(across, cmap="gray", vmin=LUNG[0], vmax=LUNG[1])
    axes[0, 1].imshow(across, cmap="gray", vmin=SOFT[0], vmax=SOFT[1])
    tissue = phantom.tissue.numpy()[round(plane), 40:220, COLUMN]
    axes[0, 2].imshow(tissue, cmap="tab20", vmin=0, vmax=19, interpolation="nearest")
    along = [v[:, ROW, COLUMN][::-1] for v in (thin.numpy(), thick.numpy(), cubic)]
    for axis, image in zip(axes[1], along, strict=True):
        tall = thin.shape[0] / len(image) / 1.4  # a voxel's height over its width
        axis.imshow(image, cmap="gray", vmin=LUNG[0], vmax=LUNG[1], aspect=tall)
    titles = (
        "across, lung window", "soft-tissue window", f"tissue ({len(TISSUES)} kinds)",
        "along: 144 planes of 1 mm", "24 slices of 6 mm", "cubic interpolation of these",
    )  # fmt: skip
    for axis, title in zip(axes.flat, titles, strict=True):
        axis.set_title(title)
        axis.set_xticks([])
        axis.set_yticks([])
    OUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUT, dpi=90)
    with Image.open(OUT) as picture:  # a third of the size in 64 colours
        picture.convert("RGB").quantize(64).save(OUT, optimize=True)
    print(np.round(np.abs(cubic.astype(float) - thin.numpy()).mean(), 1), "HU mean error")


if __name__ == "__main__":
    main()
