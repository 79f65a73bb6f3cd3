"""Results that stay on the layer that they were made from, and say when they no longer fit it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...events import UserError
from ...volumes import Spacing
from .conversion import KEY, PLACE
from .stack import LayerStack, stack_of

_OUTDATED = " (outdated)"
_SAME = 1e-3  # relative: voxel sizes that differ by less are the same but for rounding


class Following:
    """Keeps result layers where their source lies.

    Where the source's voxels or their meaning change after the result was made (voxel size, axes,
    other data), the result is marked as outdated, in its name and its record.

    Parameters
    ----------
    stack : LayerStack
        The source as it was when the result was made.
    results : sequence of napari.layers.Layer
        The results, on the source's grid.
    assumed : tuple of float, optional
        Voxel size (z, y, x) that was taken where the source told none.
    told : callable, optional
        Called when the results come to fit the source no longer, or again.
    planes : int
        How many planes the results have for each of the source's.
    moves : bool
        Whether the results lie where this source does; else they are marked alone.

    Attributes
    ----------
    outdated : bool
        Whether the results no longer fit the source.
    """

    def __init__(
        self,
        stack: LayerStack,
        results: Sequence[Any],
        assumed: Spacing | None = None,
        told: Callable[[], None] | None = None,
        planes: int = 1,
        moves: bool = True,
    ) -> None:
        self._told, self._planes, self._moves = told, planes, moves
        self._stack, self._results, self._assumed = stack, list(results), assumed
        self._data = stack.layer.data
        self.outdated = False
        events = stack.layer.events
        for event in (*(getattr(events, name) for name in PLACE), events.data):
            event.connect(self._follow)

    def stop(self) -> None:
        """Follow no longer."""
        events = self._stack.layer.events
        for event in (*(getattr(events, name) for name in PLACE), events.data):
            event.disconnect(self._follow)

    def _follow(self, event: Any = None) -> None:
        source = self._stack.layer
        for layer in self._results if self._moves else ():
            if layer.ndim == source.ndim:
                for name, value in self._stack.place(self._planes).items():
                    setattr(layer, name, value)
        self._mark(not self._fits())

    def _fits(self) -> bool:
        """Return whether the source still is what the results were made from."""
        then = self._stack
        try:
            now = stack_of(then.layer)
        except UserError:
            return False
        same = (now.axes, now.turned, now.shape) == (then.axes, then.turned, then.shape)
        one, other = (s.volume.spacing or self._assumed for s in (then, now))
        if one is None or other is None:
            alike = one == other
        else:
            alike = bool(np.allclose(one, other, rtol=_SAME, atol=0))
        return same and alike and then.layer.data is self._data

    def _mark(self, outdated: bool) -> None:
        if outdated == self.outdated:
            return
        self.outdated = outdated
        for layer in self._results:
            name, record = layer.name.replace(_OUTDATED, ""), dict(layer.metadata.get(KEY, {}))
            record.pop("outdated", None)
            if outdated:
                name += _OUTDATED
                record["outdated"] = (
                    f"{self._stack.layer.name} was changed after this was made: make it anew."
                )
            layer.name, layer.metadata = name, {**layer.metadata, KEY: record}
        if self._told is not None:
            self._told()
