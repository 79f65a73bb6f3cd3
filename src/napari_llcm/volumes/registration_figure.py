"""The picture of a registration: both stacks, and arrows for how the parts must move."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .correlation import Array
from .no_data import NoData
from .volume import Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .registration import Registration

SURE = 1.5
"""Score of a part of the field, or of a row of them, that can be believed."""


def draw(registration: Registration) -> Figure:
    """Return label-free in magenta, DAPI in green; arrows, enlarged, show how DAPI must move."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 7), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(registration.overlay)
    # broken here: what matplotlib wraps by itself leaves the layout no room
    axes.set_title(textwrap.fill(registration.sentence, 95), fontsize=9, parse_math=False)
    for part in registration.local:
        colour = "yellow" if part.score >= SURE else "gray"
        y, x = part.centre
        dy, dx = part.shift[1:]
        axes.plot(x, y, "o", color=colour, markersize=4)
        label = axes.annotate(
            f"z {part.shift[0]:+.1f}\ny {dy:+.1f}\nx {dx:+.1f}",
            (x, y),
            (x + 5 * dx, y + 5 * dy),
            color=colour,
            fontsize=7,
            arrowprops={"arrowstyle": "<-", "color": colour},
        )
        label.set_in_layout(False)  # enlarged, it may end beyond the picture
    axes.set_axis_off()
    return figure


def overlay_of(qpi: Volume, dapi: Volume, holes: Sequence[NoData]) -> Array:
    """Return the middle plane of both as one picture (y, x, rgb), 0 to 1; black without data."""
    dead = {z for hole in holes for z in hole.planes}
    living = [z for z in range(qpi.shape[0]) if z not in dead] or [0]
    middle = living[len(living) // 2]
    grey = []
    for volume, hole in zip((qpi, dapi), holes, strict=True):
        at = min(middle, len(volume.data) - 1)  # of a flat one its only plane
        read = np.asarray(volume.data[at])
        plane, empty = read.astype(np.float32), hole.of_plane(read, at)
        shown = plane[~empty] if not empty.all() else np.zeros(1)
        low, high = np.percentile(shown, (1, 99.7))
        plane[empty] = low
        grey.append(np.clip((plane - low) / max(high - low, 1e-30), 0, 1))
    return np.stack([grey[0], grey[1], grey[0]], axis=-1)
