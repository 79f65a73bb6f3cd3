"""Volumes that are labels already: how they are told from images."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..events import UserError
from ..volumes import Volume

_SAYS_LABELS = re.compile(r"(?<![a-z])(labels?|masks?|instances?|segmentation)(?![a-z])", re.I)


def looks_like_labels(volume: Volume) -> bool:
    """Tell whether a volume says of itself that it holds labels.

    It does when its voxels are integers and its metadata, its name, its file or the folder of its
    file say so in a word of their own: label, mask, instance or segmentation. The values alone
    are never evidence: a dim 8-bit image holds few different numbers too.

    Parameters
    ----------
    volume : Volume
        Any volume.
    """
    if volume.dtype.kind not in "iu":
        return False
    if volume.metadata.get("labels") is True or volume.metadata.get("unit") == "label":
        return True
    places = [volume.name]
    if volume.source is not None:
        path = Path(volume.source)
        places += [path.name, path.parent.name]
    return any(_SAYS_LABELS.search(place.replace("_", " ")) for place in places)


def labels_of(volume: Volume) -> Volume:
    """Return a label volume as whole numbers.

    Parameters
    ----------
    volume : Volume
        One stack; 0 is background, every other value one nucleus. It may be empty.

    Returns
    -------
    Volume
        The same, its data in memory as uint32.

    Raises
    ------
    UserError
        If it is no stack of whole, non-negative numbers.
    """
    stack = volume.select()
    name = volume.source or volume.name
    if stack.axes != "zyx":
        raise UserError(f"{name} has axes {stack.axes}; labels must be one stack of planes (zyx).")
    data = stack.numpy()
    whole = data.dtype.kind in "biu" or (data.dtype.kind == "f" and bool((data % 1 == 0).all()))
    if not whole or (data.size and not 0 <= data.min() <= data.max() < 2**32):
        raise UserError(
            f"{name} holds no labels: they are whole numbers, 0 for background and one for each "
            "nucleus."
        )
    return stack.replace(data=data.astype(np.uint32, copy=False))
