"""Nuclei without a network: threshold, distances and a watershed."""

from __future__ import annotations

import numpy as np

from ..volumes.labels import SPECK
from .scale import normalise


class Classical:
    """Smooth, threshold, seed where the distance to the background is largest, flood.

    For when Cellpose is not at hand or a second opinion is wanted. Otsu's threshold separates
    nuclei from background, the local mean over some nuclei one nucleus from the haze of others; the
    watershed runs on the smoothed distance to the border.
    """

    name = "classical"

    def __call__(self, image: np.ndarray, diameter: float, anisotropy: float) -> np.ndarray:
        """Return the labels of the nuclei.

        Parameters
        ----------
        image : ndarray of float32
            Shape (z, y, x).
        diameter : float
            Typical nuclear diameter in pixels of the plane.
        anisotropy : float
            Spacing along z over that in the plane.

        Returns
        -------
        ndarray of uint32
            Shape (z, y, x).
        """
        from scipy import ndimage
        from skimage.filters import threshold_otsu
        from skimage.segmentation import watershed

        flat = image.shape[0] == 1
        pixels = np.array([0 if flat else 1 / anisotropy, 1, 1])
        bright = normalise(image)
        smooth = ndimage.gaussian_filter(bright, 0.07 * diameter * pixels)
        around = ndimage.gaussian_filter(bright, 1.0 * diameter * pixels)
        inside = (smooth > threshold_otsu(smooth)) & (smooth > around)
        # a hole of a plane alone is open along z
        inside = (
            ndimage.binary_fill_holes(inside[0])[None]
            if flat
            else ndimage.binary_fill_holes(inside)
        )
        parts, _ = ndimage.label(inside)
        typical = np.pi / 4 * diameter**2 if flat else np.pi / 6 * diameter**3 / anisotropy
        large = np.bincount(parts.ravel()) >= SPECK * typical
        large[0] = False
        inside = large[parts]
        distance = ndimage.distance_transform_edt(inside, sampling=(anisotropy, 1, 1))
        hills = ndimage.gaussian_filter(distance, 0.1 * diameter * pixels)
        reach = np.maximum(0.3 * diameter * pixels, 1)
        highest = ndimage.maximum_filter(hills, size=2 * np.round(reach).astype(int) + 1)
        seeds, _ = ndimage.label((hills == highest) & inside, np.ones((3, 3, 3)))
        labels = watershed(-hills, seeds, mask=inside)
        return np.asarray(labels, np.uint32)
