"""What the small Cellpose network is trained on: planes with nuclei, and planes with none."""

from __future__ import annotations

import numpy as np
from train_segmenter import CROP, FIRST_SEED, training_planes


def test_training_planes_hold_crowds_and_emptiness() -> None:
    planes = training_planes(1)
    assert all(image.shape == labels.shape for image, labels in planes)
    assert all(np.isfinite(image).all() for image, _ in planes)
    full = [labels for _, labels in planes if labels.any()]
    assert len(full) > len(planes) / 2
    assert any(not labels.any() for _, labels in planes)
    assert max(image.shape[1] for image, _ in planes) > CROP
    # Nuclei are brighter than what surrounds them, whatever was done to the image.
    brighter = [image[labels > 0].mean() > image[labels == 0].mean() for image, labels in planes
                if labels.any()]  # fmt: skip
    assert np.mean(brighter) > 0.95


def test_training_seeds_are_out_of_everyones_way() -> None:
    assert FIRST_SEED >= 10_000
