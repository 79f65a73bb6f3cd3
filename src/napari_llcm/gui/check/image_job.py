"""What the Check panel runs to compare a restored stack with a thin one, voxel by voxel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from ...events import UserError
from ...volumes import Volume
from ...worker import Elsewhere
from ..jobs.runner import MakeJob
from ..layers.combo import volume_of
from ..layers.stack import LayerStack, stack_of
from .image_comparing import compare_images


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
    return Elsewhere(partial(compare_images, sides.restored, sides.truth, sides.thick))
