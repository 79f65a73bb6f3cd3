"""How likely it is that a nucleus of a virtual stain is real: a calibrated probability.

Logistic regression on a few measured features of each nucleus, fitted on held-out pairs. Its few
numbers are plain JSON within the bundle.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

STACK = "stack"
"""The feature of a nucleus that its whole stack has: the logit of the F1 to be expected."""


class Calibrator(BaseModel):
    """A logistic regression: p = 1 / (1 + exp(-(bias + w · (x - centre) / scale)))."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    features: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float

    def probability(self, features: dict[str, np.ndarray]) -> np.ndarray:
        """Return the probability (n,), 0 to 1, of each of n nuclei.

        Parameters
        ----------
        features : dict of ndarray
            (n,) for each name, at least those of `features`.
        """
        x = np.stack([np.asarray(features[name], float) for name in self.features], -1)
        x = (x - np.array(self.centre)) / np.array(self.scale)
        # what lies far outside of what was seen says no more than its edge
        logit = self.bias + np.clip(x, -4, 4) @ np.array(self.weights)
        return np.asarray(1 / (1 + np.exp(-logit)))


class ReliabilityBin(BaseModel):
    """Nuclei of about the same confidence: what was said of them and how many are real."""

    model_config = ConfigDict(frozen=True)

    said: float  # mean confidence
    real: float  # share that is real
    nuclei: int


class ConfidenceModel(BaseModel):
    """What a bundle knows about how far to trust its nuclei.

    Parameters
    ----------
    nuclei : Calibrator
        Of the nuclei that a segmenter finds in the stain.
    faint : Calibrator, optional
        Of faint places of the stain where a segmenter finds none: a nucleus probably missed.
    estimator : str
        Which features were chosen, by the proper score on held-out fields.
    views : int
        How many flipped views of the input the features need; 1 is the plain stain.
    compared : dict
        For each estimator its log loss, Brier score and expected calibration error (ECE) on fields
        that it was not fitted on.
    reliability : tuple of ReliabilityBin
        Of the chosen estimator, on these same fields.
    fields, count : int
        Of the fit.
    """

    model_config = ConfigDict(frozen=True)

    nuclei: Calibrator
    faint: Calibrator | None = None
    estimator: str
    views: int = Field(default=1, ge=1, le=64)
    compared: dict[str, dict[str, float]] = Field(default_factory=dict)
    reliability: tuple[ReliabilityBin, ...] = ()
    fields: int = 0
    count: int = 0

    @property
    def minds_the_stack(self) -> bool:
        """Whether it goes by how well the model can read the stack."""
        return STACK in self.nuclei.features
