"""What the plugin remembers: the preferences of the user, and what forms were last set to."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ..events import UserError
from ..volumes.atomic import write_json

PLUGIN = "napari-llcm"


class Preferences(BaseModel):
    """The plugin's page in napari's preferences.

    Parameters
    ----------
    model : str
        The model that the Stain panel starts with; the shipped one if empty.
    device : str
        "auto", "cpu", "cuda" or "mps".
    memory_share : float
        Share of the free memory that a job may take.
    cache_folder : str
        Where large temporary files go; the system's place for them if empty.
    cellpose_weights : str
        A Cellpose model file of the user's own; Cellpose's nuclei model if empty.
    """

    model: str = ""
    device: str = "auto"
    memory_share: float = 0.5
    cache_folder: str = ""
    cellpose_weights: str = ""


def preferences() -> Preferences:
    """Return what the user has set in napari's preferences."""
    try:
        from napari.settings import get_plugin_settings

        page = get_plugin_settings(PLUGIN).general
    except (ImportError, KeyError, AttributeError):  # the plugin is not installed as one
        return Preferences()
    return Preferences(**{name: getattr(page, name) for name in Preferences.model_fields})


def recall(form: str) -> dict[str, Any]:
    """Return what a form was last set to; empty if never, or if the file is damaged."""
    found = _read().get(form, {})
    return found if isinstance(found, dict) else {}


def remember(form: str, **values: Any) -> None:
    """Keep values (JSON) of a form for the next session; others of the same form stay."""
    everything = _read()
    everything[form] = {**recall(form), **values}
    with suppress(OSError, UserError):  # a form that is not remembered stops nobody's work
        write_json(_file(), everything)


def _file() -> Path:
    from platformdirs import user_config_path

    return user_config_path(PLUGIN, appauthor=False) / "forms.json"


def _read() -> dict[str, Any]:
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
