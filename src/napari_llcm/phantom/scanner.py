"""What a scanner makes of a body: blur by a reconstruction kernel, and noise of its colour.

Filtered back projection weights each spatial frequency f with |f| (the ramp) and the kernel's
window. The signal comes out with the window as its transfer function M(f); the noise, white in the
projections, with the power |f| M(f)² (Riederer et al., Phys. Med. Biol. 23, 446, 1978): no noise
at f = 0, most of it in the middle, so that CT noise is grainy and never smooth.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from ..events import UserError
from .canvas import stretched

KernelName = Literal["soft", "medium", "sharp"]
# the window's frequency (1/mm), where soft has half its height, and how much edges are lifted
_KERNELS: dict[str, tuple[float, float]] = {
    "soft": (0.35, 0.0),
    "medium": (0.5, 0.15),
    "sharp": (0.75, 0.5),
}
_ALONG_Z = 0.42  # steps; the deviation of a thin slice's profile, as wide at half height as a step


def check_kernel(name: str) -> None:
    """Refuse a kernel that there is not.

    Raises
    ------
    UserError
        If there is none of this name.
    """
    if name not in _KERNELS:
        raise UserError(f"There is no kernel {name!r}: choose {', '.join(get_args(KernelName))}.")


def scanned(
    hu: np.ndarray,
    step: tuple[float, float, float],
    kernel: str,
    noise: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a body as a scanner shows it, with and without noise.

    Parameters
    ----------
    hu : ndarray
        (z, y, x), float32.
    step : tuple of float
        Voxel size in mm.
    kernel : str
        "soft", "medium" or "sharp".
    noise : float
        Its standard deviation in the middle of the body, HU.
    rng : numpy.random.Generator
        Draws it.

    Returns
    -------
    noisy : ndarray
        float32, HU.
    clean : ndarray
        The same without noise.
    """
    from scipy.ndimage import gaussian_filter1d

    frequency, window = _window(hu.shape[1:], step[1:], kernel)
    clean = gaussian_filter1d(hu, _ALONG_Z, axis=0, mode="nearest")
    clean = _filtered(clean, window)
    white = rng.standard_normal(hu.shape, np.float32)
    grains = _filtered(gaussian_filter1d(white, _ALONG_Z, axis=0), np.sqrt(frequency) * window)
    grains /= max(float(grains.std()), 1e-9)
    # more photons are lost where more body lies around
    level = 0.35 + 0.65 * _around(hu, step)
    return np.asarray(clean + noise * level * grains, np.float32), clean


def _around(hu: np.ndarray, step: tuple[float, ...]) -> np.ndarray:
    """Return how dense it is within some cm around each voxel, 0 to 1."""
    from scipy.ndimage import gaussian_filter

    apart = [max(int(8 / s), 1) for s in step]
    coarse = np.clip(hu[:: apart[0], :: apart[1], :: apart[2]] / 1000 + 1, 0, 1.5)
    coarse = gaussian_filter(coarse, [25 / (s * a) for s, a in zip(step, apart, strict=True)])
    coarse /= max(float(coarse.max()), 1e-9)
    return stretched(np.pad(coarse, ((0, 1),) * 3, mode="edge"), hu.shape, apart)


def _window(
    shape: tuple[int, ...], step: tuple[float, ...], kernel: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return |f| in 1/mm and the kernel's window, for a cosine transform."""
    half, lift = _KERNELS[kernel]
    rows, columns = (np.arange(n) / (2 * n * s) for n, s in zip(shape, step, strict=True))
    f = np.hypot(rows[:, None], columns)
    window = (1 + lift * 4 * (f / half) ** 2) * np.exp2(-((f / half) ** 2) * (1 + lift))
    return f.astype(np.float32), window.astype(np.float32)


def _filtered(stack: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Return a stack with each plane filtered, mirrored at its faces as cosines are."""
    from scipy import fft

    return np.stack([fft.idctn(fft.dctn(p, norm="ortho") * window, norm="ortho") for p in stack])
