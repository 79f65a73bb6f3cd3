"""Say of each nucleus of a stain how far to trust it, by what its model was calibrated with."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from ..events import Event, ShouldStop
from ..volumes import Volume

if TYPE_CHECKING:
    import numpy as np

    from ..models import ModelBundle
    from ..nuclei import Comparison


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
