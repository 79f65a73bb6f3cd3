"""The voxel size, and the width of nuclei, that a new model is trained at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..events import UserError
from ..models.info import ModelInfo
from ..models.nucleus_width import matched_spacing
from ..volumes import Pair, Spacing
from .pairs import common_spacing


def model_grid(
    pairs: Sequence[Pair], start: ModelInfo | None, width: float | None
) -> tuple[list[Pair], Spacing | None, float | None]:
    """Return the pairs as they shall be read, and the voxel size and nucleus width of a new model.

    Parameters
    ----------
    pairs : sequence of Pair
        What it is trained and validated on.
    start : ModelInfo, optional
        The model that it starts from.
    width : float, optional
        Of the pairs' nuclei in µm; in pixels where no pair tells its voxel size.

    Returns
    -------
    pairs : list of Pair
        Those given; with the width in pixels, read with the voxel size that follows from it.
    spacing : tuple of float or None
        (z, y, x) in µm: that of the start, scaled so that the nuclei are as wide in voxels as
        those that the start knows; the median of the pairs where there is no start.
    nucleus_um : float or None
        The width of the nuclei at that voxel size; None where it was not given.

    Raises
    ------
    UserError
        If the width fits neither the pairs nor the start, or would be in µm for some of the pairs
        and in pixels for others.
    """
    opened = [pair.read(flat=True)[0] for pair in pairs]
    if width is None:
        known = start.spacing if start is not None else None
        return list(pairs), known or common_spacing(opened), None
    silent = [pair.name for pair, one in zip(pairs, opened, strict=True) if one.spacing is None]
    if silent and (start is None or len(silent) < len(pairs)):
        raise UserError(
            f"A nucleus width in µm needs the voxel size of every pair, but {silent[0]} does not "
            "tell its own: give the spacing."
        )
    if start is None:
        return list(pairs), common_spacing(opened), width
    matched = [matched_spacing(one, start, width) for one in opened]
    if not matched:
        return [], start.spacing, start.nucleus_um
    own, target = matched[0]
    if not silent:
        return list(pairs), target, width
    read = [replace(p, reading=p.reading.model_copy(update={"spacing": own})) for p in pairs]
    return read, target, start.nucleus_um
