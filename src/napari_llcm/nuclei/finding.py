"""Find and measure the nuclei of one image, where there is no real stain to compare it with."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from ..events import Event, Finished, Job, Meter, Notice, ShouldStop, Started
from ..volumes import Volume, labels_of, labels_told_by, notices
from .provenance import keeps_notices, origins, warnings_of
from .scale import diameter_in_pixels, width_in_words
from .segmenting import CELLPOSE, Segmenter, make_segmenter, nuclei_in, width_in
from .table import Row, list_nuclei

_STEPS = 1.1  # segment; measuring is quick


@dataclass(frozen=True)
class Findings:
    """The nuclei of one image.

    Parameters
    ----------
    stain : Volume or None
        The image, None where labels were given in its place.
    stain_labels : Volume
        Its nuclei, uint32.
    table : list of dict
        One row for each nucleus; see `table.list_nuclei`.
    settings : dict
        Segmenter, diameter in pixels (None where nothing was segmented), unit; "stain" and
        "model" name what was searched, "notices" what was said about it.
    """

    stain: Volume | None
    stain_labels: Volume
    table: list[Row]
    settings: dict[str, Any]


def holds_labels(volume: Volume, said: bool | None) -> Generator[Event, None, bool]:
    """Tell whether a volume holds labels: as was said, or else as it tells itself.

    Parameters
    ----------
    volume : Volume
        One side of a check.
    said : bool, optional
        What the user says.

    Yields
    ------
    Event
        A notice, where it is told by the volume, or contradicts it.
    """
    told_by = labels_told_by(volume)
    if said is None and told_by is not None:
        yield Notice(
            text=f"{volume.name} holds labels, as its {told_by} tell: they are taken as they are.",
            warning=False,
        )
    elif said is False and told_by is not None:
        yield Notice(
            text=f"{volume.name} seems to hold labels, as its {told_by} tell, but it was given as "
            "an image, and its nuclei are sought as in one."
        )
    return told_by is not None if said is None else said


@keeps_notices
def find_nuclei(
    stain: Volume,
    *,
    segmenter: str | Segmenter = CELLPOSE,
    weights: str | None = None,
    diameter: float | None = None,
    is_labels: bool | None = None,
    device: str = "auto",
    should_stop: ShouldStop | None = None,
) -> Job:
    """Segment the nuclei of one image and measure them.

    Parameters
    ----------
    stain : Volume
        Virtual (or any) nuclear stain, or labels of its nuclei.
    segmenter : str or Segmenter
        "cellpose", "classical" or a segmenter of your own.
    weights : str, optional
        Cellpose weights other than those that ship.
    diameter : float, optional
        Typical nuclear diameter in µm (pixels where the spacing is unknown); estimated if None.
    is_labels : bool, optional
        Whether the volume holds labels; if None, it does where it says so of itself.
    device : str
        Where to compute.
    should_stop : callable, optional
        Asked between the steps, and while Cellpose works; the job ends without `Finished` when it
        returns True.

    Yields
    ------
    Event
        `Started`, `Notice`, `Progress` and, with `Findings` as its value, `Finished`.

    Raises
    ------
    UserError
        If the image cannot be segmented.
    """
    yield Started(job="nuclei", total=_STEPS)
    stain = stain.select()
    yield from warnings_of(stain)
    given = yield from holds_labels(stain, is_labels)
    meter = Meter(_STEPS)
    pixels: float | None = None
    labels: Volume | None
    if given:
        labels, name = labels_of(stain), "labels as given"
        yield from notices(labels)
    else:
        yield meter.at(0, "getting ready")  # importing a segmenter takes seconds
        chosen = make_segmenter(segmenter, weights, device)
        if should_stop is not None and should_stop():
            return
        pixels = width_in(stain) if diameter is None else diameter_in_pixels(stain, diameter)
        if pixels is not None:
            text = width_in_words(stain, pixels, estimated=diameter is None)
            yield Notice(text=text, warning=False)
        labels = yield from nuclei_in(stain, chosen, pixels, meter=meter, should_stop=should_stop)
        name = chosen.name
    if labels is None or (should_stop is not None and should_stop()):
        return
    yield meter.at(1, "measuring them")
    table = list_nuclei(labels, None if given else stain)
    settings = {
        "segmenter": name,
        "diameter_pixels": pixels,
        "unit": "voxels" if stain.spacing is None else "µm",
        **origins(stain),
    }
    value = Findings(None if given else stain, labels, table, settings)
    yield meter.at(_STEPS)
    yield Finished(result={"nuclei": len(table), **settings}, value=value)
