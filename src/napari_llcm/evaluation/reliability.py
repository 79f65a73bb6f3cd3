"""Is "0.9" right nine times out of ten? Calibration error, proper scores, and the diagram."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..models.confidence_model import ReliabilityBin
from ..volumes.atomic import save_figure

_BINS = 10


def calibration_error(probability: np.ndarray, real: np.ndarray) -> float:
    """Return the expected calibration error over ten bins of equally many nuclei.

    The mean distance between the probability that was said and the share that was real (Naeini et
    al. 2015); bins of equal counts, as most nuclei are near certain and equal widths would leave
    bins empty.
    """
    return _gap(reliability(probability, real))


def scores(probability: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Return the calibration error, the proper scores, and what they are good for.

    "information_gain" is how many bits the confidence tells of a nucleus, beside what the share of
    real ones tells of any: 0 for a constant. "trusted_half" is the share of real ones in the half
    that is trusted most: `abstention` at a half.

    Parameters
    ----------
    probability : ndarray
        (n,), said of each nucleus.
    real : ndarray of bool
        (n,), whether it is.
    """
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    both = len(np.unique(real)) == 2
    loss = float(log_loss(real, probability, labels=[False, True]))
    share = float(np.clip(np.mean(real), 1e-9, 1 - 1e-9))
    chance = -share * np.log(share) - (1 - share) * np.log(1 - share)
    return {
        "ece": calibration_error(probability, real),
        "log_loss": loss,
        "brier": float(brier_score_loss(real, probability)),
        **({"auc": float(roc_auc_score(real, probability))} if both else {}),
        "information_gain": float((chance - loss) / np.log(2)),
        "trusted_half": float(abstention(probability, real)[(len(real) - 1) // 2]),
        "nuclei": float(len(real)),
        "real": float(np.mean(real)),
    }


def abstention(probability: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Return the share of real nuclei among the 1, 2, 3 … n most trusted ones (n,)."""
    order = np.argsort(-probability, kind="stable")
    return np.asarray(np.cumsum(real[order]) / np.arange(1, len(real) + 1))


def reliability(probability: np.ndarray, real: np.ndarray) -> tuple[ReliabilityBin, ...]:
    """Return the bins of `calibration_error`, least confident first."""
    return tuple(
        ReliabilityBin(said=float(probability[g].mean()), real=float(real[g].mean()), nuclei=len(g))
        for g in _groups(probability)
    )


def draw_reliability(path: Path, bins: Sequence[ReliabilityBin]) -> Path:
    """Draw the share of real nuclei against the probability that was said."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axis = figure.subplots()
    # the standard error of a share
    error = [np.sqrt(max(b.real * (1 - b.real), 1e-4) / b.nuclei) for b in bins]
    axis.plot([0, 1], [0, 1], color="0.7", lw=1)
    said, share = [b.said for b in bins], [b.real for b in bins]
    axis.errorbar(said, share, error, marker="o", ls="", capsize=3)
    axis.set(
        xlabel="confidence that was said",
        ylabel="share that is real",
        title=f"ECE {_gap(bins):.3f}, {sum(b.nuclei for b in bins)} nuclei",
        xlim=(0, 1.02),
        ylim=(0, 1.02),
    )
    save_figure(path, figure, dpi=110)
    return path


def _gap(bins: Sequence[ReliabilityBin]) -> float:
    """Return the mean distance of what was said from what is real, over the nuclei of all bins."""
    total = sum(b.nuclei * abs(b.said - b.real) for b in bins)
    return total / max(sum(b.nuclei for b in bins), 1)


def _groups(probability: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(probability, kind="stable")
    return [g for g in np.array_split(order, _BINS) if len(g)]
