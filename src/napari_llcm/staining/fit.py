"""How a stack fits what a model was trained on: voxel size, contrast, noise."""

from __future__ import annotations

from collections.abc import Sequence

from ..events import Notice, UserError
from ..models.info import ModelInfo
from ..models.nucleus_width import matched_spacing
from ..tasks import Channel
from ..tasks.normalise import Scaling, noise_level
from ..volumes import NoData, Volume

_SAME = 0.05  # spacings that differ by less are the same
_STRANGE, _ABSURD = 2.0, 10.0
_FEW_LEVELS = 40  # steps of rounding are then 1/10 of the training stacks' standard width
_NOISY = 2.0  # among simulated training stacks of all difficulties noise differs by a third
_FROM_NOISE = {  # what to expect, by what judges the task
    "nuclei": "missed and made-up nuclei; average more exposures, or fine-tune the model.",
    "restoration": "that some of it is taken for detail; fine-tune the model on such stacks.",
}


def spacing_ratio(
    volume: Volume, info: ModelInfo, width: float | None = None
) -> tuple[tuple[float, float, float], list[Notice]]:
    """Return input voxels for each voxel of the model's grid, and what the user should know.

    Parameters
    ----------
    volume : Volume
        Axes "zyx".
    info : ModelInfo
        The model.
    width : float, optional
        Of the volume's nuclei, in µm; in pixels where it has no spacing.

    Raises
    ------
    UserError
        If the volume's spacing is so far from the model's that the stain would be fantasy, or the
        width fits neither the volume nor the model.
    """
    planes = info.task.planes
    if width is not None and planes > 1:
        raise UserError(
            f"{info.name} makes finer slices, for which no nucleus width is needed: leave it out."
        )
    if width is not None:
        return _width_ratio(volume, info, width)
    same = (1 / planes, 1.0, 1.0)
    if info.spacing is None:
        return same, []
    model = _text((info.spacing[0] * planes, *info.spacing[1:]))
    if volume.spacing is None:
        return same, [
            Notice(
                text=f"{volume.name} does not tell its voxel size; the model's {model} is assumed. "
                "Give its own if it differs."
            )
        ]
    z, y, x = (m / v for m, v in zip(info.spacing, volume.spacing, strict=True))
    ratio = (planes * z, y, x)
    worst = max(max(r, 1 / r) for r in ratio)
    own = _text(volume.spacing)
    if worst > _ABSURD:
        raise UserError(
            f"{volume.name} has voxels of {own}, the model was trained on {model}: correct the "
            "voxel size, or choose another model."
        )
    if worst <= 1 + _SAME:
        return same, []
    if planes > 1:  # so many planes for each, however far they lie apart
        z, y, x = _where_it_differs((1.0, y, x))
        text = f"{volume.name} has voxels of {own}; the model knows {model}: look twice."
        return (1 / planes, y, x), [Notice(text=text)]
    notices = [
        Notice(
            text=f"{volume.name} has voxels of {own}; it is resampled to the model's {model}, "
            "and the result is brought back.",
            warning=False,
        )
    ]
    if worst > _STRANGE:
        far = f"The voxels of {volume.name} differ {worst:.1f}-fold from those that the model "
        notices.append(Notice(text=far + "was trained on: look twice at the result."))
    return _where_it_differs(ratio), notices


def _width_ratio(
    volume: Volume, info: ModelInfo, width: float
) -> tuple[tuple[float, float, float], list[Notice]]:
    """Return the ratio that makes nuclei as wide as those that the model knows.

    Raises
    ------
    UserError
        As `spacing_ratio`.
    """
    own, target = matched_spacing(volume, info, width)
    assert own is not None
    assert target is not None
    ratio = tuple(t / o for t, o in zip(target, own, strict=True))
    told = f"{width:g} µm" if volume.spacing is not None else f"{width:g} pixels"
    text = f"The nuclei of {volume.name} are taken to be {told} wide: "
    finest = min(ratio)  # detail that the stack does not have cannot be made up for
    if finest < 1 / _ABSURD:
        raise UserError(
            f"{text}its voxels of {_text(own)} are then too coarse for {info.name}: correct the "
            "nucleus width or the voxel size."
        )
    used = _where_it_differs(ratio)
    if used == (1.0, 1.0, 1.0):
        text += "as wide as those that the model knows."
    elif volume.spacing is None:
        text += f"each plane is resampled {used[2]:.2g} to 1, and the result is brought back."
    else:
        text += f"it is resampled to voxels of {_text(target)}, and the result is brought back."
    if volume.spacing is None:
        text += " Its planes are taken as they are, as its file does not tell how far apart they "
        text += f"lie: {info.name} knows steps of {target[0]:g} µm."
    notices = [Notice(text=text, warning=False)]
    if finest < 1 / _STRANGE:
        coarse = f"The voxels of {volume.name} are {1 / finest:.1f} times as coarse, for its "
        notices.append(Notice(text=coarse + "nuclei, as those that the model knows: look twice."))
    return used, notices


def _where_it_differs(ratio: Sequence[float]) -> tuple[float, float, float]:
    """Return the ratio with 1 for axes that agree, which are left alone."""
    z, y, x = (1.0 if max(r, 1 / r) <= 1 + _SAME else r for r in ratio)
    return (z, y, x)


def contrast_notices(
    volume: Volume,
    scaling: Scaling,
    info: ModelInfo,
    no_data: NoData | None = None,
    channel: Channel | None = None,
) -> list[str]:
    """Return notices if contrast or noise are far from those of the training volumes.

    Integers are counts of a unit that no file tells: 16-bit phase differs from the training
    stacks' radians by any factor, which scaling takes away. What scaling cannot bring back is
    contrast that was rounded off.

    Parameters
    ----------
    volume : Volume
        Axes "zyx".
    scaling : Scaling
        Its own.
    info : ModelInfo
        The model.
    no_data : NoData, optional
        Which voxels hold no data.
    channel : Channel, optional
        Which input it is; the first if None.
    """
    notices, first = [], info.task.inputs[0]
    channel = first if channel is None else channel
    if volume.dtype.kind in "bui":
        dark, bright = (channel.intensity.undo(v, scaling) for v in channel.intensity.shown)
        levels = round(float(bright - dark))
        if levels < _FEW_LEVELS:
            notices.append(
                f"The contrast of {volume.name} spans {levels + 1} grey levels, so that detail was "
                "rounded off: expose it longer, or export it again with 16 or 32 bits."
            )
    elif (known := info.scalings.get(channel.name)) is not None:
        ratio = (scaling.high - scaling.low) / (known.high - known.low)
        if not 1 / _ABSURD < ratio < _ABSURD:
            notices.append(
                f"The contrast of {volume.name} is {ratio:.2g} times that of the training stacks; "
                "it is scaled to match. Make sure that it is the kind of image that the model was "
                "trained on."
            )
    if info.input_noise and channel == first:  # of which alone it is known
        ratio = noise_level(volume.data, scaling, no_data) / info.input_noise
        if ratio > _NOISY:
            notices.append(
                f"{volume.name} is {ratio:.1f} times as noisy as the training stacks: expect "
                + _FROM_NOISE[info.task.judge]
            )
    return notices


def _text(spacing: Sequence[float]) -> str:
    return " × ".join(f"{s:.0f}" if s >= 1000 else f"{s:.3g}" for s in spacing) + " µm"
