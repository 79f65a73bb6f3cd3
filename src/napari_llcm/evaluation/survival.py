"""What must survive an autoencoder: nuclei in DAPI, Hounsfield units in CT; and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from ..events import Event, ShouldStop, relay
from ..tasks.normalise import Scaling, dapi_scaling
from ..volumes import Volume

if TYPE_CHECKING:
    from ..nuclei.counts import Counts
    from ..nuclei.segmenting import Segmenter

JudgeName = Literal["nuclei", "hu"]
Figures = dict[str, Any]
Comparing = Generator[Event, None, Figures | None]

# Nuclei F1 from which on it is said that nuclei survive, and below which that they do not. Those of
# our own autoencoders on held-out volumes are 0.947 to 1 (docs/benchmark.md).
NUCLEI = (0.9, 0.7)
# Mean error in Hounsfield units, likewise: 2.5 and 6 % of the window of soft tissue.
HOUNSFIELD = (10.0, 25.0)
_MOST_PSNR = 100.0  # dB; of volumes that come back as they were


@dataclass(frozen=True)
class Hounsfield:
    """The window of CT, in Hounsfield units: its ends become 0 and 1.

    Parameters
    ----------
    centre, width : float
        Of the window.
    """

    centre: float = 40.0
    width: float = 400.0

    @property
    def scaling(self) -> Scaling:
        """The affine map of the window."""
        low = self.centre - self.width / 2
        return Scaling(low=low, high=low + self.width, root=False)


class Judge(Protocol):
    """Says what is left of volumes that went through an autoencoder and back."""

    shows: str | None  # what the volumes show, a key of `CHANNEL_NAMES`

    def scaling(self, volume: Volume) -> Scaling:
        """Return how a volume is scaled on the way in, and back on the way out."""

    def compare(self, volume: Volume, back: Volume) -> Comparing:
        """Yield events; return the figures of one volume, None where it was stopped."""

    def total(self, trips: list[Figures]) -> tuple[Figures, str]:
        """Return the figures of all, and in words whether it survives."""


class NucleiJudge:
    """Nuclei must survive: they are found in both by the same settings.

    Parameters
    ----------
    segmenter : Segmenter
        Finds them.
    should_stop : callable, optional
        Asked while they are looked for.
    """

    shows: str | None = "dapi"

    def __init__(self, segmenter: Segmenter, should_stop: ShouldStop | None = None) -> None:
        self.segmenter, self.should_stop = segmenter, should_stop
        self._counts: list[Counts] = []

    def scaling(self, volume: Volume) -> Scaling:
        """Return background and brightest nuclei of a DAPI volume."""
        return dapi_scaling(volume.data)

    def compare(self, volume: Volume, back: Volume) -> Comparing:
        """Yield events; return F1, recall, precision, PSNR and SSIM."""
        from ..nuclei import compare_nuclei
        from .image_metrics import image_metrics

        compared = yield from relay(
            compare_nuclei(
                volume,
                back,
                segmenter=self.segmenter,
                truth_is_labels=False,
                stain_is_labels=False,
                should_stop=self.should_stop,
            ),
            volume.name,
        )
        if compared is None:
            return None
        self._counts.append(compared.counts)
        figures = compared.counts.figures() | image_metrics(volume, back)
        return {k: figures[k] for k in ("f1", "recall", "precision", "psnr", "ssim")}

    def total(self, trips: list[Figures]) -> tuple[Figures, str]:
        """Return F1 of all nuclei together and mean PSNR, and whether nuclei survive."""
        counts = self._counts[0]
        for more in self._counts[1:]:
            counts = counts + more
        f1 = None if np.isnan(counts.f1) else counts.f1
        psnr = fmean(t["psnr"] for t in trips)
        return {"f1": f1, "nuclei": counts.truth, "psnr": psnr}, _nuclei_verdict(f1)


class HounsfieldJudge:
    """Hounsfield units must survive.

    Parameters
    ----------
    window : Hounsfield
        What lies beyond it counts as its end.
    """

    shows: str | None = None

    def __init__(self, window: Hounsfield) -> None:
        self.window = window

    def scaling(self, volume: Volume) -> Scaling:
        """Return the window."""
        return self.window.scaling

    def compare(self, volume: Volume, back: Volume) -> Comparing:
        """Return mean absolute error (HU) and PSNR (dB) within the window."""
        yield from ()
        low, high = self.window.scaling.low, self.window.scaling.high
        a, b = (np.clip(v.numpy(), low, high).astype(np.float64) for v in (volume, back))
        power = float(np.mean((a - b) ** 2)) / self.window.width**2
        psnr = min(-10 * float(np.log10(power)), _MOST_PSNR) if power else _MOST_PSNR
        return {"hu_mae": float(np.mean(np.abs(a - b))), "psnr": psnr}

    def total(self, trips: list[Figures]) -> tuple[Figures, str]:
        """Return the means over volumes, and whether Hounsfield units survive."""
        error, psnr = (fmean(t[name] for t in trips) for name in ("hu_mae", "psnr"))
        return {"hu_mae": error, "psnr": psnr}, self._verdict(error, psnr)

    def _verdict(self, error: float, psnr: float) -> str:
        well, least = HOUNSFIELD
        low, high = self.window.scaling.low, self.window.scaling.high
        figure = f"mean error {error:.1f} HU, PSNR {psnr:.1f} dB from {low:g} to {high:g} HU"
        if error <= well:
            return f"Hounsfield units survive it: {figure}."
        if error <= least:
            return f"Hounsfield units survive it in part: {figure}."
        return f"Hounsfield units do not survive it: {figure}."


def _nuclei_verdict(f1: float | None) -> str:
    well, least = NUCLEI
    if f1 is None:
        return "No nuclei were found, neither before nor after: nothing can be said of them."
    figure = f"nuclei F1 {f1:.3f} between a volume and its way back"
    if f1 >= well:
        return f"Nuclei survive it: {figure}."
    if f1 >= least:
        return f"Nuclei survive it in part: {figure}; a model on top of it can be no better."
    return f"Nuclei do not survive it: {figure}; train it on your own volumes, or take another."


def make_judge(
    name: JudgeName,
    window: Hounsfield,
    make_segmenter: Callable[[], Segmenter],
    should_stop: ShouldStop | None = None,
) -> Judge:
    """Return a judge by its name; the segmenter is made where nuclei are looked for."""
    judges: dict[JudgeName, Callable[[], Judge]] = {
        "nuclei": lambda: NucleiJudge(make_segmenter(), should_stop),
        "hu": lambda: HounsfieldJudge(window),
    }
    return judges[name]()
