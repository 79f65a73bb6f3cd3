"""What all measurements share: model, device, volumes of any size, and how long it may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import inf, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ...events import Finished, result_of
from ...models.bundle import ModelBundle
from ...staining import StainOptions, stain
from ...volumes import Volume

if TYPE_CHECKING:
    import torch

Shape = tuple[int, int, int]
_SPECIMEN: Shape = (32, 128, 128)  # mirrored at its sides, it makes volumes of any size
_SEED = 9_400_000  # no shipped model was trained on it


@dataclass
class Bench:
    """What is measured.

    Parameters
    ----------
    model : ModelBundle
        Networks on `device`, as a staining job leaves them.
    device : torch.device
        Where.
    minutes : float
        How long all of it may take, about.
    sizes : sequence of tuple
        Voxels (z, y, x) of the volumes, small to large.
    repeats : int
        How often each work is timed.
    pace : float
        Voxels per second of a staining job, once it is known: what is not affordable is left out.
    """

    model: ModelBundle
    device: torch.device
    minutes: float
    sizes: list[Shape]
    repeats: int
    pace: float = 0.0

    @cached_property
    def _specimen(self) -> np.ndarray:
        from ...specimen import make_specimen

        smallest = min(self.sizes, key=prod)
        size = tuple(min(n, m) for n, m in zip(_SPECIMEN, smallest, strict=True))
        return np.asarray(make_specimen(size, _SEED, "easy").qpi.data, np.float32)  # type: ignore[arg-type]

    def volume(self, shape: Shape) -> Volume:
        """Return a stack of this shape."""
        pad = [(0, max(n - m, 0)) for n, m in zip(shape, self._specimen.shape, strict=True)]
        data = np.pad(self._specimen, pad, mode="symmetric")
        return Volume(
            np.ascontiguousarray(data[tuple(slice(n) for n in shape)]),
            name="x".join(str(n) for n in shape),
            spacing=self.model.info.spacing,
        )

    def job(
        self, volume: Volume, model: ModelBundle | None = None, **options: Any
    ) -> Callable[[], Any]:
        """Return the work of staining a volume in memory, as a user's job does it.

        Without the look at whether the model can read it, which takes a time of its own.
        """
        chosen = StainOptions(device=str(self.device), **{"check": False, **options})

        def run() -> Any:
            """Stain; return what the job tells of itself."""
            told: dict[str, Any] = {}

            def listen(event: Any) -> None:
                """Keep the summary."""
                if isinstance(event, Finished):
                    told.update(event.result)

            result_of(stain(volume, model or self.model, chosen), listen)
            return told

        return run

    def affordable(self, share: float, cost: float = 1.0, most: float = inf) -> Shape:
        """Return the largest size that takes no more than a share of the time.

        Parameters
        ----------
        share : float
            Of `minutes`.
        cost : float
            How many times the work of one staining job is done.
        most : float
            Voxels that it has at most.
        """
        allowed = min(60 * self.minutes * share * self.pace / cost, most)
        fitting = [s for s in self.sizes if prod(s) <= allowed]
        return fitting[-1] if fitting else self.sizes[0]
