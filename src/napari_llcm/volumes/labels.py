"""Volumes that hold labels: how they are told from images, and made ready to be counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from ..events import UserError
from .read_errors import read_errors
from .volume import Volume

LARGEST = 2**20  # labels up to it index arrays; larger ones are numbered anew
SPECK = 0.05
"""Share of the typical nuclear volume below which an object is a speck and is dropped."""
_LOOKED_AT = 3  # planes that decide
_WHERE = (1 / 2, 1 / 4, 3 / 4, *(k / 16 for k in range(1, 16, 2)), 0, 1)  # along z, until so many
_SIDE = 2048  # pixels of a plane that are looked at, along y and x
_FLAT = 0.7  # share of neighbours inside of nuclei that have one label
_SMALLEST = 6  # pixels of the typical region; those of noise have two or three


def labels_told_by(volume: Volume) -> Literal["metadata", "values"] | None:
    """Return what tells that a volume holds labels; None where it is an image.

    A word in its name or path is no evidence: "label-free" is what this field calls its images.
    Its metadata are, where they say it. So are its values: labels are whole numbers, neighbours
    share one, and most regions border on 0. A dim image has few different numbers too, but they
    make regions of few voxels; the grey values of a smooth one border on each other, not on 0.

    Parameters
    ----------
    volume : Volume
        Any volume; a few planes are read.
    """
    if volume.dtype.kind not in "biuf" or "c" in volume.axes:
        return None
    unit = volume.metadata.get("unit")
    if volume.metadata.get("labels") is True or unit == "label":
        return "metadata"
    if unit is not None:
        return None  # counts, radians …
    try:
        with read_errors(volume.source or volume.name):
            return "values" if _has_regions(volume) else None
    except UserError:
        return None  # it cannot be read: the job that reads all of it says so


def looks_like_labels(volume: Volume) -> bool:
    """Tell whether a volume holds labels; see `labels_told_by`."""
    return labels_told_by(volume) is not None


def labels_of(volume: Volume) -> Volume:
    """Return a label volume as whole numbers that can be counted.

    Parameters
    ----------
    volume : Volume
        One stack; 0 (or less) is background, every other value one nucleus. It may be empty. Of a
        mask, which has one value for all nuclei, each separate piece is one.

    Returns
    -------
    Volume
        The same, its data in memory as uint32; what was changed is in its notes.

    Raises
    ------
    UserError
        If it is no stack of whole numbers.
    """
    stack = volume.select()
    name = volume.source or volume.name
    if stack.axes != "zyx":
        raise UserError(f"{name} has axes {stack.axes}; labels must be one stack of planes (zyx).")
    data = stack.numpy()
    if not _are_whole(data):
        raise UserError(
            f"{name} holds no labels: they are whole numbers, 0 for background and one for each "
            "nucleus."
        )
    notes = []
    if data.size and data.min() < 0:
        notes.append(f"{name} holds numbers below 0: they are taken as background.")
        data = np.maximum(data, 0)
    if volume.metadata.get("labels") is not True and _is_noisy(stack):
        notes.append(
            f"{name} is taken as labels, but looks like an image: neighbouring voxels hardly share "
            "a number."
        )
    ids = _in_use(data)
    if ids.size and ids[-1] > LARGEST:
        notes.append(
            f"The labels of {name} go up to {int(ids[-1])}: its {ids.size} nuclei are numbered "
            "anew from 1."
        )
        data = _numbered(data, ids)
    elif 0 < ids.size <= _CLASSES and (pieces := _pieces(data, ids.size)) is not None:
        data, count = pieces
        values = "one number" if ids.size == 1 else f"{ids.size} numbers"
        notes.append(
            f"{name} has {values} for {count} separate pieces, as a mask has: each piece is taken "
            "as one nucleus, so that touching nuclei count as one, and specks are left out."
        )
    elif ids.size == 1:
        notes.append(f"{name} has one number for one piece: it is taken as one nucleus.")
    labels = stack.replace(data=data.astype(np.uint32, copy=False))
    return labels.replace(metadata={**stack.metadata, "labels": True}).noted(*notes)


_CLASSES = 8  # so few numbers may stand for kinds of nuclei
_MANY = 3  # so many pieces to each number are no fragments of one nucleus


def _pieces(data: np.ndarray, numbers: int) -> tuple[np.ndarray, int] | None:
    """Return the connected pieces of a mask, and how many; None where it is no mask."""
    from skimage.measure import label

    pieces = label(data, background=0, connectivity=1)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    large = sizes >= SPECK * sizes.max()
    if large.sum() < (2 if numbers == 1 else _MANY * numbers):
        return None
    large = sizes >= SPECK * np.median(sizes[large])
    number = np.where(large, np.cumsum(large), 0)
    return number[pieces], int(large.sum())


def _are_whole(data: np.ndarray) -> bool:
    """Tell whether all values are whole numbers."""
    if data.dtype.kind not in "biuf":
        return False
    # of NaN and infinity nothing is left but NaN, which is not 0
    return data.dtype.kind != "f" or all(bool((np.mod(part, 1) == 0).all()) for part in data)


def _in_use(data: np.ndarray) -> np.ndarray:
    """Return the labels in use, ascending; plane by plane, as sorting all would take its copy."""
    found = np.unique(np.concatenate([np.unique(plane) for plane in data]))
    return found[found > 0]


def _numbered(data: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return labels counted from 1 in the order of `ids`."""
    every = np.concatenate([np.zeros(1, ids.dtype), ids])
    return np.stack([np.searchsorted(every, plane).astype(np.uint32) for plane in data])


