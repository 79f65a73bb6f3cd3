"""Count the nuclei of held-out volumes while a model trains: a falling loss alone says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np

from ..events import UserError, result_of
from ..models.taught import ENOUGH
from ..specimen.truth import nucleus_width
from ..volumes import Volume
from .judging import Remembering


class NucleiJudge:
    """Counts the nuclei of real and virtual DAPI, and stains with the model to be compared with.

    A training must not end because nuclei cannot be counted: where Cellpose is not installed or
    the model cannot be loaded, there are no figures. Both are loaded when they are first needed.

    Parameters
    ----------
    device : str
        Where Cellpose and the model run.
    reference : str, optional
        The model that the trained one has to beat: a name, folder or .zip; the shipped one if
        None.

    Attributes
    ----------
    name : str
        Of that model.
    """

    judges = "nuclei"

    def __init__(self, device: str = "auto", reference: str | None = None) -> None:
        from ..models.library import find_model

        self._device = device
        self._reference: Path | None = None
        self.name = ""
        with suppress(UserError):
            self._reference = find_model(reference)
            self.name = self._reference.name.removesuffix(".zip")

    @cached_property
    def _segmenter(self) -> Remembering:
        """Cellpose; real DAPI comes again at every validation."""
        from ..nuclei import make_segmenter

        return Remembering(make_segmenter(device=self._device))

    def __call__(self, pairs: Sequence[tuple[Volume, Volume]]) -> dict[str, float]:
        """Return recall, precision, F1 and counts of all pairs of real and virtual DAPI together.

        "found", "real" and "hallucinated" are numbers of nuclei; "width" is that of the real ones
        in voxels in the plane, where there are enough. Empty where they cannot be counted.
        """
        from ..nuclei import compare_nuclei, pool

        try:
            compared = [
                result_of(
                    compare_nuclei(
                        real,
                        virtual,
                        segmenter=self._segmenter,
                        truth_is_labels=False,
                        stain_is_labels=False,
                    )
                )
                for real, virtual in pairs
            ]
        except (UserError, RuntimeError, ValueError):
            return {}
        figures = {**pool(compared)}
        figures["real"] = figures["truth_nuclei"]
        if figures["real"] >= ENOUGH:
            widths = [nucleus_width(c.truth_labels.numpy()) for c in compared]
            figures["width"] = float(np.nanmedian(widths))
        names = ("recall", "precision", "f1", "found", "real", "hallucinated", "width")
        return {n: float(figures[n]) for n in names if figures.get(n) is not None}

    def stain(self, qpi: Volume) -> Volume | None:
        """Return the virtual DAPI by the model to be compared with; None where it cannot be."""
        from ..models.library import load_model
        from ..staining import Stainer

        if self._reference is None:
            return None
        try:
            return Stainer(load_model(self._reference), device=self._device).stain(qpi)
        except (UserError, RuntimeError, ValueError):
            return None
