"""What a calibration finds out about a model is kept in the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..events import Finished, Job, UserError
from ..models.bundle import load_bundle, write_info
from ..models.library import find_model
from ..volumes.sole_writer import sole_writer

if TYPE_CHECKING:
    from ..models import ModelBundle


def kept_in_model(model: Path, field: str, calibration: Callable[[ModelBundle], Job]) -> Job:
    """Load a model of the user's, calibrate it, and keep the outcome in it.

    Parameters
    ----------
    model : Path
        Its name, folder or run folder.
    field : str
        Of `ModelInfo`, which gets the value of the calibration's `Finished`.
    calibration : callable
        Makes the job from the model.

    Yields
    ------
    Event
        As the calibration.

    Raises
    ------
    UserError
        If the model is packed or cannot be written, or the job was stopped.
    """
    folder = find_model(model)
    if not folder.is_dir():
        raise UserError(f"{folder} is a .zip: import it first, then calibrate it by its name.")
    with sole_writer(folder, folder=True):
        bundle = load_bundle(folder)
        for event in calibration(bundle):
            if isinstance(event, Finished):
                if event.value is None:
                    raise UserError(
                        "Stopped before all pairs were measured: the model is as it was."
                    )
                write_info(folder, bundle.info.model_copy(update={field: event.value}))
            yield event
