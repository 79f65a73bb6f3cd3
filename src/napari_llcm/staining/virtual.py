"""A stack's stain where another job needs it, such as the check of registration."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

from ..events import Event, ShouldStop, relay
from ..models.bundle import ModelBundle
from ..models.device import pick_device
from ..models.library import load_model
from ..volumes import Volume
from .options import StainOptions
from .stainer import stain

StainStack = Callable[[Volume], Generator[Event, None, Volume | None]]


def stainer_of(
    model: str | Path | None, options: StainOptions, should_stop: ShouldStop | None = None
) -> StainStack:
    """Return what stains a stack in memory; the model is loaded when it is first needed.

    Parameters
    ----------
    model : str or Path, optional
        Name, folder or .zip; the shipped one if none.
    options : StainOptions
        Device, seed, steps.
    should_stop : callable, optional
        Asked before every layer of the networks.
    """
    loaded: list[ModelBundle] = []

    def stain_stack(qpi: Volume) -> Generator[Event, None, Volume | None]:
        """Stain one stack; return None where the user stopped it."""
        if not loaded:
            loaded.append(load_model(model, str(pick_device(options.device))))
        job = stain(qpi, loaded[0], options, should_stop=should_stop)
        stained: Volume | None = yield from relay(job, "staining")
        return stained

    return stain_stack
