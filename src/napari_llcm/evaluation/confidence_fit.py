"""The fit of a confidence: which features tell, on fields left out, whether a nucleus is real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..events import UserError
from ..models.confidence_model import STACK, Calibrator, ConfidenceModel, ReliabilityBin
from ..nuclei import Comparison
from ..nuclei.features import PHASE, SPREAD, STAIN, Features, faint_places, measure, width_of
from ..volumes import Spacing, Volume
from .reliability import reliability, scores

VIEWS = tuple(f"view {name}" for name in SPREAD)  # over flipped views
SEEDS = tuple(f"seed {name}" for name in SPREAD)  # over noise alone
# name, features, how many stains of each field it takes; the cheapest first
ESTIMATORS: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("stain", STAIN, 1),
    ("stain and phase", STAIN + PHASE, 1),
    ("stain and stack", (*STAIN, STACK), 1),
    ("stain, phase and stack", (*STAIN, *PHASE, STACK), 1),
    ("seeds alone", SEEDS, 4),
    ("views alone", VIEWS, 4),
    ("stain, phase and seeds", STAIN + PHASE + SEEDS, 4),
    ("stain, phase and views", STAIN + PHASE + VIEWS, 4),
)
_WORTH = 0.01  # share of the log loss that a dearer estimator must save
_FOLDS = 5
_FEWEST = 20  # nuclei of either kind


@dataclass
class Measured:
    """Features of the nuclei of one field, and whether each is real."""

    features: Features
    real: np.ndarray


def fit(
    nuclei: Sequence[Measured],
    faint: Sequence[Measured],
    families: Sequence[str] | None = None,
) -> ConfidenceModel:
    """Return the best estimator, judged on fields left out and fitted on all.

    Parameters
    ----------
    nuclei, faint : sequence of Measured
        One for each field: nuclei that were found, and faint places where none was.
    families : sequence of str, optional
        Of each field: fields of one family are left out together. By default each is its own.

    Raises
    ------
    UserError
        If there are too few nuclei of either kind.
    """
    real = np.concatenate([m.real for m in nuclei])
    if min(real.sum(), (~real).sum()) < _FEWEST:
        raise UserError(
            f"{int(real.sum())} real and {int((~real).sum())} hallucinated nuclei are too few to "
            f"calibrate on: give more pairs, until there are {_FEWEST} of each."
        )
    compared: dict[str, dict[str, float]] = {}
    chosen: tuple[str, tuple[str, ...], int] | None = None
    bins: tuple[ReliabilityBin, ...] = ()
    for name, features, views in ESTIMATORS:
        if not all(f in m.features for m in nuclei for f in features):
            continue
        found = _left_out(nuclei, features, families)
        compared[name] = scores(found, real)
        if (
            chosen is None
            or compared[name]["log_loss"] < (1 - _WORTH) * (compared[chosen[0]]["log_loss"])
        ):
            chosen, bins = (name, features, views), reliability(found, real)
    assert chosen is not None
    where = np.concatenate([m.real for m in faint])
    missed = None
    if min(where.sum(), (~where).sum()) >= _FEWEST:
        missed = _fit(_joined(faint, STAIN + PHASE), where, STAIN + PHASE)
        found = _left_out(faint, STAIN + PHASE, families)
        compared["faint places"] = scores(found, where)
    return ConfidenceModel(
        nuclei=_fit(_joined(nuclei, chosen[1]), real, chosen[1]),
        faint=missed,
        estimator=chosen[0],
        views=chosen[2],
        compared=compared,
        reliability=bins,
        fields=len(nuclei),
        count=len(real),
    )


def measure_nuclei(
    comparison: Comparison,
    stained: Volume,
    qpi: Volume,
    spacing: Spacing | None,
    spreads: Mapping[str, np.ndarray] | None = None,
) -> tuple[Measured, Measured]:
    """Return what is measured of the nuclei of a stain, and of faint places of it.

    Parameters
    ----------
    comparison : Comparison
        Of the stain with the truth.
    stained, qpi : Volume
        The stain, and the stack.
    spacing : tuple of float or None
        Voxel size (z, y, x) by which nuclei are as large as those that the model knows.
    spreads : mapping of str to ndarray, optional
        By "seed" or "view", the standard deviation over these.
    """
    labels, truth = comparison.stain_labels.numpy(), comparison.truth_labels.numpy()
    image, phase = stained.numpy(), qpi.numpy()
    ids, features = measure(labels, image, phase, spacing)
    for kind, spread in (spreads or {}).items():
        _, more = measure(labels, image, phase, spacing, spread)
        features |= {f"{kind} {key}": more[key] for key in SPREAD}
    matches = comparison.matches
    real = np.isin(ids, matches.found_ids[matches.found_detected])
    places = faint_places(labels, image, spacing, width_of(labels, spacing))
    where, there = measure(places, image, phase, spacing)
    # a faint place is real if a nucleus that was not found lies there
    lost = truth * np.isin(truth, matches.truth_ids[~matches.truth_detected])
    missed = np.array([(lost[places == i] > 0).mean() > 0.5 for i in where], bool)
    return Measured(features, real), Measured(there, missed)


def _joined(fields: Sequence[Measured], features: Sequence[str]) -> np.ndarray:
    """Return the features (n, k) of the nuclei of all fields."""
    return np.concatenate([np.stack([m.features[f] for f in features], -1) for m in fields])


def _left_out(
    fields: Sequence[Measured], features: Sequence[str], families: Sequence[str] | None
) -> np.ndarray:
    """Return the probability of each nucleus by a fit on other fields, of other families."""
    from sklearn.model_selection import GroupKFold

    x, real = _joined(fields, features), np.concatenate([m.real for m in fields])
    numbers = (
        np.arange(len(fields)) if families is None else np.unique(families, return_inverse=True)[1]
    )
    group = np.repeat(numbers, [len(m.real) for m in fields])
    found = np.empty(len(real))
    several = len(np.unique(group))  # fields that have any
    if several < 2:
        raise UserError("Calibration takes at least two pairs with nuclei in their stains.")
    for train, test in GroupKFold(min(_FOLDS if families is None else several, several)).split(
        x, groups=group
    ):
        if len(np.unique(real[train])) < 2:
            found[test] = real[train].mean()
            continue
        calibrator = _fit(x[train], real[train], features)
        found[test] = calibrator.probability(dict(zip(features, x[test].T, strict=True)))
    return found


def _fit(x: np.ndarray, real: np.ndarray, features: Sequence[str]) -> Calibrator:
    from sklearn.linear_model import LogisticRegression

    centre, scale = x.mean(0), np.maximum(x.std(0), 1e-9)
    model = LogisticRegression(C=0.3, max_iter=1000)
    model.fit(np.clip((x - centre) / scale, -4, 4), real)
    return Calibrator(
        features=tuple(features),
        centre=tuple(float(v) for v in centre),
        scale=tuple(float(v) for v in scale),
        weights=tuple(float(v) for v in model.coef_[0]),
        bias=float(model.intercept_[0]),
    )
