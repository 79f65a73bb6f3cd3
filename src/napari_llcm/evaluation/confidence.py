"""Say of each nucleus of a stain how far to trust it, by what its model was calibrated with."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from ..events import Event, Finished, Job, ShouldStop, Started, UserError, relay
from ..volumes import Volume

if TYPE_CHECKING:
    import numpy as np

    from ..models import ModelBundle
    from ..nuclei import Comparison, Segmenter


def confident(
    comparison: Comparison,
    qpi: Volume,
    virtual: Volume,
    model: ModelBundle,
    device: str,
    text: str = "",
    *,
    should_stop: ShouldStop | None = None,
) -> Generator[Event, None, Comparison | None]:
    """Add the confidence of each virtual nucleus to a comparison, where the model is calibrated.

    Parameters
    ----------
    comparison : Comparison
        Of the real and the virtual DAPI.
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
    Comparison or None
        None where the job was stopped.

    Yields
    ------
    Event
        Progress of further views.
    """
    if model.info.confidence is None:
        return comparison
    from ..nuclei.confidence import assess, with_confidence

    spread = yield from spread_of(qpi, model, device, text, should_stop=should_stop)
    if spread is None and model.info.confidence.views > 1:
        return None
    assessed = assess(model.info.confidence, comparison.stain_labels, virtual, qpi, spread)
    return with_confidence(comparison, assessed.confidence)


def spread_of(
    qpi: Volume,
    model: ModelBundle,
    device: str,
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
    device : str
        Where to stain.
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
        qpi, model, flips=flips, device=device, text=text, should_stop=should_stop
    )
    return None if done is None else done[1]


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
    from ..nuclei.confidence import assess, with_confidence
    from ..nuclei.finding import find_nuclei

    if model.info.confidence is None:
        raise UserError(
            f"The model {model.info.name} does not know how far to trust its nuclei: calibrate it "
            "on a few pairs that it was not trained on (napari-llcm model calibrate)."
        )
    if qpi.shape != virtual.shape:
        raise UserError(
            f"{qpi.name} has {qpi.shape} voxels and {virtual.name} {virtual.shape}: give the stack "
            "that was stained."
        )
    yield Started(job="confidence")
    findings = yield from relay(
        find_nuclei(virtual, segmenter=segmenter, diameter=diameter, should_stop=should_stop)
    )
    if findings is None:
        return
    spread = yield from spread_of(qpi, model, device, should_stop=should_stop)
    if should_stop is not None and should_stop():
        return
    assessed = assess(model.info.confidence, findings.stain_labels, virtual, qpi, spread)
    result = {
        "nuclei": len(assessed.confidence),
        "expected_real": sum(assessed.confidence.values()),
        "expected_missed": sum(row["confidence"] for row in assessed.faint),
        "confidence": model.info.confidence.estimator,
    }
    yield Finished(result=result, value=(with_confidence(findings, assessed.confidence), assessed))
