"""Stain one field several times: flipped, or with other noise; where the results differ, doubt."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from ..events import Event, Finished, ShouldStop, relay
from ..models.bundle import ModelBundle
from ..volumes import Volume
from .options import StainOptions
from .stainer import stain

# the axes that each view is flipped along; z is kept, light comes along it
FLIPS: tuple[tuple[int, ...], ...] = ((), (1,), (2,), (1, 2))


def stain_views(
    qpi: Volume,
    model: ModelBundle,
    options: StainOptions = StainOptions(),
    *,
    flips: Sequence[tuple[int, ...]] = FLIPS,
    seeds: Sequence[int] | None = None,
    text: str = "",
    should_stop: ShouldStop | None = None,
) -> Generator[Event, None, tuple[Volume, np.ndarray] | None]:
    """Stain a volume in several views.

    Parameters
    ----------
    qpi : Volume
        Axes "zyx".
    model : ModelBundle
        The stainer.
    options : StainOptions
        How it is stained, but for the seed.
    flips : sequence of tuple
        Axes that each view is flipped along; the first should be none.
    seeds : sequence of int, optional
        Noise field of each view; 0, 1, 2 … by default.
    text : str
        Put before the text of the progress.
    should_stop : callable, optional
        Asked before every layer.

    Returns
    -------
    stain : Volume
        The first view's.
    spread : ndarray
        Standard deviation over the views (z, y, x), float32. None in place of both where the
        job was stopped.

    Yields
    ------
    Event
        Of each staining.
    """
    data = qpi.numpy()
    first: Volume | None = None
    total = np.zeros(data.shape, np.float64)
    square = np.zeros(data.shape, np.float64)
    for number, axes in enumerate(flips):
        turned = qpi.replace(data=np.ascontiguousarray(np.flip(data, axes)))
        seed = number if seeds is None else seeds[number]
        result: Any = yield from relay(
            (
                e
                for e in stain(
                    turned, model, options.changed(seed=seed, check=False), should_stop=should_stop
                )
                if isinstance(e, Finished) or number == 0 or e.kind == "progress"
            ),
            f"{text} view {number + 1} of {len(flips)}".strip(),
        )
        if result is None:
            return None
        back = np.flip(result.numpy(), axes)
        total += back
        square += back.astype(np.float64) ** 2
        first = result if first is None else first
    count = len(flips)
    if first is None:
        return None
    variance = np.maximum(square / count - (total / count) ** 2, 0) * count / max(count - 1, 1)
    return first, np.sqrt(variance).astype(np.float32)
