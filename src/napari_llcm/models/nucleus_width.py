"""How wide nuclei are: the length that brings a stack to the size that a model has learned.

A network finds what is as wide, in voxels, as what it was trained on. Cellpose rescales an image by
its `diameter` for the same reason (Stringer et al. 2021).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from ..events import UserError
from ..volumes import Spacing, Volume

if TYPE_CHECKING:
    from .info import ModelInfo

# Narrower nuclei show no texture that could tell them from other things.
_NARROWEST = 3.0  # pixels


class NucleusWidth(BaseModel):
    """How wide the nuclei of a stack are, where a user knows or has estimated it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    nucleus_um: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        title="Nucleus width",
        description="How wide a typical nucleus of the label-free stack is, in µm (in pixels where "
        "the voxel size is unknown; planes are then taken as they are along z): the stack is "
        "resampled so that nuclei are as wide as those that the model knows. If not given, voxel "
        "sizes alone are matched.",
    )


def matched_spacing(
    volume: Volume, info: ModelInfo, width: float | None
) -> tuple[Spacing | None, Spacing | None]:
    """Return the voxel size of a stack, and the one that shows its nuclei as the model knows them.

    Parameters
    ----------
    volume : Volume
        Axes "zyx".
    info : ModelInfo
        The model, whose nuclei are `nucleus_um` wide at its `spacing`.
    width : float, optional
        Of the stack's nuclei, in µm; in pixels where the stack has no spacing.

    Returns
    -------
    own : tuple of float or None
        Voxel size (z, y, x) in µm of the stack. Where its file tells none, but the width is known
        in pixels: in the plane the one by which its nuclei were as wide as the model's. A width
        says nothing of z: planes are taken to lie as far apart as the model's.
    target : tuple of float or None
        Voxel size of the grid that the networks shall see: the model's, times the width over the
        width of the model's nuclei.

    Raises
    ------
    UserError
        If the model does not tell how wide its nuclei are, or no nucleus of this stack can be so
        wide.
    """
    if width is None:
        return volume.spacing, info.spacing
    if info.nucleus_um is None or info.spacing is None:
        raise UserError(
            f"Model {info.name} does not tell how wide the nuclei are that it knows: leave the "
            "nucleus width out, or choose another model."
        )
    pixels = width if volume.spacing is None else width / in_plane(volume.spacing)
    unit = "pixels" if volume.spacing is None else "µm"
    if pixels < _NARROWEST:
        raise UserError(
            f"Nuclei {width:g} {unit} wide are {pixels:.1f} pixels wide in {volume.name}, too few "
            "to be told from anything else: correct the nucleus width or the voxel size."
        )
    if pixels > max(volume.shape[-2:]):
        raise UserError(
            f"Nuclei {width:g} {unit} wide are wider than the planes of {volume.name}: correct the "
            "nucleus width or the voxel size."
        )
    if volume.spacing is None:
        z, y, x = info.spacing
        pixel = info.nucleus_um / in_plane(info.spacing) / width  # over the model's
        return (z, y * pixel, x * pixel), info.spacing
    z, y, x = (s * width / info.nucleus_um for s in info.spacing)
    return volume.spacing, (z, y, x)


def seen_spacing(virtual: Volume, info: ModelInfo) -> Spacing | None:
    """Return the voxel size by which a stain's nuclei are as large as those the model knows.

    Parameters
    ----------
    virtual : Volume
        A stain; its metadata tells how its stack was resampled.
    info : ModelInfo
        The model that made it.

    Returns
    -------
    tuple of float or None
        (z, y, x) in µm; None where the nuclei's width was not given: the stack's own holds.
    """
    if virtual.metadata.get("nucleus_um") is None or info.spacing is None:
        return None
    pairs = zip(info.spacing, virtual.metadata["resampled_by"], strict=True)
    z, y, x = (own / ratio for own, ratio in pairs)
    return (z, y, x)


def in_plane(spacing: Spacing) -> float:
    """Return the voxel size in the plane: the side of a square as large as a pixel."""
    return math.sqrt(spacing[1] * spacing[2])
