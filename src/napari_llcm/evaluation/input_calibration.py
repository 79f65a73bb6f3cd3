"""Learn which stacks a model can read, from pairs of several kinds, and keep that in the model."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..events import Event, Finished, Job, Meter, Notice, ShouldStop, Started, UserError, relay
from ..models.nucleus_width import seen_spacing
from ..staining.input_features import PARTS
from ..volumes import Found, Pair, Volume, notices
from .confidence_fit import measure_nuclei
from .familiarity_fit import Known, fit
from .kept import kept_in_model

if TYPE_CHECKING:
    from ..models import ModelBundle
    from ..nuclei import Segmenter

_SMALL = 2**19  # voxels of which one part shows nearly all


def calibrate_input(
    model: ModelBundle,
    families: Mapping[str, Sequence[Pair]],
    *,
    segmenter: Segmenter,
    device: str = "auto",
    should_stop: ShouldStop | None = None,
) -> Job:
    """Fit the nuclei F1 to be expected of a stack; judged on families that were left out.

    Parameters
    ----------
    model : ModelBundle
        The stainer.
    families : mapping of str to sequence of Pair
        Pairs of several kinds, such as of several microscopes: some that the model stains well,
        others that it does not.
    segmenter : Segmenter
        Finds the nuclei of stain and truth.
    device : str
        Where to stain.
    should_stop : callable, optional
        Asked between tiles.

    Yields
    ------
    Event
        At the end `Finished` with the figures; `value` is the `Familiarity`, or None where it was
        stopped.

    Raises
    ------
    UserError
        If there are too few pairs or families, or the model stains all of them alike.
    """
    count = sum(len(pairs) for pairs in families.values())
    yield Started(job="calibrate-input", total=count, unit="pairs")
    meter, number = Meter(float(count)), 0
    stacks: list[Known] = []
    for family, pairs in families.items():
        if isinstance(pairs, Found):
            yield from notices(pairs)
        for pair in pairs:
            try:
                qpi, dapi, _ = pair.read()
                yield from notices(qpi, dapi)
                known = yield from judge(
                    qpi, dapi, model, segmenter, family, device, should_stop=should_stop
                )
            except UserError as error:
                yield Notice(text=f"{pair.name} is not calibrated on. {error}")
                continue
            finally:
                number += 1
            if known is None:
                yield Finished(result={"stopped": True})
                return
            stacks.append(known)
            yield meter.at(number, f"{family}: {pair.name}")
    familiarity = fit(stacks)
    result = {
        "stacks": len(stacks),
        **familiarity.figures,
        "families": {
            name: sum(s.f1 for s in stacks if s.family == name)
            / max(sum(s.family == name for s in stacks), 1)
            for name in families
        },
    }
    yield Finished(result=result, value=familiarity)


def calibrate_input_of(
    model: Path,
    families: Mapping[str, Sequence[Pair]],
    *,
    segmenter: Segmenter,
    device: str = "auto",
    should_stop: ShouldStop | None = None,
) -> Job:
    """Load a model of the user's, do as `calibrate_input`, and keep the outcome in it.

    Parameters
    ----------
    model : Path
        Its name, folder or run folder.
    families, segmenter, device, should_stop
        As for `calibrate_input`.

    Yields
    ------
    Event
        As `calibrate_input`.

    Raises
    ------
    UserError
        If the model is packed or cannot be written, or the job was stopped.
    """
    yield from kept_in_model(
        model,
        "familiarity",
        lambda bundle: calibrate_input(
            bundle, families, segmenter=segmenter, device=device, should_stop=should_stop
        ),
    )


def judge(
    qpi: Volume,
    truth: Volume,
    model: ModelBundle,
    segmenter: Segmenter,
    family: str,
    device: str = "auto",
    *,
    nucleus_um: float | None = None,
    should_stop: ShouldStop | None = None,
) -> Generator[Event, None, Known | None]:
    """Return what is measured of one stack, and the nuclei F1 of its stain.

    Parameters
    ----------
    qpi, truth : Volume
        The stack, and its DAPI or the labels of its nuclei.
    model, segmenter : ModelBundle and Segmenter
        As for `calibrate_input`.
    family : str
        What kind of stack it is.
    device : str
        As for `calibrate_input`.
    nucleus_um : float, optional
        Width of its nuclei, as `StainOptions` takes it.
    should_stop : callable, optional
        As for `calibrate_input`.

    Returns
    -------
    Known or None
        None where the job was stopped.

    Yields
    ------
    Event
        Of staining and comparing.
    """
    from ..nuclei import compare_nuclei
    from ..staining import StainOptions, stain
    from ..staining.looking import LookedAt

    options = StainOptions(device=device, nucleus_um=nucleus_um, check=False)
    look = LookedAt.at(qpi, model, options)
    small = math.prod(qpi.shape) <= _SMALL
    measured = yield from look.measure(should_stop=should_stop, most=1 if small else PARTS)
    stained = yield from relay(stain(qpi, model, options, should_stop=should_stop), qpi.name)
    if measured is None or stained is None:
        return None
    job = compare_nuclei(truth, stained, segmenter=segmenter, should_stop=should_stop)
    comparison = yield from relay(job, qpi.name)
    if comparison is None:
        return None
    spacing = seen_spacing(stained, model.info) or qpi.spacing
    nuclei, faint = measure_nuclei(comparison, stained, qpi, spacing)
    f1 = float(comparison.figures["f1"] or 0.0)
    return Known(measured, f1, family, nuclei, faint)
