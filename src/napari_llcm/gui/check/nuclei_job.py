"""What the worker does for the Check panel: no window is known here."""

from __future__ import annotations

from typing import Any

from ...evaluation.assessment import trusting
from ...events import Job, ShouldStop
from ...nuclei.comparing import compare_nuclei
from ...nuclei.finding import find_nuclei
from ...volumes import Volume


def find_and_compare(
    virtual: Volume,
    real: Volume | None,
    phase: Volume | None,
    settings: dict[str, Any],
    matching: dict[str, Any],
    given: dict[str, Any],
    should_stop: ShouldStop,
) -> Job:
    """Find the nuclei, compare them if there is a real stain, and tell how sure each is.

    Parameters
    ----------
    virtual, real, phase : Volume or None
        What is compared, with the label-free stack.
    settings, matching : dict
        As `find_nuclei` and `compare_nuclei` take them.
    given : dict
        Whether nuclei are given in place of an image: "truth_is_labels", "stain_is_labels".
    should_stop : callable
        Asked while it goes on.
    """
    told = {"should_stop": should_stop, **settings}
    if real is None:
        job = find_nuclei(virtual, is_labels=given["stain_is_labels"], **told)
    else:
        job = compare_nuclei(real, virtual, **given, **matching, **told)
    yield from trusting(job, phase, virtual, should_stop=should_stop)
