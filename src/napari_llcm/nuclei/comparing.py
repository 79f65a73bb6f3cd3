"""Compare the nuclei of a virtual stain with those of the real one."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..events import Event, Finished, Job, Meter, Notice, ShouldStop, Started, UserError
from ..volumes import (
    Volume,
    check_registration,
    find_no_data,
    labels_of,
    notices,
    on_one_grid,
)
from ..volumes.flat import Projection, check_beside, flattened, holds_one_plane, is_flat
from .counts import Counts
from .finding import holds_labels
from .matching import Matches, match_nuclei
from .provenance import keeps_notices, origins, warnings_of
from .scale import NARROWEST, anisotropy_of, diameter_in_pixels, width_in_words
from .segmenting import CELLPOSE, Segmenter, make_segmenter, nuclei_in, width_in
from .table import Row, make_table, named_strata, strata

_STEPS = 2.1  # segment the one, segment the other; matching them is quick


@dataclass(frozen=True)
class Comparison:
    """The nuclei of two images of one field, side by side.

    Parameters
    ----------
    truth, stain : Volume or None
        The real and the virtual image, None where labels were given in its place.
    truth_labels, stain_labels : Volume
        Their nuclei, uint32.
    matches : Matches
        Verdict and partner of each nucleus.
    table : list of dict
        One row for each nucleus; see `table.make_table`.
    settings : dict
        Segmenter, diameter in pixels (None where nothing was segmented), IoU threshold, unit,
        "projection" (of the stain, where the truth is flat; else None); "stain", "truth" and
        "model" name what was compared, "input_check" is the model's verdict on the stack, and
        "notices" what was said about it.
    """

    truth: Volume | None
    stain: Volume | None
    truth_labels: Volume
    stain_labels: Volume
    matches: Matches
    table: list[Row]
    settings: dict[str, Any]

    @property
    def counts(self) -> Counts:
        """Everything counted."""
        return self.matches.counts

    @property
    def figures(self) -> dict[str, Any]:
        """Recall, precision, F1, AP, detection recall, counts, strata and settings, as JSON."""
        found = named_strata(strata(self.table), flat=bool(self.settings.get("projection")))
        return {**self.counts.figures(), "strata": found, **self.settings}


@keeps_notices
def compare_nuclei(
    truth: Volume,
    stain: Volume,
    *,
    segmenter: str | Segmenter = CELLPOSE,
    weights: str | None = None,
    diameter: float | None = None,
    iou: float = 0.5,
    projection: Projection = "max",
    truth_is_labels: bool | None = None,
    stain_is_labels: bool | None = None,
    device: str = "auto",
    should_stop: ShouldStop | None = None,
) -> Job:
    """Segment two images of one field with the same settings and match their nuclei.

    Parameters
    ----------
    truth : Volume
        Real nuclear stain, or labels of its nuclei: a stack, or one plane or projection.
    stain : Volume
        Virtual nuclear stain, or labels of its nuclei.
    segmenter : str or Segmenter
        "cellpose", "classical" or a segmenter of your own.
    weights : str, optional
        Cellpose weights other than those that ship.
    diameter : float, optional
        Typical nuclear diameter in µm (pixels where the spacing is unknown); estimated from
        `truth`, and used for both, if None.
    iou : float
        Intersection over union at which a nucleus counts as found.
    projection : {"max", "mean", "focus"}
        What of `stain` is compared, in 2D, with a truth of one plane; see `volumes.flat`.
    truth_is_labels, stain_is_labels : bool, optional
        Whether the volume holds labels; if None, it does where it says so of itself.
    device : str
        Where to compute.
    should_stop : callable, optional
        Asked between the steps, and while Cellpose works; the job ends without `Finished` when it
        returns True.

    Yields
    ------
    Event
        `Started`, `Notice`, `Progress` and, with the `Comparison` as its value, `Finished`.

    Raises
    ------
    UserError
        If the images do not fit each other or cannot be segmented.
    """
    yield Started(job="nuclei", total=_STEPS, settings={"iou": iou})
    truth, stain = truth.select(), stain.select()
    if flat := holds_one_plane(truth) and not holds_one_plane(stain):
        check_beside(stain, truth)
    else:
        truth, stain = on_one_grid(truth, stain)
    yield from warnings_of(truth, stain)
    given = []
    for volume, said in ((truth, truth_is_labels), (stain, stain_is_labels)):
        given.append((yield from holds_labels(volume, said)))
    if flat:
        truth, stain, text = flattened(truth, stain, projection, labels=given[1])
        yield Notice(text=text)
        yield from notices(truth, stain)
        if not any(given):
            yield from _if_shifted(truth, stain)
    meter = Meter(_STEPS)
    yield meter.at(0, "getting ready")  # importing a segmenter takes seconds
    chosen = None if all(given) else make_segmenter(segmenter, weights, device)
    if should_stop is not None and should_stop():
        return
    sides = (truth, stain)
    known = [labels_of(v) if is_labels else None for v, is_labels in zip(sides, given, strict=True)]
    yield from notices(*known)
    pixels = None
    if chosen is not None:
        pixels = _width(sides, known) if diameter is None else diameter_in_pixels(truth, diameter)
        if pixels is not None:
            text = width_in_words(truth, pixels, estimated=diameter is None)
            yield Notice(text=text, warning=False)
    labels: list[Volume] = []
    for volume, nuclei in zip(sides, known, strict=True):
        if should_stop is not None and should_stop():
            return
        if nuclei is None and chosen is not None:
            nuclei = yield from nuclei_in(
                volume, chosen, pixels, meter=meter, before=len(labels), should_stop=should_stop
            )
        if nuclei is None:
            return
        labels.append(nuclei)
    images = [v if nuclei is None else None for v, nuclei in zip(sides, known, strict=True)]
    labels = yield from _where_both_hold_data(labels, images)
    yield meter.at(2, "matching them")
    if should_stop is not None and should_stop():
        return
    matches = match_nuclei(labels[0].numpy(), labels[1].numpy(), iou)
    table = make_table(matches, labels, images)
    settings = {
        "iou": iou,
        "segmenter": chosen.name if chosen is not None else "labels as given",
        "diameter_pixels": pixels,
        "unit": "voxels" if truth.spacing is None else "µm",
        "projection": stain.metadata["projection"] if flat else None,
        **origins(stain, truth),
    }
    value = Comparison(images[0], images[1], labels[0], labels[1], matches, table, settings)
    yield meter.at(_STEPS)
    yield Finished(result=value.figures, value=value)


def pool(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return the figures of many volumes together: counts are summed before they are divided.

    Parameters
    ----------
    comparisons : sequence of Comparison
        Made with the same IoU threshold.

    Raises
    ------
    UserError
        If there are none, or their thresholds differ.
    """
    thresholds = {c.matches.iou for c in comparisons}
    if len(thresholds) != 1:
        raise UserError("Only comparisons made with one and the same IoU threshold can be pooled.")
    counts = sum((c.counts for c in comparisons), Counts())
    flat = [bool(c.settings.get("projection")) for c in comparisons]
    # areas and volumes have no thirds in common
    rows = [] if len(set(flat)) > 1 else [row for c in comparisons for row in c.table]
    return {
        **counts.figures(),
        "strata": named_strata(strata(rows), flat=all(flat)),
        "volumes": len(comparisons),
        "flat": sum(flat),
        "iou": thresholds.pop(),
    }


