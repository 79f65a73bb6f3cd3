"""Teach a model one microscope: the pair that is open, the model it starts from, a few minutes."""

from __future__ import annotations

import re
from typing import Any

from ...training.config import FINE_TUNING
from ..layers.conversion import KEY
from ..layers.planes import is_plane

MINUTES = int(FINE_TUNING["max_minutes"])
NO_PARTNER = (
    "No open layer can be the real DAPI of {stack}: open it in the Load panel and choose it above "
    "as Real DAPI, or choose a folder of pairs. Then press Train."
)
READY = (
    "Press Train: {model} goes on learning from {stack} and its real DAPI for {minutes} minutes at "
    "most. A part of the stack is held out, to see whether it gets better."
)


def partner_of(stack: Any, guess: Any, layers: list[Any]) -> Any:
    """Return the real DAPI of a stack among the open layers; None where none can be it.

    Parameters
    ----------
    stack : napari.layers.Image
        The label-free stack.
    guess : Layer or None
        The one whose name tells so.
    layers : list of Layer
        All images that are open.
    """
    fits = [one for one in layers if one is not stack and _alike(one, stack) and not _stain(one)]
    if any(one is guess for one in fits):
        return guess
    return fits[0] if len(fits) == 1 else None


def name_for(stack: Any) -> str:
    """Return what a model that is taught by a stack may be called."""
    plain = re.sub(r"[^\w.+-]+", "-", stack.name)[:40].strip("-.+")
    return f"{plain}-model" if plain else "my-model"


def _alike(one: Any, other: Any) -> bool:
    """Tell whether a layer is a stack of the other's shape, or one plane as large as its planes."""
    if is_plane(one):
        return bool(one.data.shape[-2:] == other.data.shape[-2:])
    return bool(one.data.shape[-3:] == other.data.shape[-3:])


def _stain(layer: Any) -> bool:
    return "model" in layer.metadata.get(KEY, {})
