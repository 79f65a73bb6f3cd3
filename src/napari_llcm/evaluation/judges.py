"""Several judges of one stain, as no single segmenter, overlap or truth may decide.

A stain that one segmenter outlines well another may merge, and a network that was trained on the
same kind of image as the stainer favours it. So a stain is judged by several segmenters, whether
each nucleus is there at all apart from its shape, and shape at two overlaps (`Counts`); and by one
figure that needs no segmenter, how well its intensity tells nuclear voxels from others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..events import Finished, Job, ShouldStop, Started, UserError, relay
from ..nuclei import Segmenter, compare_nuclei, match_nuclei
from ..nuclei.counts import Counts
from ..volumes import Volume, labels_of
from .statistics import interval, pooled

STAIN, DAPI, LABELS, ELSEWHERE = "stain", "dapi", "labels", "elsewhere"
SHARES = (
    "detection_recall", "detection_precision", "detection_f1", "f1_30", "f1_50",
    "recall", "precision",
)  # fmt: skip
NUMBERS = ("truth", "stain", "missed", "misshapen", "merged", "split", "hallucinated")


@dataclass(frozen=True)
class Judgement:
    """What one judge says of one image of one field.

    Parameters
    ----------
    judge : str
        Name of the segmenter.
    image : str
        What was judged: "stain", or "dapi" as the most that this judge would grant any stain.
    against : str
        The truth: "dapi" as the same segmenter segments it, or "labels"; or "elsewhere", the
        labels moved by half a field along y and x: what is reached by chance, which where cells
        are crowded is much, above all in detection.
    counts : Counts
        Nuclei found, missed, made up …
    """

    judge: str
    image: str
    against: str
    counts: Counts

    @property
    def key(self) -> tuple[str, str, str]:
        """What can be pooled over fields."""
        return self.judge, self.image, self.against


def judge_stain(
    dapi: Volume,
    stain: Volume,
    labels: Volume | None = None,
    *,
    segmenters: Sequence[Segmenter],
    diameter: float | None = None,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Judge a stain by several segmenters, against the DAPI and, where there are some, labels.

    Parameters
    ----------
    dapi, stain : Volume
        Real and virtual stain on one grid.
    labels : Volume, optional
        Instance labels of the nuclei on the same grid.
    segmenters : sequence of Segmenter
        Each finds the nuclei of both images by the same settings.
    diameter : float, optional
        Typical nucleus in µm (pixels where the spacing is unknown); estimated if None.
    should_stop : callable, optional
        Asked between the steps.

    Yields
    ------
    Event
        At the end `Finished`; its value is the list of `Judgement`.

    Raises
    ------
    UserError
        If the volumes do not fit each other.
    """
    yield Started(job="judge")
    said: list[Judgement] = []
    for segmenter in segmenters:
        job = compare_nuclei(
            dapi,
            stain,
            segmenter=segmenter,
            diameter=diameter,
            truth_is_labels=False,
            stain_is_labels=False,
            should_stop=should_stop,
        )
        compared = yield from relay(job, segmenter.name)
        if compared is None:
            return
        said.append(Judgement(segmenter.name, STAIN, DAPI, compared.counts))
        if labels is not None:
            truth = labels_of(labels).numpy()
            moved = np.roll(truth, [n // 2 for n in truth.shape[1:]], axis=(1, 2))
            for image, against, known, found in (
                (STAIN, LABELS, truth, compared.stain_labels),
                (STAIN, ELSEWHERE, moved, compared.stain_labels),
                (DAPI, LABELS, truth, compared.truth_labels),
            ):
                counts = match_nuclei(known, found.numpy()).counts
                said.append(Judgement(segmenter.name, image, against, counts))
    yield Finished(result={"judgements": len(said)}, value=said)


def pool_judgements(fields: Sequence[Sequence[Judgement]]) -> list[dict[str, Any]]:
    """Return a row for each judge, image and truth, with bootstrap intervals over fields.

    Parameters
    ----------
    fields : sequence of sequence of Judgement
        What was said of each field; a judge counts the fields that it has judged.

    Returns
    -------
    list of dict
        "judge", "image", "against", "fields"; `SHARES` and for each "…_interval" (None for fewer
        than two fields); `NUMBERS`, summed.
    """
    keys = dict.fromkeys(said.key for field in fields for said in field)
    rows: list[dict[str, Any]] = []
    for key in keys:
        counts = [said.counts for field in fields for said in field if said.key == key]
        row: dict[str, Any] = dict(zip(("judge", "image", "against"), key, strict=True))
        row["fields"] = len(counts)
        for name in SHARES:
            row[name] = pooled(counts, name)

            def of(drawn: list[int], name: str = name, counts: list[Counts] = counts) -> float:
                return pooled([counts[i] for i in drawn], name)

            row[f"{name}_interval"] = interval(of, len(counts))
        row |= {name: sum(getattr(c, name) for c in counts) for name in NUMBERS}
        rows.append(row)
    return rows


def nuclear_auc(image: np.ndarray, nuclear: np.ndarray, where: np.ndarray | None = None) -> float:
    """Return how probably a nuclear voxel is brighter than another: the area under the ROC curve.

    Parameters
    ----------
    image : ndarray
        A stain of any number of dimensions.
    nuclear : ndarray of bool
        Same shape: what lies in a nucleus.
    where : ndarray of bool, optional
        Same shape: what is judged at all; everything if None.

    Returns
    -------
    float
        1 where every nuclear voxel outshines every other, 0.5 where the image tells nothing (ties
        count half), below 0.5 where nuclei are dark.

    Raises
    ------
    UserError
        If shapes differ, or there are no nuclear voxels, or no others.
    """
    from scipy.stats import rankdata

    if image.shape != nuclear.shape or (where is not None and where.shape != image.shape):
        raise UserError("Stain and nuclear mask have different shapes: give two of one field.")
    judged = np.isfinite(image) if where is None else where & np.isfinite(image)
    inside = nuclear[judged].astype(bool)
    positive, negative = int(inside.sum()), int((~inside).sum())
    if not positive or not negative:
        raise UserError("Of nuclear voxels and others one kind is not there: nothing to compare.")
    ranks = rankdata(image[judged])[inside].sum()  # Mann and Whitney's U
    return float((ranks - positive * (positive + 1) / 2) / (positive * negative))