def _has_regions(volume: Volume) -> bool:
    """Tell whether the planes of a volume that hold anything are made of regions."""
    seen = 0
    for plane in _some_planes(volume):
        made_of_regions = _is_of_regions(plane)
        if made_of_regions is False:
            return False
        seen += made_of_regions is True
        if seen == _LOOKED_AT:
            break
    return seen > 0


def _is_of_regions(plane: np.ndarray) -> bool | None:
    """Tell whether a plane is made of regions on 0; None where it is of one value."""
    from skimage.measure import label

    if plane.size == 0 or (plane == plane.flat[0]).all():
        return None
    if not _are_whole(plane) or plane.min() > 0:
        return False
    plane = np.maximum(plane, 0)  # some programs write -1 where there is no nucleus
    if not plane.any():
        return None
    same, both, on_background = _neighbours(plane)
    if both == 0 or same < _FLAT * both:
        return False
    ids = np.unique(plane)[1:]
    if 2 * np.isin(ids, on_background).sum() <= ids.size:
        return False
    sizes = np.bincount(label(plane, background=0, connectivity=1).ravel())[1:]
    return bool(np.median(sizes) >= _SMALLEST)


def _is_noisy(volume: Volume) -> bool:
    """Tell whether neighbours hardly ever share a value, as in an image."""
    same = both = 0
    for number, plane in enumerate(_some_planes(volume)):
        if number == _LOOKED_AT:
            break
        counted = _neighbours(plane)
        same, both = same + counted[0], both + counted[1]
    return same < 0.3 * both


def _neighbours(plane: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Return pairs of neighbours of one label, pairs without background, values beside it."""
    same, both, beside = 0, 0, [np.zeros(0, plane.dtype)]
    for a, b in ((plane[:, :-1], plane[:, 1:]), (plane[:-1], plane[1:])):
        inside = (a > 0) & (b > 0)
        both += int(inside.sum())
        same += int((inside & (a == b)).sum())
        edge = (a > 0) != (b > 0)
        beside.append(np.maximum(a, b)[edge])
    return same, both, np.unique(np.concatenate(beside))


def _some_planes(volume: Volume) -> Iterator[np.ndarray]:
    """Yield planes (y, x), cut to their middle, spread over the stack; the middle one first."""
    *leading, height, width = volume.shape
    cut = [slice(max(0, n // 2 - _SIDE // 2), n // 2 + _SIDE // 2) for n in (height, width)]
    first: list[Any] = [0] * len(leading)
    if "z" not in volume.axes:
        yield np.asarray(volume.data[(*first, *cut)])
        return
    last = leading[-1] - 1
    for z in dict.fromkeys(round(last * share) for share in _WHERE):
        yield np.asarray(volume.data[(*first[:-1], z, *cut)])
