"""What a model was taught on, and how well it did there.

All that a model can say of a stack where it is not calibrated to tell more (`Familiarity`), as one
that was just fine-tuned: that takes stacks of several kinds with their truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

ENOUGH = 5
"""Nuclei that it takes for an F1, or a width, to tell anything."""
_NAMED = 3  # pairs that are told by name


class Taught(BaseModel):
    """What a model was taught on.

    Parameters
    ----------
    pairs : tuple of str
        Names of the pairs that it learned from.
    where : str
        What was held out of the training, such as "in a held-out part of a"; empty if nothing was.
    f1 : float, optional
        Of the nuclei there, where they were counted.
    nuclei : int
        How many real ones there are.
    before : float, optional
        F1 there of the model that it started from.
    psnr, interpolated : float, optional
        Of what adds to its input, such as finer slices: PSNR there in dB, and that of the input.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    pairs: tuple[str, ...]
    where: str = ""
    f1: float | None = None
    nuclei: int = 0
    before: float | None = None
    psnr: float | None = None
    interpolated: float | None = None

    @classmethod
    def on(cls, pairs: Sequence[str], where: str, found: Mapping[str, Any]) -> Taught:
        """Return what is known at the end of a training.

        Parameters
        ----------
        pairs, where
            As above.
        found : mapping
            "f1" and "real", the number of nuclei, where they were counted; "reference", the same
            of the model that it started from. "psnr" and "interpolated" as above.
        """
        if where and found.get("interpolated") is not None:
            psnr, interpolated = (round(float(found[n]), 2) for n in ("psnr", "interpolated"))
            return cls(pairs=tuple(pairs), where=where, psnr=psnr, interpolated=interpolated)
        if not where or found.get("f1") is None:
            return cls(pairs=tuple(pairs), where=where)
        f1, nuclei = round(float(found["f1"]), 3), int(found["real"])
        before = (found.get("reference") or {}).get("f1")
        return cls(
            pairs=tuple(pairs),
            where=where,
            f1=f1,
            nuclei=nuclei,
            before=None if before is None else round(float(before), 3),
        )

    @property
    def words(self) -> str:
        """What is known, to follow "the model was"."""
        some = ", ".join(self.pairs[:_NAMED])
        on = some if len(self.pairs) <= _NAMED else f"{len(self.pairs)} pairs such as {some}"
        if not self.where:
            return f"taught on {on}; nothing was held out, so no figure tells how well"
        if self.psnr is not None and self.interpolated is not None:
            return (
                f"taught on {on}: PSNR {self.psnr:.1f} dB {self.where}, where interpolation has "
                f"{self.interpolated:.1f}"
            )
        if self.f1 is None:
            return f"taught on {on}; nuclei were not counted, so no figure tells how well"
        if self.nuclei < ENOUGH:
            return f"taught on {on}; too few nuclei were held out to tell how well"
        before = "" if self.before is None else f", {self.before:.2f} before,"
        return (
            f"taught on {on}: nuclei F1 {self.f1:.2f}{before} {self.where} ({self.nuclei} nuclei)"
        )
