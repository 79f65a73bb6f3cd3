"""Fit how far to trust a model's nuclei, on pairs that it was not trained on."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..events import Event, Finished, Job, Meter, Notice, ShouldStop, Started, UserError, relay
from ..nuclei.features import of_stack
from ..volumes import Found, Pair, Volume, notices
from ..volumes.apart import check_apart
from ..volumes.sole_writer import sole_writer
from .confidence_fit import Measured, fit, measure_nuclei
from .kept import kept_in_model
from .reliability import draw_reliability
from .trust import verdict_of

if TYPE_CHECKING:
    import numpy as np

    from ..models import ModelBundle
    from ..nuclei import Segmenter


def calibrate(
    model: ModelBundle,
    pairs: Sequence[Pair],
    *,
    segmenter: Segmenter,
    device: str = "auto",
    views: bool = True,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Fit the probability that a nucleus of the model's stains is real.

    A nucleus is real if the real DAPI has one there, of whatever shape. Every estimator is judged
    on fields that it was not fitted on; the best by log loss is fitted on all of them and kept.

    Parameters
    ----------
    model : ModelBundle
        The stainer.
    pairs : sequence of Pair
        Not trained on; several fields.
    segmenter : Segmenter
        Finds the nuclei of both.
    device : str
        Where to stain.
    views : bool
        Whether estimators that need several stains of a field are tried.
    should_stop : callable, optional
        Asked between tiles.

    Yields
    ------
    Event
        At the end `Finished` with the figures; `value` is the `ConfidenceModel`, or None where it
        was stopped.

    Raises
    ------
    UserError
        If there are fewer than two fields, or too few nuclei of either kind.
    """
    if len(pairs) < 2:
        raise UserError("Calibration takes at least two pairs: it is judged on one left out.")
    yield Started(job="calibrate", total=len(pairs), unit="pairs")
    if isinstance(pairs, Found):
        yield from notices(pairs)
    meter = Meter(float(len(pairs)))
    nuclei: list[Measured] = []
    faint: list[Measured] = []
    for number, pair in enumerate(pairs):
        try:
            qpi, dapi, _ = pair.read()
            yield from notices(qpi, dapi)
            done = yield from _measure_field(
                pair.name, qpi, dapi, model, segmenter, device, views, should_stop
            )
        except UserError as error:
            yield Notice(text=f"{pair.name} is not calibrated on. {error}")
            continue
        if done is None:
            yield Finished(result={"stopped": True})
            return
        nuclei.append(done[0])
        faint.append(done[1])
        yield meter.at(number + 1.0, pair.name)
    if len(nuclei) < 2:
        raise UserError("Calibration takes at least two pairs that can be measured.")
    confidence = fit(nuclei, faint)
    best = confidence.compared[confidence.estimator]
    yield Notice(
        text=f"Chosen: {confidence.estimator} (ECE {best['ece']:.3f} on fields left out).",
        warning=False,
    )
    yield Finished(
        result={"estimator": confidence.estimator, "compared": confidence.compared},
        value=confidence,
    )


def calibrate_model(
    model: Path,
    pairs: Sequence[Pair],
    *,
    segmenter: Segmenter,
    diagram: Path | None = None,
    device: str = "auto",
    should_stop: ShouldStop | None = None,
) -> Job:
    """Load a model of the user's, calibrate it, and keep the outcome in it.

    Parameters
    ----------
    model : Path
        Its name, folder or run folder.
    pairs, segmenter
        As for `calibrate`.
    diagram : Path, optional
        Where to draw said confidence against the share that is real.
    device, should_stop
        As for `calibrate`.

    Yields
    ------
    Event
        As `calibrate`.

    Raises
    ------
    UserError
        If the model is packed or cannot be written, or the job was stopped.
    """
    with ExitStack() as stack:
        if diagram is not None:
            check_apart(diagram, [p for pair in pairs for p in (pair.qpi, pair.dapi)])
            stack.enter_context(sole_writer(diagram))
        job = kept_in_model(
            model,
            "confidence",
            lambda bundle: calibrate(
                bundle, pairs, segmenter=segmenter, device=device, should_stop=should_stop
            ),
        )
        for event in job:
            if isinstance(event, Finished) and diagram is not None:
                draw_reliability(diagram, event.value.reliability)
            yield event


def _measure_field(
    name: str,
    qpi: Volume,
    dapi: Volume,
    model: ModelBundle,
    segmenter: Segmenter,
    device: str,
    views: bool,
    should_stop: ShouldStop | None,
) -> Generator[Event, None, tuple[Measured, Measured] | None]:
    from ..nuclei import compare_nuclei
    from ..staining import StainOptions
    from ..staining.views import FLIPS, stain_views

    spreads: dict[str, np.ndarray] = {}
    stained: Volume | None = None
    for kind, flips in (("seed", ((),) * 4), ("view", FLIPS)) if views else (("", ((),)),):
        options = StainOptions(device=device, check=False)
        done = yield from stain_views(
            qpi, model, options, flips=flips, text=f"{name}:", should_stop=should_stop
        )
        if done is None:
            return None
        stained, spread = done
        if kind:
            spreads[kind] = spread
    assert stained is not None
    comparison: Any = yield from relay(
        compare_nuclei(dapi, stained, segmenter=segmenter, should_stop=should_stop), f"{name}:"
    )
    if comparison is None:
        return None
    nuclei, faint = measure_nuclei(comparison, stained, qpi, qpi.spacing, spreads)
    if model.info.familiarity is not None:
        verdict = yield from verdict_of(qpi, stained, model, device, should_stop=should_stop)
        if verdict is None:
            return None
        nuclei.features.update(of_stack(verdict.f1, len(nuclei.real)))
    return nuclei, faint
