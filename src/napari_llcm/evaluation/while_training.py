"""Count the nuclei of held-out volumes while a model trains: a falling loss alone says nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from ..events import UserError, result_of
from ..volumes import Volume
from .judging import Remembering


def nuclei_judge(
    device: str = "auto",
) -> Callable[[Sequence[tuple[Volume, Volume]]], dict[str, float]]:
    """Return a function from pairs of real and virtual DAPI to recall, precision and F1.

    It returns nothing where Cellpose is not installed or the nuclei cannot be counted: a training
    must not end for that. Cellpose is loaded when it is first called.

    Parameters
    ----------
    device : str
        Where Cellpose runs.
    """
    from ..nuclei import compare_nuclei, make_segmenter, pool

    @cache
    def segmenter() -> Remembering:
        """Return Cellpose; real DAPI comes again at every validation."""
        return Remembering(make_segmenter(device=device))

    def judge(pairs: Sequence[tuple[Volume, Volume]]) -> dict[str, float]:
        """Return the figures of all pairs together."""
        try:
            compared = [
                result_of(
                    compare_nuclei(
                        real,
                        virtual,
                        segmenter=segmenter(),
                        truth_is_labels=False,
                        stain_is_labels=False,
                    )
                )
                for real, virtual in pairs
            ]
        except (UserError, RuntimeError, ValueError):
            return {}
        figures = pool(compared)
        names = ("recall", "precision", "f1")
        return {name: float(figures[name]) for name in names if figures[name] is not None}

    return judge
