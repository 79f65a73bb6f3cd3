"""How the intensities of a channel become what the networks see, and back: one class a kind."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ..volumes import NoData
from .normalise import HOT, LINEAR, Scaling, dapi_scaling, qpi_scaling, stabilise, unstabilise

_FAR = "are brighter or darker than all others by far (hot pixels, or a bright corner)"
_BEYOND = 0.25  # slope beyond a window, where it is 1 within
_CONFIG = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Contrast(BaseModel):
    """Intensities without a unit: the median to 0, the 1-99 % range to width 4."""

    model_config = _CONFIG

    kind: Literal["contrast"] = "contrast"
    shown: ClassVar[tuple[float, float]] = (-2.0, 2.0)  # normalised, from black to white
    from_low: ClassVar[bool] = False  # whether the low end is where there is nothing
    hot: ClassVar[bool] = True  # whether a voxel far beyond the limits is a defect of the camera
    unit: ClassVar[str | None] = None  # of volumes that are normalised so, where it is one

    def measure(self, data: Any, no_data: NoData | None = None) -> Scaling:
        """Return the scaling of a volume (z, y, x)."""
        return qpi_scaling(data, no_data)

    def apply(self, x: Any, scaling: Scaling) -> np.ndarray:
        """Return what the networks see, float32."""
        y = np.asarray(x, np.float32) - np.float32(scaling.low)
        y /= np.float32(scaling.high - scaling.low)  # in place: fresh memory takes longer
        return np.clip(y, -HOT, HOT, out=y)

    def undo(self, y: Any, scaling: Scaling) -> np.ndarray:
        """Return intensities, float32."""
        return np.asarray(scaling.undo(np.asarray(y, np.float32)), np.float32)

    def mixable(self, y: np.ndarray) -> np.ndarray:
        """Return normalised values as they may be averaged: as they are."""
        return y

    def mixed(self, x: np.ndarray) -> np.ndarray:
        """Return normalised values of averages: the inverse of `mixable`."""
        return x

    def limits(self, scaling: Scaling) -> tuple[float, float]:
        """Return the intensities beyond which a voxel is clipped."""
        return scaling.undo(-HOT), scaling.undo(HOT)

    def clips(self, scaling: Scaling) -> str:
        """Return in words which voxels are clipped."""
        return _FAR


class Counts(BaseModel):
    """Light that was counted: background to 0, the brightest to 1, then a square root.

    See `normalise` for the root, which the scaling may leave out.
    """

    model_config = _CONFIG

    kind: Literal["counts"] = "counts"
    shown: ClassVar[tuple[float, float]] = (0.0, 1.0)
    from_low: ClassVar[bool] = True
    hot: ClassVar[bool] = True
    unit: ClassVar[str | None] = None

    def measure(self, data: Any, no_data: NoData | None = None) -> Scaling:
        """Return the scaling of a volume (z, y, x)."""
        return dapi_scaling(data, no_data)

    def apply(self, x: Any, scaling: Scaling) -> np.ndarray:
        """Return what the networks see, float32."""
        return stabilise(x, scaling)

    def undo(self, y: Any, scaling: Scaling) -> np.ndarray:
        """Return intensities, float32; never below 0."""
        return unstabilise(y, scaling)

    def mixable(self, y: np.ndarray) -> np.ndarray:
        """Return normalised values as they may be averaged: light adds up, its root does not."""
        return np.asarray(np.sign(y) * ((np.abs(y) + LINEAR**0.5) ** 2 - LINEAR), np.float32)

    def mixed(self, x: np.ndarray) -> np.ndarray:
        """Return normalised values of averages: the inverse of `mixable`."""
        return stabilise(x, Scaling(low=0, high=1))

    def limits(self, scaling: Scaling) -> tuple[float, float]:
        """Return the intensities beyond which a voxel is clipped: HOT, in the networks' unit."""
        y = (HOT + 1) ** 2
        return scaling.undo(-y), scaling.undo(y)

    def clips(self, scaling: Scaling) -> str:
        """Return in words which voxels are clipped."""
        return _FAR


class Window(BaseModel):
    """Intensities with a unit, such as Hounsfield units: a fixed window to -1 … 1.

    Beyond the window they go on with a quarter of the slope, so that nothing is lost: a CT whose
    lungs came back as the window's end would be wrong by 700 HU.

    Parameters
    ----------
    centre, width : float
        Of the window, in the unit of the volumes.
    unit : str
        That unit, which results tell.
    """

    model_config = _CONFIG

    kind: Literal["window"] = "window"
    shown: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    from_low: ClassVar[bool] = False
    hot: ClassVar[bool] = False
    centre: float = 40.0
    width: float = Field(default=400.0, gt=0)
    unit: str = Field(default="HU", max_length=40)

    def measure(self, data: Any, no_data: NoData | None = None) -> Scaling:
        """Return the scaling, which is the same for every volume."""
        half = self.width / 2
        return Scaling(low=self.centre - half, high=self.centre + half, root=False)

    def apply(self, x: Any, scaling: Scaling) -> np.ndarray:
        """Return what the networks see, float32."""
        y = 2 * scaling.apply(np.asarray(x, np.float32)) - 1
        within = np.clip(y, -1, 1)
        return np.clip(within + _BEYOND * (y - within), -HOT, HOT).astype(np.float32)

    def mixable(self, y: np.ndarray) -> np.ndarray:
        """Return normalised values as they may be averaged: as they are."""
        return y

    def mixed(self, x: np.ndarray) -> np.ndarray:
        """Return normalised values of averages: the inverse of `mixable`."""
        return x

    def undo(self, y: Any, scaling: Scaling) -> np.ndarray:
        """Return intensities, float32."""
        y = np.asarray(y, np.float32)
        within = np.clip(y, -1, 1)
        return np.asarray(scaling.undo((within + (y - within) / _BEYOND + 1) / 2), np.float32)

    def limits(self, scaling: Scaling) -> tuple[float, float]:
        """Return the intensities beyond which a voxel is clipped."""
        return float(self.undo(-HOT, scaling)), float(self.undo(HOT, scaling))

    def clips(self, scaling: Scaling) -> str:
        """Return in words which voxels are clipped."""
        low, high = self.limits(scaling)
        return f"are outside of {low:g} to {high:g}"


Intensity = Annotated[Contrast | Counts | Window, Field(discriminator="kind")]
