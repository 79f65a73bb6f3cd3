"""What the Stain panel's form says is to be made, of what, how, and where it appears."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...events import UserError
from ...staining.inputs import joined
from ...tasks import Task
from ..layers.stack import LayerStack, stack_of
from ..layers.viewport import View
from ..settings import preferences
from . import jobs as stain_jobs
from .form import StainForm
from .stain_layer import StainLayer, StainLayers

if TYPE_CHECKING:
    from ...staining import StainOptions


class Chosen:
    """Reads the form.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where layers appear.
    form : StainForm
        What is chosen.

    Attributes
    ----------
    layers : StainLayers
        What was made so far.
    """

    def __init__(self, viewer: Any, form: StainForm) -> None:
        self._viewer, self._form = viewer, form
        self.layers = StainLayers(viewer)

    def parts(self, layers: list[Any]) -> list[stain_jobs.Part]:
        """Return what a job has to do for layers, the chosen region where it is one alone.

        Raises
        ------
        UserError
            If there is none, one is no stack, or the model takes several at once that do not fit.
        """
        if not layers or layers[0] is None:
            raise UserError("There is no stack: open one in the Load panel, or tick a layer.")
        further = self._form.further.layers
        if further and layers != [self._form.stack.layer]:
            raise UserError(
                f"This model takes {len(further) + 1} stacks at once: choose them above, and "
                f"press {self._form.start.text()}."
            )
        parts = []
        for layer in layers:
            stain_layer, view = self.stain_layer(layer)
            box = self._form.region.box(stain_layer.stack, view) if len(layers) == 1 else None
            every = stain_layer.stack.times == 1 or self._form.times.currentIndex() == 1
            times = list(stain_layer.canvases) if every else [view.time]
            parts.append(stain_jobs.Part(stain_layer, view, times, box))
        return parts

    def stain_layer(self, layer: Any) -> tuple[StainLayer, View]:
        """Return the stain of a layer that goes on, or a new one, and where the user looks.

        Raises
        ------
        UserError
            As `parts`.
        """
        model, options = self._form.model, self.options()
        info = model.info
        stack = self.stack(layer)
        further = [self.stack(one) for one in self._form.further.layers if one is not None]
        stack = _together(stack, further, info.task)
        view = View(self._viewer, stack, info.task.planes)
        return self.layers.of(stack, model.path, info, options, further), view

    def stack(self, layer: Any) -> LayerStack:
        """Return a layer as a stack, with the voxel size that was given for it before.

        Raises
        ------
        UserError
            If it is none.
        """
        stack = stack_of(layer)
        if stack.volume.spacing is None and self._form.spacing.recalled(layer):
            stack = stack_of(layer)
        return stack

    def options(self) -> StainOptions:
        """Return how it is made."""
        form = self._form
        samples = form.samples.value() if form.spread.isChecked() else 1
        device, width = form.device.currentData(), form.width_row.width
        return stain_jobs.options_of(preferences(), device, samples, width)


def _together(stack: LayerStack, further: list[LayerStack], task: Task) -> LayerStack:
    """Return the inputs of a task as one stack, on the layer of the first.

    Raises
    ------
    UserError
        If they are too few, the same, or do not lie on one grid.
    """
    if len(task.inputs) == 1:
        return stack
    several = [stack, *further]
    if len({id(one.layer) for one in several}) < len(several):
        raise UserError("Choose another layer for each stack that this model takes.")
    if len({(one.times, one.turned) for one in several}) > 1:
        raise UserError("The stacks differ in time points or in direction: choose alike ones.")
    return replace(stack, volume=joined([one.volume for one in several], task))
