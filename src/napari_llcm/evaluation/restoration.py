"""How well planes between thick slices were restored: HU-MAE, PSNR and SSIM against thin ones.

Only what matters is counted: the body of a CT, since the air around it is half of the voxels and
right in any method; of other stacks all that holds data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..events import Finished, Job, Meter, ShouldStop, Started, UserError
from ..models.torchvision import check_torchvision
from ..volumes import ReadOptions, Volume, find_no_data, notices
from ..volumes.hounsfield import HounsfieldWindow, body_mask, is_hounsfield
from ..volumes.reading import read_role
from .image_metrics import BLACK, WHITE, NoContrast, ssim

MOST = 100.0  # dB; two that are equal have no finite PSNR, which no mean could take
_OFF = 0.05  # voxels; how far one may lie off the other


def restoration_metrics(
    truth: Volume,
    restored: Volume,
    *,
    mask: np.ndarray | None = None,
    window: HounsfieldWindow | None = None,
) -> dict[str, float]:
    """Return how near a restored stack comes to the thin one.

    Parameters
    ----------
    truth, restored : Volume
        Axes "zyx", on one grid.
    mask : ndarray, optional
        (z, y, x), bool: what is counted; by default the body of a CT, and of others all that
        holds data in the truth. What is not a number in either counts for nothing.
    window : HounsfieldWindow, optional
        Of a CT: PSNR and SSIM are of values within it. By default the usual one for soft tissue
        where the truth says that it is in HU; given, the values are taken to be HU.

    Returns
    -------
    dict
        mae : mean absolute error, in HU (not clipped to the window) or the stack's unit.
        psnr : dB, at most 100, on the width of the window, or between the 0.1 and the 99.9
        percentile of the truth.
        ssim : mean structural similarity of the voxels that are counted, on the same range.
        counted : share of the voxels that are counted.
        data_range : that range.

    Raises
    ------
    NoContrast
        If the truth is constant.
    UserError
        If the two are not on one grid, or nothing is left to be counted.
    """
    check_torchvision()
    import torch
    from torchmetrics.functional.image import peak_signal_noise_ratio

    _check_grid(truth, restored)
    real, made = (np.asarray(v.numpy(), np.float32) for v in (truth, restored))
    if window is None and is_hounsfield(truth):
        window = HounsfieldWindow()
    if mask is not None and mask.shape != real.shape:
        raise UserError(f"The mask's shape {mask.shape} is not that of {truth.name}.")
    counted = np.isfinite(real) & np.isfinite(made)
    if mask is not None:
        counted &= mask.astype(bool)
    elif window is not None:
        counted &= body_mask(real)
    else:  # a network may make one value of a stretch, which is an error of its and no lack of data
        counted &= ~find_no_data(truth).mask(truth.data)
    if not counted.any():
        raise UserError(f"Of {truth.name} and {restored.name} nothing is left to be compared.")
    mae = float(np.abs(real - made)[counted].mean(dtype=np.float64))
    if window is not None:
        unit, span = 2.0, window.width
        real, made = (window.apply(v) for v in (real, made))
    else:
        low, high = np.percentile(real[counted], (BLACK, WHITE))
        unit, span = 1.0, float(high - low)
        if span > 0:
            real, made = ((v - np.float32(low)) / np.float32(span) for v in (real, made))
    if np.ptp(real[counted]) == 0 or span <= 0:
        raise NoContrast(f"{truth.name} has no contrast to measure an error against.")
    # the windows of SSIM see the same in both where one holds no data
    real, made = (np.where(np.isfinite(real + made), v, 0) for v in (real, made))
    x, y = (torch.from_numpy(v[counted]) for v in (real, made))
    psnr = float(peak_signal_noise_ratio(y, x, data_range=unit))
    return {
        "mae": mae,
        "psnr": min(psnr, MOST),
        "ssim": ssim(real, made, unit, counted),
        "counted": float(counted.mean()),
        "data_range": span,
    }


def compare_restored(
    truth: Path,
    restored: Sequence[Path],
    *,
    mask: Path | None = None,
    window: HounsfieldWindow | None = None,
    reading: ReadOptions | None = None,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Compare restored stacks with the thin one, as `restoration_metrics` does.

    Parameters
    ----------
    truth : Path
        The thin stack.
    restored : sequence of Path
        Stacks on its grid.
    mask : Path, optional
        A stack that is not 0 where voxels count.
    window : HounsfieldWindow, optional
        As for `restoration_metrics`.
    reading : ReadOptions, optional
        How files are read.
    should_stop : callable, optional
        Asked before each stack.

    Yields
    ------
    Event
        `Finished.result` has "unit" and, by file, the metrics in "stacks".

    Raises
    ------
    UserError
        If a file cannot be read, or the stacks are not on one grid.
    """
    yield Started(job="compare", total=len(restored), unit="stacks")
    reading = reading or ReadOptions()
    thin = read_role(truth, reading, None)
    yield from notices(thin)
    counted = None if mask is None else read_role(mask, reading, None).numpy() != 0
    unit = "HU" if window is not None else thin.metadata.get("unit")
    meter, found = Meter(len(restored)), dict[str, dict[str, float]]()
    for path in restored:
        if should_stop is not None and should_stop():
            break
        stack = read_role(path, reading, None)
        yield from notices(stack)
        found[str(path)] = restoration_metrics(thin, stack, mask=counted, window=window)
        yield meter.at(len(found), path.name)
    yield Finished(result={"truth": str(truth), "unit": unit, "stacks": found}, value=found)


