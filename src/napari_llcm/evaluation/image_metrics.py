"""How alike two stains are, voxel by voxel: PSNR, SSIM, Pearson, NRMSE and, where it can be, LPIPS.

Voxel metrics say little about nuclei: a stain that misses every dim one can have a fine PSNR.
Read them beside the nuclei's recall, never in its place.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..events import UserError
from ..models.torchvision import check_torchvision
from ..volumes import Volume, find_no_data

if TYPE_CHECKING:
    import torch

BLACK, WHITE = 0.1, 99.9  # percentiles of the truth that its data range spans
SIGMA = 1.5  # voxels; the Gaussian window of Wang et al., IEEE TIP 13, 600 (2004)
WINDOW = 11  # voxels; where that window is cut off
SMALLEST_PLANE = 32  # voxels; AlexNet's layers leave nothing of a smaller one
BACKBONE = "alexnet-owt-7be5be79.pth"  # as torchvision names it in torch's cache


class NoContrast(UserError):
    """The real image is of one value: no error can be measured against its contrast."""


def image_metrics(
    truth: Volume | np.ndarray,
    stain: Volume | np.ndarray,
    *,
    data_range: float | None = None,
) -> dict[str, float | str | None]:
    """Return image metrics of a virtual stain against the real one.

    Parameters
    ----------
    truth, stain : Volume or ndarray
        Axes z, y, x; the same shape and units. Voxels without data in either count for nothing.
    data_range : float, optional
        The span of intensities that errors are measured against; by default that between the
        0.1 and the 99.9 percentile of the truth, which no single hot pixel can stretch.

    Returns
    -------
    dict
        psnr : dB, on `data_range`.
        ssim : mean structural similarity over all voxels, with a Gaussian window in 3D.
        pearson : correlation coefficient; None where the stain is constant.
        nrmse : root mean square error divided by `data_range`.
        lpips : learned perceptual distance (AlexNet), the mean over all planes along z, y and x;
        None where it cannot be had.
        lpips_reason : why lpips is None, else None.
        data_range : the range used.

    Raises
    ------
    NoContrast
        If the truth is constant.
    UserError
        If the shapes differ, nothing is left that holds data in both, or an installed torchvision
        does not fit the installed torch.
    """
    check_torchvision()
    import torch
    from torchmetrics.functional import mean_squared_error, pearson_corrcoef
    from torchmetrics.functional.image import peak_signal_noise_ratio

    real, virtual = _array(truth), _array(stain)
    if real.shape != virtual.shape:
        raise UserError(
            f"The stain's shape {_by(virtual.shape)} is not the truth's {_by(real.shape)}: "
            "compare volumes on the same grid."
        )
    valid = ~np.logical_or(*(find_no_data(Volume(v)).mask(v) for v in (real, virtual)))
    if not valid.any():
        raise UserError("An image to compare holds values that are not numbers (NaN or infinite).")
    low, high = (float(p) for p in np.percentile(real[valid], (BLACK, WHITE)))
    span = high - low if data_range is None else float(data_range)
    if span <= 0:
        raise NoContrast("The truth has no contrast to measure an error against.")
    # the windows of SSIM and LPIPS see the same in both where one holds no data
    real, virtual = (np.where(valid, v, low) for v in (real, virtual))
    x, y = (torch.from_numpy(v[valid]) for v in (real, virtual))
    reason = _no_lpips(real.shape)
    constant = float(x.min()) == float(x.max()) or float(y.min()) == float(y.max())
    whole = [torch.from_numpy((v - low) / span) for v in (real, virtual)]
    return {
        "psnr": float(peak_signal_noise_ratio(y, x, data_range=span)),
        "ssim": ssim(real, virtual, span, valid),
        "pearson": None if constant else float(pearson_corrcoef(y, x)),
        "nrmse": float(mean_squared_error(y, x, squared=False)) / span,
        "lpips": _lpips(*whole) if reason is None else None,
        "lpips_reason": reason,
        "data_range": span,
    }


def _array(volume: Volume | np.ndarray) -> np.ndarray:
    data = volume.numpy() if isinstance(volume, Volume) else volume
    # float64: sums over millions of voxels lose the digits that Pearson needs
    return np.ascontiguousarray(data, dtype=np.float64)


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def ssim(real: np.ndarray, virtual: np.ndarray, span: float, valid: np.ndarray) -> float:
    """Return the mean SSIM over the valid voxels, the volumes mirrored at their faces.

    scikit-image filters along one axis after the other: 3 × 11 products for each voxel where the
    dense 3D kernel of torchmetrics and MONAI needs 11³, or, in float64, 94 GB for 1.8 Mvoxel.
    """
    from skimage.metrics import structural_similarity

    # the window must fit into the image: a thin stack is mirrored until it does
    missing = [max(WINDOW - n, 0) for n in real.shape]
    around = [(m // 2, m - m // 2) for m in missing]
    here = tuple(
        slice(before, before + n) for (before, _), n in zip(around, real.shape, strict=True)
    )
    _, similarity = structural_similarity(
        np.pad(real, around, mode="symmetric"),
        np.pad(virtual, around, mode="symmetric"),
        data_range=span,
        gaussian_weights=True,
        sigma=SIGMA,
        use_sample_covariance=False,
        full=True,
    )
    return float(similarity[here][valid].mean())


def _no_lpips(shape: tuple[int, ...]) -> str | None:
    """Return why LPIPS cannot be computed here, or None; nothing is ever downloaded."""
    import torch
    from torchmetrics.utilities.imports import _TORCHVISION_AVAILABLE

    if not _TORCHVISION_AVAILABLE:
        return "torchvision, which holds the LPIPS network, is not installed"
    if not (Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE).is_file():
        return f"the weights of the LPIPS network ({BACKBONE}) are not in torch's cache"
    if sorted(shape)[-2] < SMALLEST_PLANE:
        return f"no plane is as large as {SMALLEST_PLANE} × {SMALLEST_PLANE} voxels"
    return None


def _lpips(real: torch.Tensor, virtual: torch.Tensor) -> float:
    """Return the mean distance over all planes along each axis (2.5D), of images in 0 … 1."""
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    metric = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
    grey = [v.clamp(0, 1).float() for v in (virtual, real)]
    for axis in range(3):
        for pair in zip(*(v.movedim(axis, 0) for v in grey), strict=True):
            if min(pair[0].shape) >= SMALLEST_PLANE:
                metric.update(*(plane.expand(1, 3, -1, -1) for plane in pair))
    return float(metric.compute())
