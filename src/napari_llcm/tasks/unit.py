"""Whether a stack is in the unit that a task takes, such as Hounsfield units."""

from __future__ import annotations

from ..events import UserError
from ..volumes import NoData, Volume
from .normalise import subsample
from .task import Channel

_AIR = -200.0  # HU; somewhere in any CT, around the body or in it, is less


def unit_notices(volume: Volume, channel: Channel, no_data: NoData | None = None) -> list[str]:
    """Return what a user should know of the unit of a stack.

    Parameters
    ----------
    volume : Volume
        Axes "zyx".
    channel : Channel
        What it is to be.
    no_data : NoData, optional
        Which voxels hold no data.

    Raises
    ------
    UserError
        If it says that it is in another unit.
    """
    wanted, told = channel.intensity.unit, volume.metadata.get("unit")
    if wanted is None or told == wanted:
        return []
    if told is not None:
        raise UserError(
            f"{volume.name} is in {told}, but this task takes {wanted}: choose another stack or "
            "another model."
        )
    values = subsample(volume.data, no_data)
    if wanted == "HU" and values.size and float(values.min()) > _AIR:
        return [
            f"{volume.name} does not tell its unit, and holds nothing below {values.min():.4g}, "
            "where air is -1000 HU: it may not be in HU. Do not trust the result if it is not."
        ]
    return []
