"""How long a user waits for the first voxels of a large stack, on screen and in the whole of it."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ...events import Tile
from ...staining import Canvas, Focus, StainOptions, stain
from .clock import seconds_of

if TYPE_CHECKING:
    from ...volumes import Volume
    from .bench import Bench, Shape

_SCREEN = (512, 512)  # voxels (y, x) on screen
_MOST = 64 * 1024 * 1024  # voxels of the stack


def first_tile(bench: Bench) -> dict[str, Any]:
    """Return the seconds from the start of a job to its first tile, in an array that is watched.

    For the part on screen through all planes, which alone is asked for; and for the whole stack,
    whose middle comes first. Both of these are exact; before them comes the preview of the plane
    on screen.
    """
    shape = bench.affordable(0.1, cost=1.5, most=_MOST)
    volume = bench.volume(shape)
    z, y, x = shape
    spans = [
        (max((n - s) // 2, 0), min((n + s) // 2, n)) for n, s in zip((y, x), _SCREEN, strict=True)
    ]
    screen, plane = ((0, z), *spans), ((z // 2, z // 2 + 1), *spans)
    return {
        "first_tile_seconds": {
            "preview": _until_first(bench, volume, Focus(view=lambda: plane)),
            "screen": _until_first(bench, volume, Focus(region=lambda: screen)),
            "whole": _until_first(bench, volume, Focus()),
            "shape": shape,
            "screen_shape": tuple(b - a for a, b in screen),
            "voxels": prod(shape),
        }
    }


def _until_first(bench: Bench, volume: Volume, focus: Focus) -> float:
    canvas = Canvas(np.zeros(volume.shape, np.float32))
    options = StainOptions(device=str(bench.device), check=False)

    def run() -> Shape | None:
        """Stain until there is a tile."""
        job = stain(volume, bench.model, options, out=canvas, focus=focus)
        for event in job:
            if isinstance(event, Tile):
                job.close()
                return None
        return None

    return seconds_of(run, bench.device)
