"""The volumes of the layers that a check is of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...events import UserError
from ...volumes import Volume
from ..layers.combo import volume_of
from ..layers.planes import stack_or_plane
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
    real = None if truth is None else stack_or_plane(truth, viewer)
    phase = None if qpi is None else volume_of(qpi, viewer)
    if phase is not None and phase.shape != virtual.shape:
        virtual = virtual.noted(
            f"{phase.name} is of another size than {virtual.name}: it is left out."
        )
        phase = None
    return Sides(stack, virtual, real, phase)
