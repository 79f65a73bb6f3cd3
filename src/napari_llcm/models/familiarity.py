"""How like a stack is to those that a model is known to stain well: the nuclei F1 to be expected.

A regression on a few measured features of a stack and of a trial stain of parts of it, fitted on
stacks with known truth. Its numbers are plain JSON within the bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Value = Literal["like", "unlike", "unreadable", "taught", "unknown"]
LIKE, READABLE = 0.7, 0.3
"""Nuclei F1 to be expected from which on a stack is like what is known; below which, unreadable."""
_EDGE = 4.0  # standard deviations beyond which a feature says no more than its edge
_FAR = 8.0  # the same of channels of the encoder, which are many

Features = Mapping[str, float]


class Verdict(BaseModel):
    """What a model can make of a stack.

    Parameters
    ----------
    value : str
        "like" what the model knows; "unlike" it: expect errors; "unreadable": nothing that it can
        read; "taught": it tells only what it was taught on; "unknown": not even that.
    model : str
        Its name.
    f1 : float, optional
        The nuclei F1 to be expected, 0 to 1.
    reasons : tuple of str
        What is unlike, in words, the weightiest first.
    knows : str
        What the model was taught on, and how well it did there, in words.
    """

    model_config = ConfigDict(frozen=True)

    value: Value
    model: str
    f1: float | None = None
    reasons: tuple[str, ...] = ()
    knows: str = ""

    @classmethod
    def kept(cls, metadata: Mapping[str, Any]) -> Verdict | None:
        """Return the verdict that the metadata of a stain keep; None where they keep none."""
        try:
            return cls.model_validate(metadata["input_check"])
        except (KeyError, ValidationError):
            return None

    @property
    def sentence(self) -> str:
        """The verdict in one or two sentences."""
        if self.value == "taught":
            return (
                f"{self.model} was {self.knows}. For stacks of another microscope or scanner "
                "there is no verdict: look at the result before you trust it."
            )
        if self.f1 is None:
            return (
                f"{self.model} cannot tell whether it can read this stack: it was not calibrated "
                "for that (napari-llcm model calibrate-input)."
            )
        expected = f"expected nuclei F1 about {self.f1:.2f}"
        said = {
            "like": f"Like what {self.model} knows: {expected}.",
            "unlike": f"Unlike what {self.model} knows, expect errors: {expected}.",
            "unreadable": f"Nothing that {self.model} can read: {expected}.",
        }[self.value]
        if not self.reasons or self.value == "like":
            return said
        because = "; ".join(self.reasons)
        return f"{said} {because[0].upper()}{because[1:]}."


class Encoded(BaseModel):
    """What the channels of the phase encoder say of stacks that the model stains well.

    Parameters
    ----------
    centre, scale : tuple of float
        Mean and standard deviation over these stacks, of the mean of each channel over a stack
        and, after these, of its standard deviation over a stack.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    centre: tuple[float, ...]
    scale: tuple[float, ...]

    def features(self, channels: np.ndarray) -> dict[str, float]:
        """Return how far a stack is from these: a Mahalanobis distance of independent channels.

        Parameters
        ----------
        channels : ndarray
            Means, then deviations, as for `centre`.
        """
        z = np.clip((channels - np.array(self.centre)) / np.array(self.scale), -_FAR, _FAR)
        means, deviations = np.split(z, 2)
        return {
            "encoder means": float(np.log(np.sqrt((means**2).mean()) + 0.1)),
            "encoder deviations": float(np.log(np.sqrt((deviations**2).mean()) + 0.1)),
        }


class Familiarity(BaseModel):
    """What a bundle knows about the stacks that it can read.

    F1 = 1 / (1 + exp(-(bias + w · x))), x = (feature - centre) / scale.

    Parameters
    ----------
    features : tuple of str
        By name.
    centre, scale, weights : tuple of float
        Of each feature.
    bias : float
        Of the logit.
    inverse : tuple of tuple
        Inverse covariance of x over the stacks of the fit.
    farthest : float
        Mahalanobis distance from the mean of the fit beyond which nothing is known.
    usual : dict
        Of each feature, the span in which the stacks lie that the model stains well.
    encoded : Encoded, optional
        Where the model has an encoder.
    stacks : int
        Of the fit.
    figures : dict of str to float
        On families that were left out: area under the ROC curve ("auc") between stacks above and
        below F1 0.7, mean absolute error ("error").
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    features: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    inverse: tuple[tuple[float, ...], ...]
    farthest: float
    usual: dict[str, tuple[float, float]] = Field(default_factory=dict)
    encoded: Encoded | None = None
    stacks: int = 0
    figures: dict[str, float] = Field(default_factory=dict)

    def scaled(self, features: Features) -> np.ndarray:
        """Return x of a stack's features, not beyond the edge."""
        values = np.array([features[name] for name in self.features])
        x = (values - np.array(self.centre)) / np.array(self.scale)
        return np.asarray(np.clip(x, -_EDGE, _EDGE))

    def distance(self, features: Features) -> float:
        """Return the Mahalanobis distance of a stack from the stacks of the fit."""
        x = self.scaled(features)
        return float(np.sqrt(max(x @ np.array(self.inverse) @ x, 0.0) / len(x)))

    def expected(self, features: Features) -> float:
        """Return the nuclei F1 to be expected, 0 to 1; 0 where nothing like it was seen."""
        logit = self.bias + float(self.scaled(features) @ np.array(self.weights))
        beyond = max(self.distance(features) / self.farthest - 1, 0.0)
        return float(1 / (1 + np.exp(-logit)) * np.exp(-4 * beyond))


def value_of(f1: float) -> Value:
    """Return the verdict on a stack of which this F1 is to be expected."""
    return "like" if f1 >= LIKE else "unlike" if f1 >= READABLE else "unreadable"
