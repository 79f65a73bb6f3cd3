"""Segment the nuclei of a volume, with Cellpose or, where asked for, by classical means."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..events import Event, Meter, Notice, ShouldStop, UserError
from ..volumes import Volume
from ..volumes.checks import BlankStack
from ..volumes.flat import flatness
from .scale import (
    USUAL,
    NoWidth,
    anisotropy_of,
    diameter_in_pixels,
    estimate_diameter,
    readable_image,
    stands_out,
)

CELLPOSE = "cellpose"
CLASSICAL = "classical"


class Segmenter(Protocol):
    """Anything that finds nuclei in a volume of known scale."""

    name: str

    def __call__(self, image: np.ndarray, diameter: float, anisotropy: float) -> np.ndarray:
        """Return the labels of the nuclei.

        Parameters
        ----------
        image : ndarray of float32
            Shape (z, y, x), as it was measured: normalising is the segmenter's own part. NaN
            where there is no data. One plane, (1, y, x), is segmented in 2D.
        diameter : float
            Typical nuclear diameter in pixels of the plane.
        anisotropy : float
            Spacing along z over spacing in the plane.

        Returns
        -------
        ndarray of uint32
            Shape (z, y, x); 0 is background, nuclei count from 1.
        """
        ...


@runtime_checkable
class StepwiseSegmenter(Segmenter, Protocol):
    """One that tells how far it is, and can be stopped."""

    def steps(
        self,
        image: np.ndarray,
        diameter: float,
        anisotropy: float,
        should_stop: ShouldStop | None = None,
    ) -> Generator[float, None, np.ndarray | None]:
        """Yield which share of the work is done, and return the labels, None where it was stopped.

        Parameters
        ----------
        image : ndarray of float32
            Shape (z, y, x).
        diameter : float
            Typical nuclear diameter in pixels of the plane.
        anisotropy : float
            Spacing along z over spacing in the plane.
        should_stop : callable, optional
            Asked so often that it ends within a second.
        """
        ...


def make_segmenter(
    segmenter: str | Segmenter = CELLPOSE, weights: str | None = None, device: str = "auto"
) -> Segmenter:
    """Return the segmenter of that name.

    Parameters
    ----------
    segmenter : str or Segmenter
        "cellpose", "classical" or a segmenter of your own.
    weights : str, optional
        For Cellpose: a weights file or the name of a model in Cellpose's own folder. The small
        network that ships with the package if None.
    device : str
        "auto", "cpu", "cuda", "mps" or any other name that torch knows.

    Raises
    ------
    UserError
        If there is no such segmenter, or its weights are not there.
    """
    if not isinstance(segmenter, str):
        return segmenter
    if segmenter == CELLPOSE:
        from .cellpose_adapter import Cellpose

        return Cellpose(weights, device)
    if segmenter == CLASSICAL:
        if weights is not None:
            raise UserError("The classical segmenter takes no weights: leave them out.")
        from .classical import Classical

        return Classical()
    raise UserError(
        f"There is no segmenter named {segmenter!r}: choose {CELLPOSE!r} or {CLASSICAL!r}."
    )


def segment(
    volume: Volume,
    segmenter: str | Segmenter = CELLPOSE,
    *,
    diameter: float | None = None,
    weights: str | None = None,
    device: str = "auto",
) -> Volume:
    """Segment the nuclei of one volume.

    Parameters
    ----------
    volume : Volume
        Nuclear stain, real or virtual; one channel, one time point.
    segmenter : str or Segmenter
        "cellpose", "classical" or a segmenter of your own.
    diameter : float, optional
        Typical nuclear diameter in µm, in pixels where the spacing is unknown; estimated from
        the volume if None.
    weights : str, optional
        Cellpose weights other than those that ship.
    device : str
        Where to compute.

    Returns
    -------
    Volume
        Labels as uint32 on the grid of `volume`.

    Raises
    ------
    UserError
        If the volume is no stack of finite numbers or a setting makes no sense.
    """
    chosen = make_segmenter(segmenter, weights, device)
    image, anisotropy = readable_image(volume), anisotropy_of(volume)
    pixels = estimate_diameter(image) if diameter is None else diameter_in_pixels(volume, diameter)
    return as_labels(volume, _with_data(chosen(image, pixels, anisotropy), image), chosen, pixels)


def nuclei_in(
    volume: Volume,
    segmenter: Segmenter,
    pixels: float | None,
    *,
    meter: Meter,
    before: float = 0.0,
    should_stop: ShouldStop | None = None,
) -> Generator[Event, None, Volume | None]:
    """Segment the nuclei of a volume that may have none.

    Parameters
    ----------
    volume : Volume
        Nuclear stain, real or virtual; one channel, one time point.
    segmenter : Segmenter
        Finds them.
    pixels : float or None
        Typical nuclear diameter in pixels of the plane; None where it could not be estimated.
    meter : Meter
        Of the job; a segmentation counts 1.
    before : float
        What of the job is done already.
    should_stop : callable, optional
        Asked while a `StepwiseSegmenter` works.

    Returns
    -------
    Volume or None
        Labels as uint32 on the grid of `volume`; 0 throughout where it is of one value, or
        nothing stands out from its noise: a segmenter finds nuclei in noise too. None where it
        was stopped.

    Yields
    ------
    Event
        Progress, or a notice that there are no nuclei.

    Raises
    ------
    UserError
        If the volume is no stack of finite numbers, or has nuclei whose width is not known.
    """
    text = f"finding the nuclei of {volume.name}"
    yield meter.at(before, text)
    none = np.zeros(volume.select().shape, np.uint32)
    anisotropy = anisotropy_of(volume)
    try:
        image = readable_image(volume)
    except BlankStack as blank:
        yield Notice(text=f"{str(blank).rstrip('.')}, so it counts as having no nuclei.")
        return as_labels(volume, none, segmenter, pixels)
    if not stands_out(image, pixels or USUAL, anisotropy):
        yield Notice(
            text=f"No nucleus stands out from the noise of {volume.name}, so it counts as having "
            "none."
        )
        return as_labels(volume, none, segmenter, pixels)
    if pixels is None:
        raise NoWidth(
            f"How wide the nuclei of {volume.name} are cannot be told, as it is too noisy: give "
            "their diameter."
        )
    found: np.ndarray | None
    if isinstance(segmenter, StepwiseSegmenter):
        steps = segmenter.steps(image, pixels, anisotropy, should_stop)
        while True:
            try:
                yield meter.at(before + next(steps), text)
            except StopIteration as end:
                found = end.value
                break
    else:
        found = segmenter(image, pixels, anisotropy)
    return None if found is None else as_labels(volume, _with_data(found, image), segmenter, pixels)


def width_in(volume: Volume) -> float | None:
    """Return the typical nuclear diameter of an image in pixels; None where it cannot be told."""
    try:
        image = readable_image(volume)
        pixels = estimate_diameter(image)
    except (BlankStack, NoWidth):
        return None
    return pixels if stands_out(image, pixels, anisotropy_of(volume)) else None


def _with_data(labels: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return labels with none where there is no data."""
    return np.where(np.isnan(image), np.uint32(0), labels)


def as_labels(
    volume: Volume, labels: np.ndarray, segmenter: Segmenter, diameter: float | None
) -> Volume:
    """Return labels as a volume on the grid of `volume`.

    Parameters
    ----------
    volume : Volume
        The image that was segmented.
    labels : ndarray of uint32
        Shape (z, y, x).
    segmenter : Segmenter
        What made them.
    diameter : float or None
        The nuclear diameter it was given, in pixels; both are recorded in the metadata.
    """
    made: dict[str, Any] = {
        "labels": True,
        "segmenter": segmenter.name,
        "diameter_pixels": diameter,
        **flatness(volume),
    }
    return volume.select().replace(data=labels, name=f"{volume.name} nuclei", metadata=made)