def _if_shifted(truth: Volume, stain: Volume) -> Generator[Event, None, None]:
    """Tell of a flat truth that lies beside its stain: its nuclei would all count as missed."""
    found = check_registration(stain, truth, stain=stain)
    if found.verdict == "shifted":
        _, y, x = found.shift
        yield Notice(
            text=f"{truth.name} seems to be shifted: moved by {y:+.1f}, {x:+.1f} pixels (y, x) it "
            f"would lie on {stain.name}. Move it, or choose the truth of this field."
        )


def _where_both_hold_data(
    labels: list[Volume], images: list[Volume | None]
) -> Generator[Event, None, list[Volume]]:
    """Return the labels without nuclei that lie for the most part where an image holds no data.

    Neither found nor missed, real nor made up, they cannot be judged.
    """
    empty = np.zeros(labels[0].shape, bool)
    for image in (i for i in images if i is not None):
        if no_data := find_no_data(image):
            yield Notice(text=no_data.sentence(image.name))
            empty |= no_data.mask(image.data)
    if not empty.any():
        return labels
    judged = []
    for volume in labels:
        data = volume.numpy()
        count = np.bincount(data.ravel())
        out = np.bincount(data[empty], minlength=len(count)) > count / 2
        judged.append(volume.replace(data=np.where(out[data], 0, data).astype(data.dtype)))
    return judged


def _width(sides: Sequence[Volume], known: Sequence[Volume | None]) -> float | None:
    """Return the usual diameter in pixels, of the truth if it can tell: its labels or its image."""
    for volume, labels in zip(sides, known, strict=True):
        if labels is None:
            pixels = width_in(volume)
        else:
            voxels = np.bincount(labels.numpy().ravel())[1:]
            usual = float(np.median(voxels[voxels > 0])) if voxels.any() else 0.0
            pixels = (6 / np.pi * usual * anisotropy_of(volume)) ** (1 / 3)
            if is_flat(volume):
                pixels = (4 / np.pi * usual) ** (1 / 2)
        if pixels is not None and pixels >= NARROWEST:
            return pixels
    return None
