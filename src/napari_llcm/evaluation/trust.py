"""What the verdict on a stack means for its nuclei: confidence is told by it, or withheld."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..events import Event, ShouldStop, relay
from ..models.familiarity import Verdict
from ..volumes import Volume

if TYPE_CHECKING:
    from ..models import ModelBundle
    from ..nuclei.confidence import Table


def verdict_of(
    qpi: Volume,
    virtual: Volume,
    model: ModelBundle,
    device: str,
    *,
    should_stop: ShouldStop | None = None,
) -> Generator[Event, None, Verdict | None]:
    """Return the verdict that a stain keeps, or else ask for it; None where it was stopped.

    Parameters
    ----------
    qpi, virtual : Volume
        The label-free stack, and its stain.
    model : ModelBundle
        The model that made it.
    device : str
        Where to look at the stack.
    should_stop : callable, optional
        Asked between the parts.

    Yields
    ------
    Event
        Progress.
    """
    from ..staining import StainOptions
    from ..staining.check_input import check_input

    kept = Verdict.kept(virtual.metadata)
    if (
        kept is not None
        and kept.model == model.info.name
        and (kept.f1 is not None or model.info.familiarity is None)
    ):
        return kept
    options = StainOptions(device=device, nucleus_um=virtual.metadata.get("nucleus_um"))
    job = check_input(qpi, model, options, should_stop=should_stop)
    found: Verdict | None = yield from relay(job, "can the model read it?")
    return found


def withheld(verdict: Verdict) -> str:
    """Return why no nucleus of a stack has a confidence; empty where each has one."""
    if verdict.value != "unreadable":
        return ""
    return f"The nuclei have no confidence, since it would mean nothing here. {verdict.sentence}"


def unsure(verdict: Verdict, model: ModelBundle) -> str:
    """Return why the confidence is too high on a stack; empty where it is not."""
    confidence = model.info.confidence
    if verdict.value != "unlike" or confidence is None or confidence.minds_the_stack:
        return ""
    return (
        f"The confidence of {model.info.name} is calibrated on stacks of its own kind alone: on "
        "this one it is too high."
    )


def noted(table: Table, text: str) -> Table:
    """Return what was compared or found, with one more sentence that must be read."""
    notices = [*table.settings.get("notices", ()), text]
    return replace(table, settings={**table.settings, "notices": notices})
