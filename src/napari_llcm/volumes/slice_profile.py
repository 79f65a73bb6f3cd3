"""How much each depth adds to a slice: the slice sensitivity profile.

A slice is no sample of one plane: a scanner or a microscope adds up what lies within its thickness.
A profile is given by its integral C(d) over the distance d from the middle of the slice, in steps
between slices, so that the share of a thin plane from a to b is exactly C(b) − C(a).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from ..events import UserError
from .read_errors import read_errors

Integral = Callable[[np.ndarray], np.ndarray]
ProfileName = Literal["slab", "gaussian"]
_FWHM = 2 * np.sqrt(2 * np.log(2))  # of a Gaussian, in its σ
_FINE = 2001  # points of a measured profile's integral


def profile_integral(profile: str, thickness: float | None, step: float | None) -> Integral:
    """Return the integral of a slice profile.

    Parameters
    ----------
    profile : str
        "slab" (all depths alike), "gaussian", or a CSV file with a measured one: distance in µm
        and sensitivity in each line.
    thickness : float, optional
        Width, of a Gaussian at half its height, in steps between slices: below 1 leaves gaps,
        above 1 overlaps. 1 if none; a measured profile has its own.
    step : float, optional
        Distance between slices in µm, which a measured profile needs.

    Returns
    -------
    callable
        Distances from the middle of a slice, in steps, to the share of the slice below them.

    Raises
    ------
    UserError
        If there is no such profile, or the file holds none.
    """
    width = 1.0 if thickness is None else thickness
    if profile == "slab":
        return lambda d: np.clip(d / width + 0.5, 0.0, 1.0)
    if profile == "gaussian":
        from scipy.special import ndtr

        return lambda d: ndtr(d * _FWHM / width)
    path = Path(profile).expanduser()
    if not path.is_file():
        raise UserError(
            f"There is no slice profile {profile}: choose slab, gaussian, or a CSV file with "
            "distance in µm and sensitivity in each line."
        )
    if thickness is not None:
        raise UserError(f"{path} tells how thick slices are: leave out the thickness.")
    if step is None:
        raise UserError(f"To use {path}, whose distances are in µm, give the voxel size (spacing).")
    return _measured(path, step)


def _measured(path: Path, step: float) -> Integral:
    """Return the integral of a profile in a file, its centre of mass in the middle of the slice."""
    with read_errors(path, "is no slice profile: distance in µm and sensitivity in each line"):
        at, height = np.loadtxt(path, delimiter=",", comments="#", ndmin=2).T
    order = np.argsort(at)
    at, height = at[order], height[order]
    if len(at) < 2 or (height < 0).any() or not np.isfinite([at, height]).all():
        raise UserError(f"{path} is no slice profile: it needs two lines and no number below 0.")
    fine = np.linspace(at[0], at[-1], _FINE)
    weight = np.interp(fine, at, height)
    if not weight.sum() > 0:
        raise UserError(f"{path} is no slice profile: its sensitivity is 0 throughout.")
    fine = (fine - np.average(fine, weights=weight)) / step
    total = np.concatenate([[0.0], np.cumsum((weight[1:] + weight[:-1]) / 2)])
    return lambda d: np.interp(d, fine, total / total[-1])
