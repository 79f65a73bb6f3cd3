"""A flat truth: one nuclear plane, or a projection, beside a stack of planes.

Most laboratories have no DAPI volume for a label-free stack. A flat image is a volume of one plane
that says of itself that it is flat; what takes it compares it with a projection of the stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

import numpy as np

from ..events import UserError
from .grids import in_words, on_one_grid
from .no_data_search import find_no_data
from .volume import Volume, planes

Projection = Literal["max", "mean", "focus"]
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)
IN_WORDS: dict[str, str] = {
    "max": "maximum projection",
    "mean": "mean projection",
    "focus": "plane of best focus",
}
_FLAT, _PLANE = "flat", "plane"  # in the metadata
_SMOOTH = 1.0  # pixels, so that noise is not taken for sharpness


def is_flat(volume: Volume) -> bool:
    """Tell whether a volume is one plane that stands for a stack; see `as_flat`, `project`."""
    return bool(volume.metadata.get(_FLAT))


def holds_one_plane(volume: Volume) -> bool:
    """Tell whether a volume is an image of one plane: axes "yx", or "zyx" with one entry of z."""
    return volume.axes == "yx" or (volume.axes == "zyx" and volume.shape[0] == 1)


def as_flat(volume: Volume) -> Volume:
    """Return an image of one plane as a flat volume: axes "zyx", shape (1, y, x).

    Raises
    ------
    UserError
        If it has several planes.
    """
    if not holds_one_plane(volume):
        raise UserError(
            f"{volume.where} has axes {volume.axes} and several planes: it is no plane."
        )
    data = volume.data if volume.axes == "zyx" else volume.data[None]
    return volume.replace(data=data, axes="zyx", metadata={**volume.metadata, _FLAT: True})


def as_plane(flat: Volume) -> Volume:
    """Return a flat volume as an image of two axes, "yx"."""
    return flat.replace(data=flat.data[0], axes="yx")


def flatness(volume: Volume) -> dict[str, Any]:
    """Return the part of the metadata that tells that a volume is flat, and of what."""
    names = (_FLAT, _PLANE, "projection")
    return {name: volume.metadata[name] for name in names if name in volume.metadata}


def plane_of(volume: Volume) -> int | None:
    """Return which plane of its stack a flat volume is; None where it is of all, or not known."""
    plane = volume.metadata.get(_PLANE)
    return None if plane is None else int(plane)


def check_beside(stack: Volume, plane: Volume) -> None:
    """Refuse a flat truth that does not fit the planes of its stack.

    Parameters
    ----------
    stack : Volume
        Axes "zyx", of several planes.
    plane : Volume
        Axes "yx", or "zyx" with one plane.

    Raises
    ------
    UserError
        If the stack is none, or its planes are of another size.
    """
    if stack.axes != "zyx" or stack.shape[0] < 2:
        raise UserError(
            f"{stack.where} is one plane, as {plane.where} is: a flat truth is compared with a "
            "stack of planes; give the stack."
        )
    if stack.shape[1:] != plane.shape[-2:]:
        raise UserError(
            f"The planes of {stack.where} have {in_words(stack.shape[1:])} pixels, but "
            f"{plane.where} has {in_words(plane.shape[-2:])}: choose images of the same field and "
            "of one size."
        )


def beside(stack: Volume, plane: Volume) -> tuple[Volume, Volume]:
    """Return a stack, and the flat truth of its field with the same voxel size and position.

    Parameters
    ----------
    stack : Volume
        Axes "zyx", of several planes.
    plane : Volume
        Axes "yx", or "zyx" with one plane.

    Returns
    -------
    tuple of Volume
        The stack, and the flat truth, shape (1, y, x). A plane does not tell how far the planes
        of a stack lie apart: where the stack tells no voxel size, neither has one.

    Raises
    ------
    UserError
        If they do not fit each other.
    """
    check_beside(stack, plane)
    flat = as_flat(plane)
    if stack.spacing is None and flat.spacing is not None:
        flat = flat.replace(spacing=None).noted(
            f"{plane.where} tells the size of its pixels, but {stack.where} not how far its planes "
            "lie apart: neither is used until the spacing (z, y, x) is given in µm."
        )
    elif stack.spacing is not None and flat.spacing is not None:
        flat = flat.replace(
            spacing=(stack.spacing[0], *flat.spacing[1:]),
            origin=(stack.origin[0], *flat.origin[1:]),
        )
    # as deep as the stack, so that both are turned alike where their files say how they lie
    deep = flat.replace(data=np.broadcast_to(np.asarray(flat.data), stack.shape))
    stack, deep = on_one_grid(stack, deep)
    return stack, deep.replace(data=deep.data[:1])


def flattened(
    truth: Volume, stain: Volume, how: Projection, *, labels: bool = False
) -> tuple[Volume, Volume, str]:
    """Return a flat truth and the projection of a stack that it is compared with, on one grid.

    Parameters
    ----------
    truth : Volume
        One plane.
    stain : Volume
        The stack, axes "zyx".
    how : {"max", "mean", "focus"}
        Which projection.
    labels : bool
        Whether the stack holds labels.

    Returns
    -------
    tuple
        Both, of shape (1, y, x), and a sentence that says what is compared.

    Raises
    ------
    UserError
        If they do not fit each other.
    """
    check_beside(stain, truth)
    flat, shown = as_flat(truth), project(stain, how, labels=labels)
    if flat.spacing is not None and shown.spacing is not None:  # a plane's own z is made up
        flat = flat.replace(
            spacing=(shown.spacing[0], *flat.spacing[1:]),
            origin=(shown.origin[0], *flat.origin[1:]),
        )
    flat, shown = on_one_grid(flat, shown)
    flat = flat.replace(metadata={**flat.metadata, **flatness(shown)})
    text = (
        f"{truth.name} is one plane: its nuclei are compared in 2D with those of the "
        f"{IN_WORDS[shown.metadata['projection']]} of {stain.name}, in which nuclei that lie above "
        "each other are one."
    )
    return flat, shown, text


def project(volume: Volume, how: Projection = "max", *, labels: bool = False) -> Volume:
    """Return a projection of a stack along z as a flat volume.

    Parameters
    ----------
    volume : Volume
        Axes "zyx"; read plane by plane. Voxels without data take no part.
    how : {"max", "mean", "focus"}
        The brightest voxel of each column, the mean of each, or the plane of best focus.
    labels : bool
        Whether it holds labels, of which there is no mean and no focus: of each column the largest
        is taken.

    Returns
    -------
    Volume
        Shape (1, y, x); float32, NaN where no plane holds data, but of labels their own type.

    Raises
    ------
    UserError
        If it is no stack.
    """
    if volume.axes != "zyx":
        raise UserError(
            f"{volume.where} has axes {volume.axes}: choose one channel and time point."
        )
    made: dict[str, Any] = {_FLAT: True, "projection": how}
    if labels:
        made["projection"] = "max"
        data = volume.numpy().max(0)
    elif how == "focus":
        made[_PLANE] = sharpest(volume)
        data = next(p for z, p in enumerate(_planes_with_nan(volume)) if z == made[_PLANE])
    elif how == "max":
        data = np.full(volume.shape[1:], np.nan, np.float32)
        for plane in _planes_with_nan(volume):
            np.fmax(data, plane, out=data)
    else:
        data, count = np.zeros((2, *volume.shape[1:]), np.float32)
        for plane in _planes_with_nan(volume):
            known = np.isfinite(plane)
            data[known] += plane[known]
            count += known
        data = np.divide(data, count, out=np.full_like(data, np.nan), where=count > 0)
    metadata = {**volume.metadata, **made}
    words = IN_WORDS[made["projection"]]
    return volume.replace(data=data[None], metadata=metadata, name=f"{volume.name} ({words})")


def sharpest(volume: Volume) -> int:
    """Return the plane of best focus: that of the largest mean squared gradient.

    The measure of Tenenbaum (1970); of a stain, which has no contrast of its own out of focus.
    """
    from scipy.ndimage import gaussian_filter

    best, chosen = -1.0, 0
    for z, plane in enumerate(_planes_with_nan(volume)):
        known = np.isfinite(plane)
        if not known.any():
            continue
        smooth = gaussian_filter(np.where(known, plane, plane[known].mean()), _SMOOTH)
        power = float(sum(np.square(g).mean() for g in np.gradient(smooth)))
        if power > best:
            best, chosen = power, z
    return chosen


def _planes_with_nan(volume: Volume) -> Iterator[np.ndarray]:
    """Yield the planes (y, x), float32, NaN where they hold no data."""
    no_data = find_no_data(volume)
    for z, plane in enumerate(planes(volume)):
        values = np.array(plane, np.float32)
        values[no_data.of_plane(plane, z)] = np.nan
        yield values
