"""The volumes of the layers that a check is of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...events import UserError
from ...volumes import Volume
from ...volumes.flat import holds_one_plane
from ..layers.combo import volume_of
from ..layers.conversion import as_volume, attributes_of
from ..layers.stack import LayerStack, stack_of


@dataclass(frozen=True)
class Sides:
    """What is compared.

    Parameters
    ----------
    stack : LayerStack
        The virtual stain's layer, on which the outlines lie.
    virtual : Volume
        The virtual stain.
    real : Volume or None
        The real one, a stack or one plane.
    phase : Volume or None
        The label-free stack.
    """

    stack: LayerStack
    virtual: Volume
    real: Volume | None
    phase: Volume | None

    @property
    def images(self) -> dict[str, Volume | None]:
        """The volumes as a report takes them."""
        return {"qpi": self.phase, "truth": self.real, "stain": self.virtual}


def sides_of(stain: Any, truth: Any, qpi: Any, viewer: Any) -> Sides:
    """Return the volumes of the layers that are chosen, each or None.

    Raises
    ------
    UserError
        If there is nothing to check, or a layer is none that can be.
    """
    if stain is None:
        raise UserError("Stain a stack first, or open a virtual DAPI, and choose it here.")
    if stain is truth:
        raise UserError("Choose two different layers: a virtual stain and a real one.")
    stack = stack_of(stain)
    virtual = volume_of(stain, viewer)
    real = None if truth is None else _real(truth, viewer)
    phase = None if qpi is None else volume_of(qpi, viewer)
    if phase is not None and phase.shape != virtual.shape:
        virtual = virtual.noted(
            f"{phase.name} is of another size than {virtual.name}: it is left out."
        )
        phase = None
    return Sides(stack, virtual, real, phase)


def is_plane(layer: Any) -> bool:
    """Return whether a layer is one plane: a real stain that is compared in 2D."""
    if layer is None or getattr(layer, "rgb", False):
        return False
    shape = (layer.data[0] if layer.multiscale else layer.data).shape
    return sum(n > 1 for n in shape) == 2


def _real(layer: Any, viewer: Any) -> Volume:
    if is_plane(layer):
        data = layer.data[0] if layer.multiscale else layer.data
        volume = as_volume(data, attributes_of(layer)).select()
        if holds_one_plane(volume):
            return volume
    return volume_of(layer, viewer)
