"""Fit the width of nuclei to what the phase encoder makes of a stack at several scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..events import UserError
from ..models.width_model import WidthModel, agreed

_FAR = 2.0  # octaves beyond which a scale is far off, and no more is learned of it
_RIDGE = 0.05  # of the number of rows
_SURE = 0.8  # share of the stacks left out that are told
_FEWEST = 12


@dataclass(frozen=True)
class Tried:
    """A stack of known width, as the encoder saw it at several scales.

    Parameters
    ----------
    family : str
        Of its kind; one is left out at a time.
    width : float
        log2 of the width of its nuclei, in pixels.
    tried : ndarray
        (n,), log2 of the widths that were tried.
    features : ndarray
        (n, features), by `staining.estimate_width.FirstLook`.
    """

    family: str
    width: float
    tried: np.ndarray
    features: np.ndarray


def fit_width(stacks: Sequence[Tried]) -> WidthModel:
    """Fit a width model, and judge it on families that were left out.

    Parameters
    ----------
    stacks : sequence of Tried
        Of several families, and of widths that the size of a pixel does not tell: else that is
        what is learned.

    Raises
    ------
    UserError
        If there are too few stacks or families.
    """
    families = sorted({s.family for s in stacks})
    if len(stacks) < _FEWEST or len(families) < 2:
        raise UserError(
            f"Fitting the width of nuclei takes {_FEWEST} stacks at least, of two kinds or more."
        )
    left_out = {
        f: _ridge([s for s in stacks if s.family != f], sure=np.inf, error=0.0) for f in families
    }
    said = [(s, *agreed(s.tried, left_out[s.family].octaves(s.features))) for s in stacks]
    wrong = np.array([abs(width - s.width) for s, width, _ in said])
    deviation = np.array([deviation for *_, deviation in said])
    sure = float(np.quantile(deviation, _SURE))
    told = wrong[deviation <= sure]
    figures = {
        "median_error": _share(np.median(wrong)),
        "within_25_percent": float(np.mean(wrong <= np.log2(1.25))),
        "sure": float(np.mean(deviation <= sure)),
        "sure_median_error": _share(np.median(told)),
        "sure_within_25_percent": float(np.mean(told <= np.log2(1.25))),
    }
    model = _ridge(stacks, sure, float(np.quantile(told, 2 / 3)))
    return model.model_copy(update={"stacks": len(stacks), "figures": figures})


def _ridge(stacks: Sequence[Tried], sure: float, error: float) -> WidthModel:
    x = np.concatenate([s.features for s in stacks])
    y = np.concatenate([np.clip(s.width - s.tried, -_FAR, _FAR) for s in stacks])
    centre, scale = x.mean(0), x.std(0) + 1e-6
    flat = WidthModel(
        centre=_plain(centre), scale=_plain(scale), weights=(0.0,) * x.shape[1], bias=0.0,
        sure=min(sure, 1e6), error=error,
    )  # fmt: skip
    a = np.c_[flat.scaled(x), np.ones(len(x))]
    penalty = np.eye(a.shape[1]) * _RIDGE * len(x)
    penalty[-1, -1] = 0.0
    weights = np.linalg.solve(a.T @ a + penalty, a.T @ y)
    # a regression shrinks what it tells; near the right scale, by as much as it does there
    near = np.abs(y) < 1
    slope = float(np.polyfit(y[near], (a @ weights)[near], 1)[0])
    weights = weights / max(slope, 0.3)
    return flat.model_copy(update={"weights": _plain(weights[:-1]), "bias": float(weights[-1])})


def _plain(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(f"{v:.4g}") for v in values)


def _share(octaves: float) -> float:
    return float(2.0**octaves - 1)
