"""What the Check panel runs to compare a restored stack with a thin one, voxel by voxel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...evaluation.restoration import restoration_metrics, where_both_are
from ...events import Finished, Job, Meter, Notice, ShouldStop, Started, UserError
from ...volumes import Volume, notices
from ...volumes.hounsfield import HounsfieldWindow, is_hounsfield
from ...volumes.thick_slices import interpolated
from ..jobs.runner import MakeJob
from ..layers.combo import volume_of
from ..layers.stack import LayerStack, stack_of

TRUTH, RESTORED, BETWEEN = "thin slices", "restored", "interpolated"


@dataclass(frozen=True)
class ImageSides:
    """What is compared.

    Parameters
    ----------
    stack : LayerStack
        The restored stack's layer.
    restored, truth : Volume
        The restored stack and the thin one.
    thick : Volume or None
        The thick slices, whose interpolation is the least that a restored stack has to beat.
    """

    stack: LayerStack
    restored: Volume
    truth: Volume
    thick: Volume | None


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


def image_sides(stain: Any, truth: Any, thick: Any, viewer: Any) -> ImageSides:
    """Return the volumes of the layers that are chosen.

    Raises
    ------
    UserError
        If two are missing or the same, or one is no stack.
    """
    if stain is None:
        raise UserError("Restore a stack first, or open a restored one, and choose it here.")
    if truth is None:
        raise UserError(
            "Choose the thin slices of the same field as Thin truth: open them in the Load panel."
        )
    if len({id(layer) for layer in (stain, truth, thick)}) < 3:
        raise UserError("Choose different layers: the restored slices and those taken thin.")
    known = (None if one is None else volume_of(one, viewer) for one in (stain, truth, thick))
    restored, thin, coarse = known
    assert restored is not None
    assert thin is not None
    return ImageSides(stack_of(stain), restored, thin, coarse)


def comparing_images(sides: ImageSides) -> MakeJob:
    """Return a maker of the job that compares them; its value is an `ImageComparison`."""

    def make_job(should_stop: ShouldStop) -> Job:
        """Interpolate, cut to what all cover, and measure."""
        yield Started(job="compare")
        meter = Meter(3.0)
        yield meter.at(0, "reading")
        yield from notices(sides.restored, sides.truth)
        others, notes = {RESTORED: sides.restored}, list[str]()
        between = _interpolated(sides)
        if between is not None:
            others[BETWEEN] = between
        elif sides.thick is not None:
            yield Notice(
                text=f"{sides.thick.name} does not cover what {sides.restored.name} does: it is "
                "left out."
            )
        truth, *cut = where_both_are(sides.truth, *others.values())
        if truth.shape != sides.truth.shape:
            planes, whole = truth.shape[0], sides.truth.shape[0]
            notes.append(f"Compared where all stacks are: {planes} of {whole} planes.")
        stacks = dict(zip((TRUTH, *others), (truth, *cut), strict=True))
        window = _window(sides)
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
        unit = "HU" if window is not None else str(truth.metadata.get("unit", ""))
        begin = sides.restored.voxel(cut[0].place((0, 0, 0))) if cut[0].spacing else np.zeros(3)
        value = ImageComparison(stacks, figures, unit, tuple(begin.tolist()), tuple(notes))
        yield Finished(result={"stacks": figures, "unit": unit}, value=value)

    return make_job


def _window(sides: ImageSides) -> HounsfieldWindow | None:
    """Return the window that a restored CT was made in, or the usual one; None of no CT."""
    told = sides.restored.metadata.get("window")
    if told is not None:
        return HounsfieldWindow(**told)
    return HounsfieldWindow() if is_hounsfield(sides.truth) else None


def _interpolated(sides: ImageSides) -> Volume | None:
    """Return the thick slices by cubic interpolation on the grid of the restored stack."""
    thick, wanted = sides.thick, sides.restored.shape
    if thick is None or thick.shape[1:] != wanted[1:] or wanted[0] % thick.shape[0]:
        return None
    return interpolated(thick, wanted[0], "cubic")
