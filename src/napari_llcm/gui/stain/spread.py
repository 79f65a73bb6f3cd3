"""How far the samples of a stain differ, relative to how bright it is."""

from __future__ import annotations

from typing import Any

import numpy as np

STRONG = 0.2  # shown at its brightest: samples of a nucleus differ by 0.03 to 0.1 as a rule
_DIM = 0.1  # of the stain's range: below that brightness, the spread is told relative to this


class RelativeSpread:
    """Standard deviation over samples divided by their mean, computed where it is looked at.

    An array to napari; its parts are computed from two others, which are still being filled.

    Parameters
    ----------
    spread, mean : numpy.ndarray
        Of one shape, in the units of the stain.
    low, high : float
        Range of the stain, from its background to its bright nuclei.
    from_low : bool
        Whether brightness is counted from the low end; of others, such as Hounsfield units, the
        spread is told relative to the whole range.
    """

    def __init__(
        self,
        spread: np.ndarray,
        mean: np.ndarray,
        low: float,
        high: float,
        from_low: bool = True,
    ) -> None:
        self._spread, self._mean, self._from_low = spread, mean, from_low
        self._low, self._floor = low, (_DIM if from_low else 1.0) * (high - low)
        self.shape, self.ndim, self.dtype = spread.shape, spread.ndim, np.dtype(np.float32)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return a part: 0 where all samples agree, 1 where they differ by all there is."""
        if not self._from_low:
            return np.asarray(self._spread[key], np.float32) / self._floor
        bright = np.maximum(np.asarray(self._mean[key], np.float32) - self._low, self._floor)
        return np.asarray(self._spread[key], np.float32) / bright

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the whole."""
        return self[...].astype(dtype or self.dtype)