def where_both_are(truth: Volume, *others: Volume) -> tuple[Volume, ...]:
    """Return stacks of one grid cut to what all of them cover, such as 48 of 50 planes.

    Thick slices cover no more than whole slices, so that a restored stack may end a few planes
    before the thin one. Stacks whose voxels lie between those of the truth, or that tell no
    spacing, stay as they are, to be refused where they are compared.
    """
    found, spans = (truth, *others), [(0, n) for n in truth.shape]
    starts = [(0, 0, 0)]
    for other in others:
        if truth.spacing is None or other.spacing is None:
            return found
        ends = truth.voxel(other.place(np.array([(0, 0, 0), [n - 1 for n in other.shape]])))
        first = np.round(ends[0]).astype(int)
        if np.abs(ends - first - [(0, 0, 0), [n - 1 for n in other.shape]]).max() > _OFF:
            return found
        starts.append(tuple(first.tolist()))
        given = zip(spans, first, other.shape, strict=True)
        spans = [(max(a, int(f)), min(b, int(f) + n)) for (a, b), f, n in given]
    if any(a >= b for a, b in spans):
        return found
    box = [tuple(slice(a - f, b - f) for (a, b), f in zip(spans, start, strict=True))
           for start in starts]  # fmt: skip
    return tuple(
        v.replace(data=v.data[b], origin=tuple(v.place([s.start for s in b]).tolist()))
        for v, b in zip(found, box, strict=True)
    )


def _check_grid(truth: Volume, restored: Volume) -> None:
    """Refuse two stacks whose voxels are not the same places.

    Raises
    ------
    UserError
        If they are not.
    """
    if truth.axes != "zyx" or restored.axes != "zyx":
        raise UserError("Stacks to compare have axes zyx: choose one channel and time point.")
    if truth.shape != restored.shape:
        sizes = (" × ".join(map(str, v.shape)) for v in (truth, restored))
        raise UserError("{} has {} voxels, and {} has {}: compare stacks on one grid.".format(
            *(w for pair in zip((truth.name, restored.name), sizes, strict=True) for w in pair)
        ))  # fmt: skip
    if truth.spacing is None or restored.spacing is None:
        return
    ends = np.array([(0, 0, 0), [n - 1 for n in truth.shape]])
    off = np.abs(truth.voxel(restored.place(ends)) - ends).max()
    if off > _OFF:
        raise UserError(
            f"{restored.name} lies up to {off:.3g} voxels off {truth.name}: compare stacks on one "
            "grid."
        )
