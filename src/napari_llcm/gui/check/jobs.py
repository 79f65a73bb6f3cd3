"""What the Check panel runs: the nuclei of two stains, or of one, with their confidence."""

from __future__ import annotations

from typing import Any

from ...evaluation.assessment import trusting
from ...events import Job, ShouldStop
from ...nuclei.comparing import compare_nuclei
from ...nuclei.finding import find_nuclei
from ..jobs.runner import MakeJob
from .outline_colours import with_outlines
from .sides import Sides


def checking(
    sides: Sides,
    settings: dict[str, Any],
    matching: dict[str, Any],
    *,
    stain_is_labels: bool,
    truth_is_labels: bool,
) -> MakeJob:
    """Return a maker of the job that checks a stain; its value is (result, `OutlineImage`).

    Parameters
    ----------
    sides : Sides
        What is compared.
    settings : dict
        How nuclei are found, as `find_nuclei` takes it.
    matching : dict
        How those of two images are compared, as `compare_nuclei` takes it.
    stain_is_labels, truth_is_labels : bool
        Whether nuclei are given in place of an image.
    """

    def make_job(should_stop: ShouldStop) -> Job:
        """Find the nuclei, and compare them if there is a real stain."""
        told = {"should_stop": should_stop, **settings}
        virtual, real = sides.virtual, sides.real
        if real is None:
            job = find_nuclei(virtual, is_labels=stain_is_labels, **told)
        else:
            job = compare_nuclei(
                real,
                virtual,
                truth_is_labels=truth_is_labels,
                stain_is_labels=stain_is_labels,
                **matching,
                **told,
            )
        yield from with_outlines(trusting(job, sides.phase, virtual, should_stop=should_stop))

    return make_job
