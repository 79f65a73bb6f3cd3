"""What is on screen, as a job in another process knows it."""

from __future__ import annotations

from typing import NamedTuple

Box = tuple[tuple[int, int], ...]


class Seen(NamedTuple):
    """What is on screen.

    Parameters
    ----------
    box : Box
        Voxels (z, y, x) of a result.
    time : int
        Time point.
    """

    box: Box
    time: int

    @property
    def centre(self) -> tuple[float, float, float]:
        """The voxel in its middle."""
        z, y, x = ((a + b - 1) / 2 for a, b in self.box)
        return z, y, x
