"""What the Check panel runs: the nuclei of two stains, or of one, with their confidence."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...events import Job, ShouldStop
from ...worker import Elsewhere
from ..jobs.runner import MakeJob
from .nuclei_job import find_and_compare
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

    given = {"truth_is_labels": truth_is_labels, "stain_is_labels": stain_is_labels}
    job = partial(
        find_and_compare, sides.virtual, sides.real, sides.phase, settings, matching, given
    )

    def make_job(should_stop: ShouldStop) -> Job:
        """Find the nuclei in the worker; outline them here, where napari is."""
        yield from with_outlines(Elsewhere(job)(should_stop))

    return make_job
