"""How bright and how large: the two scales that a segmenter needs before it can start."""

from __future__ import annotations

import numpy as np

from ..events import UserError
from ..tasks.normalise import Scaling, noise_level
from ..volumes import Volume, check_stack, filled, with_nan
from ..volumes.flat import is_flat

# Nuclei narrower than this have too few pixels for any segmenter to hold on to.
NARROWEST = 4.0
# White noise, smoothed by one pixel, has maxima that look this wide; by two, twice as wide.
_NOISE = 4.8
_WIDER = 1.15  # times that is no noise
_SMOOTHED = (1.0, 1.5, 2.0)  # pixels; the noisier the image the more it takes
# Deviations of the noise above which something stands out of it. Noise alone reaches 5, and up to 9
# at the corners, which are mirrored; nuclei that cannot be seen any more by eye still 30.
_SURE = 12.0
# Half the cut area of a ball lies in cuts at least this wide, relative to its diameter:
# (1 - u^2)^(1/2) at the u with u - u^3/3 = 1/3.
_MIDDLE = 0.938


def readable_image(volume: Volume) -> np.ndarray:
    """Return the voxels of one stack as float32, NaN where it holds no data.

    Raises
    ------
    UserError
        If the volume is no stack of numbers with something in it.
    """
    stack = volume.select()
    return with_nan(stack.data, check_stack(stack, least=1 if is_flat(volume) else 2))


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
        Shape (z, y, x); NaN, where there is no data, is filled from its surroundings.
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
    empty = np.isnan(image)
    if empty.any():
        # mirrored rather than dark: the rim of a dark hole would cut nuclei and shift thresholds
        background = float(np.nanpercentile(image, low)) if not empty.all() else 0.0
        image = filled(np.array(image), empty, background)
    sample = image[:, ::2, ::2][~empty[:, ::2, ::2]]
    bottom, top = np.percentile(sample if sample.size else image, [low, high])
    if top <= bottom:  # nearly everything is background: what is left is the brightest voxel
        top = max(float(image.max()), float(np.nextafter(np.float32(bottom), np.float32(np.inf))))
    scaled = (image - np.float32(bottom)) / np.float32(top - bottom)
    return np.sqrt(np.maximum(scaled, 0)) if root else scaled


def anisotropy_of(volume: Volume) -> float:
    """Return the spacing along z over that in the plane; 1 where unknown, or of a plane alone."""
    if volume.spacing is None or is_flat(volume):
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
    if not pixels >= NARROWEST:
        unit = "pixels" if volume.spacing is None else "µm"
        raise UserError(
            f"A nuclear diameter of {diameter:g} {unit} is {pixels:.1f} pixels wide in "
            f"{volume.name}; at least {NARROWEST:g} are needed: check diameter and spacing."
        )
    return pixels


def width_in_words(volume: Volume, pixels: float, *, estimated: bool) -> str:
    """Return a sentence on how wide the nuclei of a volume are taken to be.

    Parameters
    ----------
    volume : Volume
        Tells the spacing.
    pixels : float
        The diameter, in pixels of the plane.
    estimated : bool
        Whether nobody gave it.
    """
    how = "estimated" if estimated else "as given"
    if volume.spacing is None:
        return f"Nuclei are taken to be {pixels:.0f} pixels wide ({how}); the spacing is unknown."
    width = pixels * float(np.sqrt(volume.spacing[1] * volume.spacing[2]))
    return f"Nuclei are taken to be {width:.1f} µm wide ({how})."


class NoWidth(UserError):
    """The width of nuclei cannot be told from an image."""


