"""Where stained tiles go: memory, or an array that somebody looks at. On disk: see `stored`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ..events import UserError
from ..volumes import Volume
from .memory import free_memory
from .tiling import Box, slices


class Output(Protocol):
    """What takes the tiles of a staining job.

    Attributes
    ----------
    notice : str or None
        What the user should know before the start.
    watched : bool
        Whether somebody looks at the tiles as they come: they are smaller, and parts are shown.
    """

    notice: str | None
    watched: bool

    @property
    def tile(self) -> tuple[int, ...] | None:
        """Tile size in latent sites of an earlier job that is gone on with."""

    @property
    def region(self) -> tuple[int, ...] | None:
        """Size in latent sites of the parts that it gave to other machines."""

    def is_done(self, box: Box) -> bool:
        """Return whether all voxels of a box (z, y, x) are there."""

    def start(self, tile: Sequence[int], region: Sequence[int] | None = None) -> None:
        """Note the sizes of tiles and regions, by which a later job goes on."""

    def put(self, box: Box, data: np.ndarray, part: bool = False) -> None:
        """Keep the voxels of a box (one span for each axis of the result).

        Parameters
        ----------
        box : Box
            Voxels of the result.
        data : numpy.ndarray
            Their values.
        part : bool
            Whether the box is no more than a part of a tile.
        """

    def finish(self, stopped: bool, metadata: dict[str, Any]) -> Volume | None:
        """Return the result; None where the job was stopped and there is none to be shown.

        Parameters
        ----------
        stopped : bool
            Whether the user asked to stop.
        metadata : dict
            What the result is to remember beside the settings of its making.

        Raises
        ------
        UserError
            If it cannot be written.
        """


class Place(Output, Protocol):
    """An output that is there before the job which fills it, and may be filled by several."""

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
            If the result has no place here.
        """


class MemoryOutput:
    """The result as one array in memory.

    Parameters
    ----------
    volume : Volume
        What the result is, but for its data.
    shape : sequence of int
        Its shape.

    Raises
    ------
    UserError
        If it would not fit.
    """

    notice: str | None = None
    watched = False
    region: tuple[int, ...] | None = None

    def __init__(self, volume: Volume, shape: Sequence[int]) -> None:
        if 4 * np.prod(shape, dtype=float) > 0.7 * free_memory():
            raise UserError(
                f"The stain of {volume.name} does not fit into memory: give an output (.ome.zarr)."
            )
        self.volume, self.array = volume, np.zeros(tuple(shape), np.float32)
        self.tile: tuple[int, ...] | None = None

    def is_done(self, box: Box) -> bool:
        """Return False: nothing was done before."""
        return False

    def start(self, tile: Sequence[int], region: Sequence[int] | None = None) -> None:
        """Note the tile size; nothing to keep here."""

    def put(self, box: Box, data: np.ndarray, part: bool = False) -> None:
        """Keep the voxels of a box (one span for each axis of the result)."""
        self.array[slices(box)] = data

    def finish(self, stopped: bool, metadata: dict[str, Any]) -> Volume | None:
        """Return the result, or None where the job was stopped."""
        return None if stopped else remembering(self.volume, metadata).replace(data=self.array)


def remembering(volume: Volume, metadata: dict[str, Any]) -> Volume:
    """Return the volume with more metadata."""
    return volume.replace(metadata={**volume.metadata, **metadata})
