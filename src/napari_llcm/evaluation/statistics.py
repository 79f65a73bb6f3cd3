"""Figures with their uncertainty: bootstrap over fields, precision and recall over confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..nuclei.counts import Counts

Row = dict[str, Any]
RESAMPLES = 2000


def interval(
    statistic: Callable[[list[int]], float], fields: int, *, seed: int = 0
) -> tuple[float, float] | None:
    """Return the 95 % bootstrap interval of a statistic over fields of view.

    Nuclei of one field share its noise and its crowding, so fields are drawn, not nuclei. Draws of
    which the statistic is not defined (fields without any nucleus alone) are left out.

    Parameters
    ----------
    statistic : callable
        From the indices of the fields drawn to a figure.
    fields : int
        How many fields there are; None is returned for fewer than two, and where no draw is
        defined.
    seed : int
        Of the resampling.
    """
    from scipy.stats import bootstrap

    if fields < 2:
        return None

    def of(indices: np.ndarray) -> float:
        """Return the statistic of one resampling."""
        return statistic([int(i) for i in indices])

    result = bootstrap(
        (np.arange(fields),),
        of,
        vectorized=False,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    drawn = result.bootstrap_distribution
    defined = drawn[np.isfinite(drawn)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)


def pooled(counts: Sequence[Counts], name: str) -> float:
    """Return a figure ("recall", "precision", "f1", "ap" …) of summed counts."""
    return float(getattr(sum(counts, Counts()), name))


def precision_recall(
    confidence: Sequence[float], real: Sequence[bool], truth: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return recall and precision as the threshold on confidence falls, and the area under them.

    Parameters
    ----------
    confidence : sequence of float
        Of each virtual nucleus.
    real : sequence of bool
        Whether it has a real partner.
    truth : int
        How many real nuclei there are; those without a virtual partner bound the recall.

    Returns
    -------
    recall, precision : ndarray
        One entry for each virtual nucleus, most confident first.
    area : float
        Sum of precision times the gain in recall (average precision, as in scikit-learn).
    """
    if not truth or not len(confidence):
        return np.zeros(0), np.zeros(0), 0.0
    order = np.argsort(-np.asarray(confidence, float), kind="stable")
    hits = np.cumsum(np.asarray(real, bool)[order])
    recall = hits / truth
    precision = hits / np.arange(1, len(order) + 1)
    gain = np.diff(recall, prepend=0.0)
    return recall, precision, float(np.sum(precision * gain))