def estimate_diameter(image: np.ndarray) -> float:
    """Estimate the typical nuclear diameter of an image, in pixels of the plane.

    Twice the distance from the middle of a nucleus to its border, plane by plane, so that neither
    a coarse nor an unknown spacing along z matters. Each maximum weighs as its area does, so that
    specks and the caps of nuclei hardly count; touching nuclei need not be told apart first, as
    the distance has a maximum in each.

    Parameters
    ----------
    image : ndarray of float32
        Shape (z, y, x).

    Raises
    ------
    NoWidth
        If what is bright is no wider than noise would be.
    """
    scaled, valid = normalise(without_hot_voxels(image)), ~np.isnan(image)
    for sigma in _SMOOTHED:
        first = _width(scaled, valid, sigma)
        if first >= _WIDER * _NOISE * sigma:
            # Once more with the texture inside nuclei smoothed away, as their size is known now.
            again = 0.1 * first if sigma == _SMOOTHED[0] else max(0.1 * first, sigma)
            return max(_width(scaled, valid, again), NARROWEST)
    raise NoWidth(
        "How wide the nuclei are cannot be told, as what is bright is as small as noise: "
        "give their diameter."
    )


def stands_out(image: np.ndarray, diameter: float, anisotropy: float) -> bool:
    """Tell whether anything of the size of a nucleus stands out from the noise of an image.

    Smoothed over a quarter of a nucleus, noise that differs from voxel to voxel shrinks to what
    follows from its strength, and in a million voxels hardly ever exceeds five times that.

    Parameters
    ----------
    image : ndarray of float32
        Shape (z, y, x), NaN where there is no data.
    diameter : float
        Typical nuclear diameter in pixels of the plane.
    anisotropy : float
        Spacing along z over that in the plane.
    """
    from scipy import ndimage

    sigma = diameter / 4 / np.array([anisotropy, 1, 1])
    sigma[np.array(image.shape) == 1] = 0  # a plane alone is not smoothed along z
    empty = np.isnan(image)
    filled = np.where(empty, np.nanmedian(image), image) if empty.any() else image
    smooth = ndimage.gaussian_filter(without_hot_voxels(filled), sigma)
    # what is left of the deviation of white noise: the root of the sum of the kernel's squares
    left = np.prod(np.minimum(1 / (2 * np.sqrt(np.pi) * np.maximum(sigma, 1e-6)), 1)) ** 0.5
    noise = noise_level(image, Scaling(low=0, high=1)) * left
    # in a dense field it is the background that differs from the median
    return bool(np.abs(smooth - np.median(smooth)).max() > _SURE * noise)


def without_hot_voxels(image: np.ndarray) -> np.ndarray:
    """Return an image no voxel of which is brighter than the brightest beside it in its plane.

    One hot pixel of a camera, smoothed, is as bright as a nucleus that stands out from noise.
    """
    beside = np.full_like(image, -np.inf)
    for axis in (1, 2):
        if image.shape[axis] < 2:
            return image
        ahead = [slice(None)] * 3
        behind = [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        for here, there in ((ahead, behind), (behind, ahead)):
            part = beside[tuple(here)]
            np.fmax(part, image[tuple(there)], out=part)
    return np.where(np.isneginf(beside), image, np.minimum(image, beside))


USUAL = 14.0
"""Diameter in pixels at which nuclei are looked for where it cannot be estimated."""


def _width(scaled: np.ndarray, valid: np.ndarray, sigma: float) -> float:
    """Return the typical diameter of what is bright after smoothing each plane."""
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    smooth = ndimage.gaussian_filter(scaled, (0.0, sigma, sigma))
    threshold = threshold_otsu(smooth[valid])
    radii = []
    for plane, known in zip(smooth, valid, strict=True):
        depth = ndimage.distance_transform_edt(plane > threshold)
        peaks = (depth == ndimage.maximum_filter(depth, 5)) & (depth > 0) & known
        radii.append(depth[peaks])
    radius = np.sort(np.concatenate(radii))
    weight = np.cumsum(radius**2)
    if not weight.size:  # nothing is brighter than the rest
        return 0.0
    return 2.0 * float(radius[np.searchsorted(weight, weight[-1] / 2)]) / _MIDDLE
