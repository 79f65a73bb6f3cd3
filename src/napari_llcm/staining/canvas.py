"""The result as an array that somebody looks at while it is filled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..events import UserError
from ..models.familiarity import Verdict
from ..volumes import Volume
from .output import remembering
from .tiling import Box, bounds, common, covered, shared, slices


class Canvas:
    """An array that somebody looks at while it is filled, by one job or by several.

    A job that is given the canvas of an earlier one goes on with it, where input, model and
    settings are the same; else it begins anew.

    Parameters
    ----------
    array : numpy.ndarray
        float32 (z, y, x), or (2, z, y, x) for several samples.

    Attributes
    ----------
    complete : bool
        Whether the whole of it was stained.
    begun : bool
        Whether any of it was.
    changes : int
        How often its voxels were changed.
    verdict : Verdict or None
        Whether the model can read the stack, once that is known.
    previewing : bool
        Whether any of what it shows is a preview, which no job keeps.
    """

    notice: str | None = None
    watched = True
    region: tuple[int, ...] | None = None

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.volume = Volume(array, axes="czyx"[-array.ndim :])
        self.tile: tuple[int, ...] | None = None
        self.begun = False
        self.changes = 0
        self.verdict: Verdict | None = None
        self._done: set[Box] = set()
        self._parts: set[Box] = set()  # stained too, but no whole tiles
        self._previews: set[Box] = set()
        self._fingerprint = ""

    @property
    def previewing(self) -> bool:
        """Whether any of what it shows is a preview, which no job keeps."""
        return bool(self._previews)

    @property
    def complete(self) -> bool:
        """Whether the whole of it was stained."""
        return covered(tuple((0, n) for n in self.array.shape[-3:]), self._done)

    def take(self, volume: Volume, shape: Sequence[int], fingerprint: str) -> None:
        """Go on with what is there, or begin anew.

        Parameters
        ----------
        volume : Volume
            What the result is, but for its data.
        shape : sequence of int
            Its shape.
        fingerprint : str
            Of input, model and settings.

        Raises
        ------
        UserError
            If the array has another shape.
        """
        if self.array.shape != tuple(shape):
            raise UserError(f"{volume.name} has changed its shape: stain it anew.")
        fresh = not self._fingerprint  # nothing but previews of this input
        if self._taken(volume, fingerprint) and not fresh:
            self.withdraw()
            self.array[:] = 0

    def _taken(self, volume: Volume, fingerprint: str) -> bool:
        """Note what the result is; return whether it begins anew."""
        self.volume = volume
        if fingerprint == self._fingerprint:
            return False
        if self._fingerprint:  # what was told before the first job is of its input
            self.verdict = None
        self._fingerprint, self.tile = fingerprint, None
        self._done.clear()
        self._parts.clear()
        self.changes += self.begun
        self.begun = False
        return True

    def is_done(self, box: Box) -> bool:
        """Return whether all voxels of a box (z, y, x) are there."""
        return box in self._done or covered(box, self._done)

    def start(self, tile: Sequence[int], region: Sequence[int] | None = None) -> None:
        """Note the sizes of tiles and regions, by which a later job goes on."""
        self.tile = self.tile or tuple(tile)

    def put(self, box: Box, data: np.ndarray, part: bool = False) -> None:
        """Show the voxels of a box (one span for each axis of the result).

        Parts of tiles are not noted as done: boxes that overlap could not be counted.
        """
        self.array[slices(box)] = data
        self._noted(box, part)

    def _noted(self, box: Box, part: bool) -> None:
        """Note what is there to be seen."""
        self.begun = True
        self.changes += 1
        (self._parts if part else self._done).add(box[-3:])
        for shown in [p for p in self._previews if shared(p, box[-3:])]:
            if covered(shown, self._done):
                self._previews.discard(shown)

    def missing(self, boxes: Sequence[Box]) -> list[Box]:
        """Return those of some boxes (z, y, x) that are neither stained nor previewed whole."""
        around = bounds(boxes)
        near = [known for known in (*self._done, *self._parts) if shared(known, around)]
        unseen = [box for box in boxes if box not in self._previews]
        return [b for b in unseen if not self._mask(b, near).all()]

    def preview(self, box: Box, data: np.ndarray) -> None:
        """Show voxels that are not kept, where nothing is stained.

        Parameters
        ----------
        box : Box
            Voxels (z, y, x).
        data : numpy.ndarray
            Values (channels, z, y, x) of the first channels.
        """
        shown = self._channels(box)[: len(data)]
        np.copyto(shown, data, where=~self._mask(box, (*self._done, *self._parts)))
        self._previewed(box)

    def _previewed(self, box: Box) -> None:
        """Note what is shown and not kept."""
        self._previews.add(box)

    def withdraw(self) -> None:
        """Take away what is shown and not kept."""
        for box in self._previews:
            self._channels(box)[:, ~self._mask(box, (*self._done, *self._parts))] = 0
        self._withdrawn()

    def _withdrawn(self) -> None:
        """Note that nothing is shown but what is kept."""
        self._previews.clear()

    def _channels(self, box: Box) -> np.ndarray:
        """Return the voxels of a box, of all channels, to be changed."""
        array = self.array if self.array.ndim == 4 else self.array[None]
        return array[(slice(None), *slices(box))]

    @staticmethod
    def _mask(box: Box, stained: Sequence[Box]) -> np.ndarray:
        """Return which voxels of a box lie in others."""
        mask = np.zeros([b - a for a, b in box], bool)
        for known in stained:
            if shared(known, box):
                mask[slices(common(known, box), box)] = True
        return mask

    def finish(self, stopped: bool, metadata: dict[str, Any]) -> Volume | None:
        """Return what is there, be it all of the result or a part."""
        self._remember(metadata)
        return self.volume.replace(data=self.array)

    def _remember(self, metadata: dict[str, Any]) -> None:
        self.volume = remembering(self.volume, metadata)
