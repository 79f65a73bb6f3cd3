"""How wide the nuclei of a stack are, told from what the phase encoder makes of it at some scale.

Seen at a scale at which its nuclei are wider or narrower than the model's, a stack excites other
channels of the encoder. A ridge regression on the mean and the logarithm of the standard deviation
of each channel tells by how many octaves. Its numbers are plain JSON within the bundle.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

_EDGE = 3.0  # standard deviations beyond which a channel says no more than its edge


class WidthModel(BaseModel):
    """A regression from the encoder's channels to the logarithm of a nucleus' width.

    Parameters
    ----------
    centre, scale, weights : tuple of float
        Of each feature.
    bias : float
        In octaves.
    sure : float
        Standard deviation in octaves of the estimates from several scales, beyond which nothing is
        told.
    error : float
        Octaves within which two of three estimates lay, of the stacks of the fit that were left
        out and about which it was sure.
    stacks : int
        Of the fit.
    figures : dict of str to float
        Of the same, with whole families left out.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    sure: float
    error: float
    stacks: int = 0
    figures: dict[str, float] = {}

    def octaves(self, features: np.ndarray) -> np.ndarray:
        """Return by how many octaves nuclei are wider than they were taken to be.

        Parameters
        ----------
        features : ndarray
            (n, features): a row for each scale.
        """
        return np.asarray(self.scaled(features) @ np.array(self.weights) + self.bias)

    def scaled(self, features: np.ndarray) -> np.ndarray:
        """Return features (n, features) by the stacks of the fit, not beyond the edge."""
        x = (features - np.array(self.centre)) / np.array(self.scale)
        return np.asarray(np.clip(x, -_EDGE, _EDGE))


def agreed(tried: np.ndarray, octaves: np.ndarray) -> tuple[float, float]:
    """Return what the estimates from several scales agree on.

    The nearer a scale is to the right one, the better it is known by how much it is wrong: the
    mean is weighted by a Gaussian around itself, and so found by iteration.

    Parameters
    ----------
    tried : ndarray
        (n,), log2 of the widths that were tried, ascending.
    octaves : ndarray
        (n,), by how much each was found too small.

    Returns
    -------
    width : float
        log2 of the width, within those that were tried.
    deviation : float
        Standard deviation of the estimates from near scales, in octaves.
    """
    found = tried + octaves
    # begun where the correction changes its sign, or is smallest
    centre = float(tried[np.argmin(np.abs(octaves))])
    for _ in range(8):
        weight = np.exp(-0.5 * ((tried - centre) / _NEAR) ** 2) + 1e-6
        centre = float(np.clip((weight * found).sum() / weight.sum(), tried[0], tried[-1]))
    deviation = np.sqrt((weight * (found - centre) ** 2).sum() / weight.sum())
    return centre, float(deviation)


_NEAR = 0.7  # octaves
