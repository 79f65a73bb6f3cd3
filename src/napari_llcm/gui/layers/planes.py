"""A layer that is one plane, where a stack or a plane may be chosen."""

from __future__ import annotations

from typing import Any

from ...volumes import Volume
from ...volumes.flat import holds_one_plane
from .combo import volume_of
from .conversion import as_volume, attributes_of


def is_plane(layer: Any) -> bool:
    """Return whether a layer, or none, is one grey plane: two axes of more than a pixel."""
    if layer is None or getattr(layer, "rgb", False):
        return False
    return sum(n > 1 for n in _finest(layer).shape) == 2


def stack_or_plane(layer: Any, viewer: Any) -> Volume:
    """Return the stack that a layer shows, as `volume_of`, or its plane.

    Raises
    ------
    UserError
        If the layer is neither.
    """
    if is_plane(layer):
        volume = as_volume(_finest(layer), attributes_of(layer)).select()
        if holds_one_plane(volume):
            return volume
    return volume_of(layer, viewer)


def _finest(layer: Any) -> Any:
    return layer.data[0] if layer.multiscale else layer.data
