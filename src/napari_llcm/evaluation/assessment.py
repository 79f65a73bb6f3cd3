"""Say of each nucleus of a stain how far to trust it, by what its model was calibrated with."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from ..events import Event, Finished, Job, Notice, ShouldStop, Started, UserError, relay
from ..models.nucleus_width import seen_spacing
from ..volumes import Volume, notices, on_one_grid
from ..volumes.flat import is_flat
from .trust import noted, unsure, verdict_of, withheld

if TYPE_CHECKING:
    import numpy as np

    from ..models import ModelBundle
    from ..nuclei import Segmenter
    from ..nuclei.confidence import Table
    from ..staining import StainOptions


def confident(
    found: Table,
    qpi: Volume,
    virtual: Volume,
    model: ModelBundle,
    device: str,
    text: str = "",
    *,
    should_stop: ShouldStop | None = None,
) -> Generator[Event, None, Table | None]:
    """Add the confidence of each virtual nucleus to a table, where the model is calibrated.

    Parameters
    ----------
    found : Comparison or Findings
        The nuclei of the stain, with or without a real one beside it.
    qpi, virtual : Volume
        What was stained, and the stain.
    model : ModelBundle
        The stainer.
    device : str
        Where to stain again, if the model's confidence needs several views.
    text : str
        Put before the text of the progress.
    should_stop : callable, optional
        Asked between tiles.

    Returns
    -------
    Comparison, Findings or None
        As given, with confidences; None where the job was stopped.

    Yields
    ------
    Event
        Progress of further views.
    """
    from ..nuclei.confidence import assess, with_confidence

    confidence = model.info.confidence
    if confidence is None:
        return found
    if is_flat(found.stain_labels):
        yield Notice(
            text="The nuclei have no confidence: it is known of nuclei in 3D, and the truth is one "
            "plane.",
            warning=False,
        )
        return found
    verdict = yield from verdict_of(qpi, virtual, model, device, should_stop=should_stop)
    if verdict is None:
        return None
    if said := withheld(verdict) or unsure(verdict, model):
        yield Notice(text=said)
        found = noted(found, said)
    if withheld(verdict):
        return found
    spread = yield from spread_of(
        qpi, model, _again(virtual, device), text, should_stop=should_stop
    )
    if spread is None and confidence.views > 1:
        return None
    seen = seen_spacing(virtual, model.info)
    assessed = assess(confidence, found.stain_labels, virtual, qpi, spread, seen, verdict.f1)
    return with_confidence(found, assessed.confidence)


def spread_of(
    qpi: Volume,
    model: ModelBundle,
    options: StainOptions,
    text: str = "",
    *,
    should_stop: ShouldStop | None = None,
) -> Generator[Event, None, np.ndarray | None]:
    """Return the spread that a model's confidence needs; None if it needs none, or was stopped.

    Parameters
    ----------
    qpi : Volume
        What to stain.
    model : ModelBundle
        A calibrated stainer.
    options : StainOptions
        How to stain.
    text : str
        Put before the text of the progress.
    should_stop : callable, optional
        Asked between tiles.

    Yields
    ------
    Event
        Of the staining.
    """
    from ..staining.views import FLIPS, stain_views

    confidence = model.info.confidence
    if confidence is None or confidence.views < 2:
        return None
    flipped = any(name.startswith("view ") for name in confidence.nuclei.features)
    flips = FLIPS if flipped else ((),) * confidence.views
    done = yield from stain_views(
        qpi, model, options, flips=flips, text=text, should_stop=should_stop
    )
    return None if done is None else done[1]


def _again(virtual: Volume, device: str) -> StainOptions:
    """Return the options by which a stain was made, for other views of it."""
    from ..staining import StainOptions

    return StainOptions(device=device, check=False, nucleus_um=virtual.metadata.get("nucleus_um"))


def assess_stain(
    qpi: Volume,
    virtual: Volume,
    model: ModelBundle,
    *,
    segmenter: Segmenter,
    diameter: float | None = None,
    device: str = "auto",
    should_stop: ShouldStop | None = None,
) -> Job:
    """Find the nuclei of a virtual stain and say how far to trust each, without any truth.

    Parameters
    ----------
    qpi, virtual : Volume
        The label-free stack and its stain, on one grid.
    model : ModelBundle
        The calibrated model that stained it.
    segmenter : Segmenter
        Finds the nuclei; the one that the model was calibrated with.
    diameter : float, optional
        Typical nucleus in µm (voxels where the spacing is unknown); estimated if None.
    device : str
        Where to stain again, if the model's confidence needs several views.
    should_stop : callable, optional
        Asked between the steps.

    Yields
    ------
    Event
        At the end `Finished`; its value is the `Findings`, with confidences, and the `Assessed`.
        Nothing where it was stopped.

    Raises
    ------
    UserError
        If the model is not calibrated, or the volumes do not fit each other.
    """
    from ..nuclei.confidence import Assessed, assess, with_confidence
    from ..nuclei.finding import find_nuclei

    if model.info.confidence is None:
        raise UserError(
            f"The model {model.info.name} does not know how far to trust its nuclei: calibrate it "
            "on a few pairs that it was not trained on (napari-llcm model calibrate)."
        )
    yield Started(job="confidence")
    qpi, virtual = on_one_grid(qpi, virtual)
    yield from notices(qpi)
    findings = yield from relay(
        find_nuclei(virtual, segmenter=segmenter, diameter=diameter, should_stop=should_stop)
    )
    if findings is None:
        return
    verdict = yield from verdict_of(qpi, virtual, model, device, should_stop=should_stop)
    if verdict is None:
        return
    if said := withheld(verdict) or unsure(verdict, model):
        yield Notice(text=said)
        findings = noted(findings, said)
    if withheld(verdict):
        result = {"nuclei": len(findings.table), "confidence": "withheld", "notices": [said]}
        yield Finished(result=result, value=(findings, Assessed({}, [])))
        return
    spread = yield from spread_of(qpi, model, _again(virtual, device), should_stop=should_stop)
    if should_stop is not None and should_stop():
        return
    assessed = assess(
        model.info.confidence,
        findings.stain_labels,
        virtual,
        qpi,
        spread,
        seen_spacing(virtual, model.info),
        verdict.f1,
    )
    result = {
        "nuclei": len(assessed.confidence),
        "expected_real": sum(assessed.confidence.values()),
        "expected_missed": sum(row["confidence"] for row in assessed.faint),
        "confidence": model.info.confidence.estimator,
    }
    yield Finished(result=result, value=(with_confidence(findings, assessed.confidence), assessed))


def trusting(
    job: Job,
    qpi: Volume | None,
    virtual: Volume,
    *,
    device: str = "auto",
    should_stop: ShouldStop | None = None,
) -> Job:
    """Run a comparison, or a search for nuclei, and add the confidence of each virtual nucleus.

    What is compared stays as it is where the label-free stack is not there or (which is told) on
    another grid, or the model that the stain says it was made by is not there or not calibrated.

    Parameters
    ----------
    job : Job
        `compare_nuclei` or `find_nuclei`.
    qpi : Volume or None
        The label-free stack on the grid of the stain.
    virtual : Volume
        The stain; its metadata names its model.
    device : str
        Where to stain again, if the model's confidence needs several views.
    should_stop : callable, optional
        Asked between the steps.

    Yields
    ------
    Event
        Those of the job.
    """
    for event in job:
        if not isinstance(event, Finished) or event.value is None:
            yield event
            continue
        model = _model_of(virtual) if qpi is not None else None
        value = event.value
        if model is not None and qpi is not None:
            try:
                qpi, virtual = on_one_grid(qpi, virtual)
                yield from notices(qpi)
            except UserError as error:
                yield Notice(text=f"The nuclei have no confidence. {error}")
                model = None
        if model is not None and qpi is not None:
            value = yield from confident(
                value, qpi, virtual, model, device, should_stop=should_stop
            )
            if value is None:
                return
        yield event.model_copy(update={"value": value})


def _model_of(virtual: Volume) -> ModelBundle | None:
    """Return the calibrated model that a stain was made by, where it is at hand."""
    from ..models import list_models, load_bundle, read_info

    path = list_models().get(str(virtual.metadata.get("model")))
    if path is None or read_info(path).confidence is None:
        return None
    return load_bundle(path)
