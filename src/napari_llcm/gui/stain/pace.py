"""How fast stains went, kept between sessions, to tell how long the next will take."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ..settings import recall, remember

_FORM, _LEAST = "pace", 3.0  # s; shorter jobs tell of the start more than of the pace


def learn(model: Path, device: str, result: dict[str, Any], planes: int = 1) -> None:
    """Keep the pace of a staining job.

    Parameters
    ----------
    model : Path
        Its model.
    device : str
        As it was chosen: "auto", "cpu" …
    result : dict
        What the job's `Finished` says.
    planes : int
        How many planes the result has for each of the input's.
    """
    if result["seconds"] >= _LEAST:
        samples = int(result.get("samples", 1))
        # voxels of the networks' grid for each of the result's
        seen = samples / (planes * math.prod(result.get("resampled_by", ())))
        remember(_FORM, **{_key(model, device): result["voxels_per_second"] * seen})


def seconds(model: Path, device: str, voxels: float) -> float | None:
    """Return how long voxels of the networks' grid, times samples, take; None if not known."""
    pace = recall(_FORM).get(_key(model, device))
    return voxels / float(pace) if pace else None


def _key(model: Path, device: str) -> str:
    return f"{model.name} {device}"
