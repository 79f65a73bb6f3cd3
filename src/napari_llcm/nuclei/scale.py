"""How bright and how large: the two scales that a segmenter needs before it can start."""

from __future__ import annotations

import numpy as np

from ..events import UserError
from ..volumes import Volume, check_stack

# Nuclei narrower than this have too few pixels for any segmenter to hold on to.
_NARROWEST = 4.0
SPECK = 0.05
"""Share of the typical nuclear volume below which an object is a speck and is dropped."""


def readable_image(volume: Volume) -> np.ndarray:
    """Return the voxels of one stack as float32.

    Raises
    ------
    UserError
        If the volume is no stack of finite numbers with something in it.
    """
    stack = volume.select()
    check_stack(stack)
    return stack.numpy().astype(np.float32)


def normalise(
    image: np.ndarray, low: float = 1.0, high: float = 99.8, root: bool = True
) -> np.ndarray:
    """Return the image on a scale where background is near 0 and a bright nucleus near 1.

    One rule, computed once for each whole image and never by hand: two images of one field come
    out alike whatever their gain and offset, so that a virtual stain is not judged by its units.
    Percentiles rather than extremes, as a single hot voxel moves a maximum. The square root makes
    photon noise the same at every brightness (Anscombe 1948) and lets a dim nucleus weigh:
    at a tenth of the brightness it stands at 0.3 instead of 0.1.

    Parameters
    ----------
    image : ndarray of float32
        Shape (z, y, x).
    low, high : float
        Percentiles that become 0 and 1.
    root : bool
        Whether to take the square root.

    Returns
    -------
    ndarray of float32
        Same shape, not below 0 where the root was taken.
    """
    # Every fourth voxel along y and x is sample enough for a percentile.
    bottom, top = np.percentile(image[:, ::2, ::2], [low, high])
    if top <= bottom:  # nearly everything is background: what is left is the brightest voxel
        top = max(float(image.max()), bottom + np.finfo(np.float32).tiny)
    scaled = (image - np.float32(bottom)) / np.float32(top - bottom)
    return np.sqrt(np.maximum(scaled, 0)) if root else scaled


def anisotropy_of(volume: Volume) -> float:
    """Return the spacing along z over that in the plane, 1 where the spacing is unknown."""
    if volume.spacing is None:
        return 1.0
    z, y, x = volume.spacing
    return z / float(np.sqrt(y * x))


def diameter_in_pixels(volume: Volume, diameter: float) -> float:
    """Return a diameter in pixels of the plane.

    Parameters
    ----------
    volume : Volume
        Tells the spacing.
    diameter : float
        In µm, in pixels where the spacing is unknown.

    Raises
    ------
    UserError
        If that is too small to segment.
    """
    pixel = 1.0 if volume.spacing is None else float(np.sqrt(volume.spacing[1] * volume.spacing[2]))
    pixels = diameter / pixel
    if not pixels >= _NARROWEST:
        unit = "pixels" if volume.spacing is None else "µm"
        raise UserError(
            f"A nuclear diameter of {diameter:g} {unit} is {pixels:.1f} pixels wide in "
            f"{volume.name}; at least {_NARROWEST:g} are needed: check diameter and spacing."
        )
    return pixels


def estimate_diameter(image: np.ndarray, anisotropy: float) -> float:
    """Estimate the typical nuclear diameter of an image, in pixels of the plane.

    Twice the distance from the middle of a nucleus to its border, over all nuclei, each weighted
    with its volume so that specks do not count. Touching nuclei need not be told apart first: the
    distance has one maximum in each.

    Parameters
    ----------
    image : ndarray of float32
        Shape (z, y, x).
    anisotropy : float
        Spacing along z over that in the plane.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    smooth = ndimage.gaussian_filter(normalise(image), (1.0 / anisotropy, 1.0, 1.0))
    bright = smooth > threshold_otsu(smooth)
    depth = ndimage.distance_transform_edt(bright, sampling=(anisotropy, 1.0, 1.0))
    peaks = (depth == ndimage.maximum_filter(depth, 5)) & bright
    radius = np.sort(depth[peaks])
    weight = np.cumsum(radius**3)
    typical = radius[np.searchsorted(weight, weight[-1] / 2)]
    return max(2.0 * float(typical), _NARROWEST)
