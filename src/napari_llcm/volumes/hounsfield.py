"""Hounsfield units in a window, as networks take them and radiologists look at them."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ..events import UserError
from .volume import Volume

AIR = -500.0  # HU; below it is no tissue, but lung and what is around the patient


class HounsfieldWindow(BaseModel):
    """A range of HU that is mapped to −1 … 1; what lies outside goes to the nearer end."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    centre: float = Field(default=40.0, description="Middle of the window, HU.")
    width: float = Field(default=400.0, gt=0, description="Width of the window, HU.")

    def apply(self, hu: Any) -> np.ndarray:
        """Return HU as −1 … 1, float32; NaN stays NaN."""
        scaled = (np.asarray(hu, np.float32) - self.centre) / (self.width / 2)
        return np.asarray(np.clip(scaled, -1, 1), np.float32)

    def undo(self, x: Any) -> np.ndarray:
        """Return HU, float32, of −1 … 1; what was outside of the window cannot come back."""
        return np.asarray(np.asarray(x, np.float32) * (self.width / 2) + self.centre, np.float32)


def is_hounsfield(volume: Volume) -> bool:
    """Tell whether a volume says that its values are HU."""
    return volume.metadata.get("unit") == "HU"


def body_mask(hu: np.ndarray) -> np.ndarray:
    """Return where the patient is, lungs and all that tissue encloses in a plane with it.

    Parameters
    ----------
    hu : ndarray
        (z, y, x).

    Raises
    ------
    UserError
        If nothing is as dense as tissue.
    """
    from scipy import ndimage

    dense = ndimage.binary_opening(np.nan_to_num(hu, nan=-1e4) > AIR, np.ones((1, 3, 3)))
    pieces, count = ndimage.label(dense)
    if not count:
        raise UserError(f"Nothing is denser than {AIR:g} HU: this is no CT of a body.")
    body = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1  # not the table
    return np.stack([ndimage.binary_fill_holes(plane) for plane in body])
