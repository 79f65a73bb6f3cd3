"""What can be measured of a stack, and of a trial stain of parts of it, that tells how well a model
will stain it: statistics of the input, of the encoder's features and of the stain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ..models.bundle import ModelBundle
from ..models.device import autocast
from ..models.methods import METHODS
from ..tasks.normalise import Scaling
from .grid import NetworkGrid
from .tiling import Box

if TYPE_CHECKING:
    import torch

PART = (32, 96, 96)  # voxels of the networks' grid: some two dozen nuclei
PARTS = 3
WIDTH = 15.0  # voxels: how wide the nuclei of the training specimens are in plane
_BANDS = (0.0, 0.02, 0.04, 0.08, 0.16, 0.32, 0.71)  # cycles per voxel
_NUCLEAR = 0.35  # of the stabilised DAPI: above it is a nucleus, whose mean is about 0.65
_GREY = 0.15  # between this and `_NUCLEAR` lies what is neither

Features = dict[str, float]


def choose_parts(grid: NetworkGrid, scaling: Scaling, multiple: Sequence[int]) -> list[Box]:
    """Return up to `PARTS` boxes of the padded grid that are worth a look.

    Of all places on a coarse net those are taken whose middle plane varies as usual, and more
    than usual: an empty corner says nothing, and the most striking place may be dust.
    """
    sizes = [min(p, -(-n // m) * m) for p, n, m in zip(PART, grid.shape, multiple, strict=True)]
    spans = []
    for size, n, most in zip(sizes, grid.padded, (2, 5, 5), strict=True):
        count = min(most, max(1, n // size))
        spans.append(sorted({int(a) for a in np.linspace(0, n - size, count).round()}))
    aligned = [[a // m * m for a in span] for span, m in zip(spans, multiple, strict=True)]
    places: list[tuple[float, Box]] = []
    for z in aligned[0]:
        middle = min(z + sizes[0] // 2, grid.shape[0] - 1)
        for y in aligned[1]:
            for x in aligned[2]:
                plane = ((middle, middle + 1), (y, y + sizes[1]), (x, x + sizes[2]))
                varies = float(np.std(scaling.apply(grid.read(plane))))
                box = tuple((a, a + s) for a, s in zip((z, y, x), sizes, strict=True))
                places.append((varies, box))
    places.sort()
    last = len(places) - 1
    chosen = sorted({round(last * share) for share in (0.5, 0.75, 0.95)})
    return [places[i][1] for i in chosen]


def of_part(
    part: np.ndarray, model: ModelBundle, device: torch.device
) -> tuple[Features, np.ndarray]:
    """Return the features of one part, and the means and deviations of the encoder's channels.

    Parameters
    ----------
    part : ndarray
        Scaled phase (z, y, x), float32, sizes multiples of what the networks need.
    model : ModelBundle
        Its networks lie on the device.
    device : torch.device
        Where they run.
    """
    stain, again, encoded, further = _trial(part, model, device)
    return {**of_input(part), **of_stain(stain, again), **further}, encoded


def of_input(part: np.ndarray) -> Features:
    """Return statistics of a scaled phase stack: distribution, spectrum, correlation along z."""
    x = np.clip(part, -6, 6)
    fine = x - ndimage.gaussian_filter(x, (0, 1, 1))
    blobs = ndimage.gaussian_filter(x, (0, WIDTH / 6, WIDTH / 6))
    blobs -= ndimage.gaussian_filter(x, (0, WIDTH / 2, WIDTH / 2))
    features = {
        "skew": _skew(x),
        "tails": float(np.log(_moment(x, 4))),
        "blob skew": _skew(blobs),
        "blobs": float(np.log(blobs.std() / max(float(x.std()), 1e-9) + 1e-3)),
        "fine": float(np.log(fine.std() / max(float(x.std()), 1e-9) + 1e-3)),
        "fine tails": float(np.log(_moment(fine, 4))),
        "uneven": _unevenness(x),
    }
    for name, image in (("axial", x), ("axial blobs", blobs)):
        for lag in (1, 3):
            features[f"{name} {lag}"] = _correlation_along_z(image, lag)
    bands = spectrum(x)
    return features | {f"band {i}": float(v) for i, v in enumerate(bands)}


def spectrum(part: np.ndarray) -> np.ndarray:
    """Return the logarithm of the share of the in-plane power in each radial band."""
    x = part - part.mean((1, 2), keepdims=True)
    window = np.hanning(x.shape[1])[:, None] * np.hanning(x.shape[2])
    power = (np.abs(np.fft.rfft2(x * window)) ** 2).mean(0)
    ky, kx = np.fft.fftfreq(x.shape[1])[:, None], np.fft.rfftfreq(x.shape[2])
    band = np.digitize(np.hypot(ky, kx), _BANDS[1:-1])
    share = np.bincount(band.ravel(), power.ravel(), len(_BANDS) - 1) / max(power.sum(), 1e-12)
    return np.asarray(np.log(share + 1e-5))


def of_stain(stain: np.ndarray, again: np.ndarray) -> Features:
    """Return what a stain and a second one tell by themselves.

    Parameters
    ----------
    stain, again : ndarray
        Stabilised DAPI (z, y, x) of one part, the second from a flipped view with other noise.
    """
    mask, other = stain > _NUCLEAR, again > _NUCLEAR
    share = float(mask.mean())
    grey = float((stain > _GREY).mean())
    within = mask * (stain - stain[mask].mean() if share else 0)
    without = ~mask * (stain - stain[~mask].mean() if share < 1 else 0)
    total = float(stain.var()) + 1e-9
    dark, bright = np.percentile(stain, (20, 99.5))
    features = {
        "foreground": float(np.log(share + 1e-3)),
        "grey": 1 - share / max(grey, 1e-3),
        "separation": 1 - float((within**2 + without**2).mean()) / total,
        "dark": float(dark),
        "bright": float(bright),
        "agreement": _correlation(stain, again),
        "overlap": 2 * float((mask & other).mean()) / max(share + float(other.mean()), 1e-3),
        "edge": _edge(stain, mask),
    }
    return features | _bodies(mask)


def _bodies(mask: np.ndarray) -> Features:
    """Return sizes and shapes of the bodies of a mask, as far as they can be had in no time."""
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())[1:]
    sizes = sizes[sizes > 20]  # voxels; fewer are a speck
    if not len(sizes):
        return {"size": -3.0, "size spread": 0.0, "specks": 1.0, "open": 0.0, "bodies": -4.0}
    typical = np.average(np.log(sizes), weights=sizes)
    ball = ndimage.distance_transform_edt(mask, sampling=(1.6, 1, 1)) > WIDTH / 5
    opened = ndimage.distance_transform_edt(~ball, sampling=(1.6, 1, 1)) <= WIDTH / 5
    return {
        "size": float(typical - np.log(WIDTH**3 / 3)),
        "size spread": float(np.log(sizes).std()),
        "specks": 1 - len(sizes) / max(count, 1),
        "open": float((opened & mask).sum() / mask.sum()),
        "bodies": float(np.log(len(sizes) / mask.size * WIDTH**3 + 1e-2)),
    }


def _edge(stain: np.ndarray, mask: np.ndarray) -> float:
    """Return how steep the stain is at the rim of what is bright."""
    rim = mask & ~ndimage.binary_erosion(mask)
    if not rim.any():
        return 0.0
    gy, gx = np.gradient(stain, axis=(1, 2))
    return float(np.hypot(gy, gx)[rim].mean())


def _trial(
    part: np.ndarray, model: ModelBundle, device: torch.device
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Features]:
    """Return two stains of a part, and the statistics of the encoder's channels."""
    import torch

    from ..models.condition import features_of
    from ..models.samplers import predict

    with torch.inference_mode(), autocast(device):
        phase = torch.from_numpy(np.ascontiguousarray(part, np.float32))[None, None].to(device)
        latent = METHODS[model.info.method].latent
        condition = model.networks.conditioned(phase) if latent else None
        one = predict(model.info, model.networks, phase, condition=condition)
        two = predict(model.info, model.networks, phase.flip(-1), seed=1).flip(-1)
        encoded = np.zeros(0)
        further: Features = {}
        if condition is not None:
            sites = features_of(condition).float().flatten(2)[0]
            encoded = torch.cat([sites.mean(1), sites.std(1)]).cpu().numpy().astype(np.float64)
    return one[0, 0].float().cpu().numpy(), two[0, 0].float().cpu().numpy(), encoded, further


def averaged(parts: Sequence[Features]) -> Features:
    """Return the mean of each feature over the parts."""
    return {name: float(np.mean([p[name] for p in parts])) for name in parts[0]}


def _moment(x: np.ndarray, order: int) -> float:
    scaled = (x - x.mean()) / max(float(x.std()), 1e-9)
    return float((scaled**order).mean()) + 1e-6


def _skew(x: np.ndarray) -> float:
    scaled = (x - x.mean()) / max(float(x.std()), 1e-9)
    return float(np.clip((scaled**3).mean(), -5, 5))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).mean() / max(float(a.std() * b.std()), 1e-9))


def _correlation_along_z(x: np.ndarray, lag: int) -> float:
    return _correlation(x[lag:], x[:-lag]) if len(x) > lag + 1 else 1.0


def _unevenness(x: np.ndarray) -> float:
    """Return how much the local contrast varies over the field."""
    mean, square = (ndimage.uniform_filter(v, (0, 31, 31)) for v in (x, x * x))
    local = np.sqrt(np.maximum(square - mean**2, 0))[:, ::8, ::8]
    return float(local.std() / max(float(local.mean()), 1e-9))
