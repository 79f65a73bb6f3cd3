"""What a check was made of and what was warned of: in its settings, captions and files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec

from ..events import Event, Finished, Job, Notice, noting
from ..volumes import Volume, notices

_P = ParamSpec("_P")


def origins(stain: Volume, truth: Volume | None = None) -> dict[str, Any]:
    """Return the settings that name what is checked: "stain", "truth", "model", "input_check".

    Parameters
    ----------
    stain : Volume
        The virtual stain; its metadata may name its model, and keep its verdict on the stack.
    truth : Volume, optional
        The real one.
    """
    model = stain.metadata.get("model")
    if isinstance(model, dict):  # results of older versions
        model = model.get("name")
    return {
        "stain": stain.name,
        "truth": None if truth is None else truth.name,
        "model": model,
        "input_check": stain.metadata.get("input_check"),
    }


def caption(settings: Mapping[str, Any]) -> str:
    """Return one line that names what was checked, for figures, tables and reports.

    Parameters
    ----------
    settings : mapping
        Of a `Comparison` or `Findings`.
    """
    named = settings.get("stain") or "labels as given"
    if settings.get("truth"):
        named = f"{named} against {settings['truth']}"
    if settings.get("projection"):
        named = f"{named} (one plane: compared in 2D)"
    model = settings.get("model")
    return f"{named} (model {model})" if model else str(named)


def warnings_of(*volumes: Volume) -> Generator[Event, None, None]:
    """Yield what must be read before volumes are trusted, as notices.

    Parameters
    ----------
    *volumes : Volume
        With what their readers noted, and what was said when they were stained.
    """
    yield from notices(*volumes)
    for volume in volumes:
        for text in volume.metadata.get("notices") or ():
            yield Notice(text=text)


def keeps_notices(make_job: Callable[_P, Job]) -> Callable[_P, Job]:
    """Decorate a job: each warning is said once, and kept in the settings of its value."""

    @wraps(make_job)
    def kept(*args: _P.args, **options: _P.kwargs) -> Job:
        """Run the job."""
        notices: list[str] = []
        for event in noting(make_job(*args, **options), notices):
            if isinstance(event, Finished) and event.value is not None:
                value = replace(event.value, settings={**event.value.settings, "notices": notices})
                result = {**event.result, "notices": notices}
                yield event.model_copy(update={"result": result, "value": value})
            else:
                yield event

    return kept
