"""What the worker does to compare a restored stack with a thin one: no window is known here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...evaluation.restoration import restoration_metrics, where_both_are
from ...events import Finished, Job, Meter, Notice, ShouldStop, Started
from ...volumes import Volume, notices
from ...volumes.hounsfield import HounsfieldWindow, is_hounsfield
from ...volumes.thick_slices import interpolated

TRUTH, RESTORED, BETWEEN = "thin slices", "restored", "interpolated"


@dataclass(frozen=True)
class ImageComparison:
    """What came of it.

    Parameters
    ----------
    stacks : dict of str to Volume
        The truth, then what was compared with it, on one grid.
    figures : dict of str to dict
        For each but the truth "psnr", "ssim" and "mae".
    unit : str
        Of "mae"; empty where the truth tells none.
    first : tuple of float
        The voxel of the restored stack at which those of `stacks` begin.
    notes : tuple of str
        Of what the figures are.
    """

    stacks: dict[str, Volume]
    figures: dict[str, dict[str, float]]
    unit: str
    first: tuple[float, ...]
    notes: tuple[str, ...] = ()


def compare_images(
    restored: Volume, truth: Volume, thick: Volume | None, should_stop: ShouldStop
) -> Job:
    """Interpolate, cut to what all cover, and measure; the value is an `ImageComparison`."""
    yield Started(job="compare")
    meter = Meter(3.0)
    yield meter.at(0, "reading")
    yield from notices(restored, truth)
    others, notes = {RESTORED: restored}, list[str]()
    between = _interpolated(thick, restored)
    if between is not None:
        others[BETWEEN] = between
    elif thick is not None:
        yield Notice(text=f"{thick.name} does not cover what {restored.name} does: it is left out.")
    common, *cut = where_both_are(truth, *others.values())
    if common.shape != truth.shape:
        planes, whole = common.shape[0], truth.shape[0]
        notes.append(f"Compared where all stacks are: {planes} of {whole} planes.")
    stacks = dict(zip((TRUTH, *others), (common, *cut), strict=True))
    window = _window(restored, truth)
    if window is not None:
        low, high = window.undo((-1, 1))
        notes.append(
            f"PSNR and SSIM within {low:g} to {high:g} HU; of all, what is inside of the body."
        )
    figures = {}
    for done, name in enumerate(others, 1):
        if should_stop():
            yield Finished(result={"stopped": True})
            return
        yield meter.at(done, f"comparing {stacks[name].name}")
        found = restoration_metrics(stacks[TRUTH], stacks[name], window=window)
        figures[name] = found
    unit = "HU" if window is not None else str(common.metadata.get("unit", ""))
    begin = restored.voxel(cut[0].place((0, 0, 0))) if cut[0].spacing else np.zeros(3)
    value = ImageComparison(stacks, figures, unit, tuple(begin.tolist()), tuple(notes))
    yield Finished(result={"stacks": figures, "unit": unit}, value=value)


def _window(restored: Volume, truth: Volume) -> HounsfieldWindow | None:
    """Return the window that a restored CT was made in, or the usual one; None of no CT."""
    told = restored.metadata.get("window")
    if told is not None:
        return HounsfieldWindow(**told)
    return HounsfieldWindow() if is_hounsfield(truth) else None


def _interpolated(thick: Volume | None, restored: Volume) -> Volume | None:
    """Return the thick slices by cubic interpolation on the grid of the restored stack."""
    wanted = restored.shape
    if thick is None or thick.shape[1:] != wanted[1:] or wanted[0] % thick.shape[0]:
        return None
    return interpolated(thick, wanted[0], "cubic")
