"""What the Check panel runs: the nuclei of two stains, or of one, with their confidence."""

from __future__ import annotations

from typing import Any

from ...evaluation.assessment import trusting
from ...events import Job, ShouldStop
from ...nuclei.comparing import compare_nuclei
from ...nuclei.finding import find_nuclei
from ...volumes import Volume
from ..jobs.runner import MakeJob
from .outline_colours import with_outlines


def checking(
    virtual: Volume,
    real: Volume | None,
    phase: Volume | None,
    settings: dict[str, Any],
    *,
    iou: float,
    stain_is_labels: bool,
    truth_is_labels: bool,
) -> MakeJob:
    """Return a maker of the job that checks a stain; its value is (result, `OutlineImage`).

    Parameters
    ----------
    virtual, real : Volume
        The stain, and the real one where there is one.
    phase : Volume, optional
        The label-free stack, on the same grid.
    settings : dict
        How nuclei are found, as `find_nuclei` takes it.
    iou : float
        Overlap that counts as found.
    stain_is_labels, truth_is_labels : bool
        Whether nuclei are given in place of an image.
    """

    def make_job(should_stop: ShouldStop) -> Job:
        """Find the nuclei, and compare them if there is a real stain."""
        told = {"should_stop": should_stop, **settings}
        if real is None:
            job = find_nuclei(virtual, is_labels=stain_is_labels, **told)
        else:
            job = compare_nuclei(
                real,
                virtual,
                iou=iou,
                truth_is_labels=truth_is_labels,
                stain_is_labels=stain_is_labels,
                **told,
            )
        yield from with_outlines(trusting(job, phase, virtual, should_stop=should_stop))

    return make_job
