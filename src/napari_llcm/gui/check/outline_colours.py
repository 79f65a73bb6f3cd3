"""Voxels that say in which colour each nucleus is shown.

The colours of a labels layer never change, as napari takes long over thousands of them; its voxels
do. A voxel says which colour its nucleus has, and which of a few numbers, so that nuclei of one
colour that touch keep a contour between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...events import Finished, Job
from ...nuclei.comparing import Comparison
from ...nuclei.figures import COLOURS
from ...nuclei.finding import Findings
from .verdicts import CHOSEN, NUCLEUS, UNSURE, colour_of, key_of

PALETTE = (*COLOURS.values(), NUCLEUS, UNSURE, CHOSEN)
_NUMBERS = 255 // len(PALETTE)  # of one colour, in 8 bits
_WIDTH = 40  # pixels of a nucleus for each pixel of its contour


class OutlineImage:
    """The nuclei of both images in one array.

    Parameters
    ----------
    result : Comparison or Findings
        Whose nuclei; of those that are in both images the real one is shown.

    Attributes
    ----------
    voxels : ndarray of uint8
        Shape (z, y, x), of a flat check (1, y, x); 0 where nothing is shown.
    numbers : dict
        The number of each nucleus, by image and label.
    """

    def __init__(self, result: Comparison | Findings) -> None:
        from scipy.ndimage import find_objects

        self.numbers: dict[tuple[str, int], int] = {}
        self._joined = self._join(result)
        self._boxes = find_objects(self._joined)
        self._values = np.zeros(len(self.numbers) + 1, np.uint8)
        self._chosen: int | None = None
        self.voxels = np.zeros(self._joined.shape, np.uint8)

    def colour(self, colours: Mapping[int, str], chosen: int | None = None) -> bool:
        """Show nuclei in these colours, and the others not; tell whether anything changed.

        Parameters
        ----------
        colours : mapping
            Colour of `PALETTE` by number of the nucleus.
        chosen : int, optional
            Number of a nucleus that gets a white contour around that of its own colour.
        """
        values = np.zeros_like(self._values)
        for number, colour in colours.items():
            values[number] = _value(colour, number)
        chosen = chosen if chosen in colours else None
        changed = set(np.flatnonzero(values != self._values).tolist())
        if chosen != self._chosen:
            changed |= {n for n in (chosen, self._chosen) if n is not None}
        self._values, self._chosen = values, chosen
        for number in changed:
            box = self._boxes[number - 1] if number <= len(self._boxes) else None
            if box is None:
                continue  # it lies wholly under a real nucleus
            inside = self._joined[box] == number
            self.voxels[box][inside] = values[number]
            if number == chosen:
                self.voxels[box][inside & ~_within(inside, self.contour())] = _value(CHOSEN, number)
        return bool(changed)

    def colour_at(self, z: int, y: int, x: int) -> str | None:
        """Return the colour of a voxel, None where nothing is shown."""
        value = int(self.voxels[min(z, len(self.voxels) - 1), y, x])
        return PALETTE[(value - 1) // _NUMBERS] if value else None

    def key_at(self, z: int, y: int, x: int) -> tuple[str, int] | None:
        """Return the nucleus that is shown at a voxel, None where there is none."""
        z = min(z, len(self.voxels) - 1)
        number = int(self._joined[z, y, x]) if self.voxels[z, y, x] else 0
        return next((key for key, n in self.numbers.items() if n == number), None)

    def contour(self) -> int:
        """Return a thickness that leaves the inside of a typical nucleus free."""
        widths = [box[2].stop - box[2].start for box in self._boxes if box is not None]
        return max(1, round(float(np.median(widths)) / _WIDTH)) if widths else 1

    def _join(self, result: Comparison | Findings) -> np.ndarray:
        """Number the nuclei of both images anew in one array, real ones above virtual ones."""
        volumes = {"stain": result.stain_labels}
        if isinstance(result, Comparison):
            volumes["truth"] = result.truth_labels
        wanted = {key_of(row) for row in result.table}
        joined = np.zeros(result.stain_labels.shape, np.int32)
        for image, volume in volumes.items():
            labels = volume.numpy()
            table = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
            for label in sorted(i for which, i in wanted if which == image):
                self.numbers[image, label] = table[label] = len(self.numbers) + 1
            placed = table[labels]
            joined = np.where(placed > 0, placed, joined)
        return joined


def with_outlines(job: Job) -> Job:
    """Yield the events of a check; its result comes with an `OutlineImage`, made on this thread."""
    for event in job:
        if isinstance(event, Finished) and isinstance(event.value, (Comparison, Findings)):
            outline_image = OutlineImage(event.value)
            outline_image.colour(  # as it is shown at first; thousands of nuclei take half a second
                {
                    outline_image.numbers[key_of(row)]: colour_of(row, 0.0)
                    for row in event.value.table
                    if key_of(row) in outline_image.numbers
                }
            )
            # napari compiles its mapping of colours at the first use: 2 s that freeze the window
            colormap().map(np.zeros((1, 1), np.uint8))
            both: tuple[Any, OutlineImage] = (event.value, outline_image)
            yield event.model_copy(update={"value": both})
        else:
            yield event


def colormap() -> Any:
    """Return the colours of the layer."""
    from napari.utils.colormaps import DirectLabelColormap

    return DirectLabelColormap(color_dict=colour_table())


def colour_table() -> dict[int | None, str]:
    """Return the colour of every value that a voxel can have."""
    table: dict[int | None, str] = {None: "transparent", 0: "transparent"}
    for colour in PALETTE:
        table |= {_value(colour, number): colour for number in range(_NUMBERS)}
    return table


def _within(mask: np.ndarray, margin: int) -> np.ndarray:
    """Return the part of a mask (z, y, x) that lies deeper than a margin, within each plane."""
    from scipy.ndimage import binary_erosion

    cross = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)
    return binary_erosion(mask, cross, iterations=margin)


def _value(colour: str, number: int) -> int:
    return 1 + PALETTE.index(colour) * _NUMBERS + number % _NUMBERS
