"""The fit of a model's familiarity: from features of stacks to the nuclei F1 to be expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..events import UserError
from ..models.familiarity import LIKE, Encoded, Familiarity
from ..staining.looking import StackFeatures
from .confidence_fit import Measured

_FEWEST = 12  # stacks, of at least two families
_GOOD = 0.8  # F1 of a stack that the model stains well
_RIDGE = 10.0
_FLOOR = 0.03  # F1 of 0 and 1 have no logit


@dataclass(frozen=True)
class Known:
    """A stack with known truth.

    Parameters
    ----------
    measured : StackFeatures
        Of the stack.
    f1 : float
        Nuclei F1 of its stain.
    family : str
        Stacks of one family are left out together.
    nuclei, faint : Measured, optional
        Of its stain: nuclei, and faint places.
    """

    measured: StackFeatures
    f1: float
    family: str
    nuclei: Measured | None = None
    faint: Measured | None = None


def fit(stacks: Sequence[Known]) -> Familiarity:
    """Return what is fitted on all stacks, with figures on families that were left out.

    Raises
    ------
    UserError
        If there are too few stacks or families, or none is stained well, or all.
    """
    families = sorted({s.family for s in stacks})
    f1 = np.array([s.f1 for s in stacks])
    if len(stacks) < _FEWEST or len(families) < 2:
        raise UserError(
            f"{len(stacks)} stacks of {len(families)} families are too few to calibrate on: give "
            f"{_FEWEST} or more, of several families (one --pairs folder for each)."
        )
    if not (f1 >= LIKE).any() or not (f1 < LIKE).any():
        raise UserError(
            f"The stain has an F1 {'above' if f1.min() >= LIKE else 'below'} {LIKE} on every "
            "stack: give stacks that the model stains well and others that it does not."
        )
    return _fit(stacks).model_copy(update={"figures": _figures(f1, left_out(stacks))})


def left_out(stacks: Sequence[Known]) -> np.ndarray:
    """Return the F1 to be expected of each stack by a fit on the other families."""
    expected = np.empty(len(stacks))
    for family in {s.family for s in stacks}:
        familiarity = _fit([s for s in stacks if s.family != family])
        for index, stack in enumerate(stacks):
            if stack.family == family:
                features = stack.measured.known_by(familiarity)
                expected[index] = familiarity.expected(features)
    return expected


def _figures(f1: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    return {
        "auc": float(roc_auc_score(f1 >= LIKE, expected)),
        "error": float(np.abs(expected - f1).mean()),
    }


def _fit(stacks: Sequence[Known]) -> Familiarity:
    from sklearn.covariance import LedoitWolf
    from sklearn.linear_model import Ridge

    f1 = np.array([s.f1 for s in stacks])
    well = f1 >= min(_GOOD, np.quantile(f1, 0.7))
    encoded = _encoded([s for s, good in zip(stacks, well, strict=True) if good])
    rows = [
        {**s.measured.features, **(encoded.features(s.measured.channels) if encoded else {})}
        for s in stacks
    ]
    names = tuple(rows[0])
    values = np.array([[row[name] for name in names] for row in rows])
    centre, scale = values.mean(0), np.maximum(values.std(0), 1e-6)
    start = Familiarity(
        features=names,
        centre=_numbers(centre),
        scale=_numbers(scale),
        weights=(0.0,) * len(names),
        bias=0.0,
        inverse=tuple(_numbers(row) for row in np.eye(len(names))),
        farthest=1.0,
        encoded=encoded,
        stacks=len(stacks),
    )
    x = np.stack([start.scaled(row) for row in rows])
    low = np.clip(f1, 0, 1) + _FLOOR
    line = Ridge(_RIDGE).fit(x, np.log(low / (1 + 2 * _FLOOR - low)))
    inverse = np.linalg.inv(LedoitWolf(assume_centered=True).fit(x).covariance_)
    usual = np.quantile(values[well], (0.01, 0.99), axis=0).T
    known = start.model_copy(
        update={
            "weights": _numbers(line.coef_),
            "bias": float(line.intercept_),
            "inverse": tuple(_numbers(row) for row in inverse),
            "usual": {n: (float(a), float(b)) for n, (a, b) in zip(names, usual, strict=True)},
        }
    )
    farthest = max(known.distance(row) for row in rows)
    return known.model_copy(update={"farthest": 1.2 * farthest})


def _encoded(stacks: Sequence[Known]) -> Encoded | None:
    """Return the statistics of the encoder's channels over stacks that are stained well."""
    channels = np.array([s.measured.channels for s in stacks])
    if not channels.size:
        return None
    # of few stacks a channel's deviation may be small by chance
    scale = channels.std(0) + 0.1 * channels.std() + 1e-3
    return Encoded(centre=_numbers(channels.mean(0)), scale=_numbers(scale))


def _numbers(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(f"{v:.5g}") for v in values)
