"""Fields whose DAPI is one plane, as most laboratories have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_llcm.specimen import Specimen
from napari_llcm.volumes import Volume, write
from napari_llcm.volumes.flat import project


def plane_of(stack: Volume, how: Any = "max", by: tuple[int, int] = (0, 0)) -> Volume:
    """Return the projection of a stack as a camera's image, moved by some pixels."""
    data = np.roll(project(stack, how).numpy()[0], by, (0, 1)).astype(np.uint16)
    return Volume(data, stack.spacing, axes="yx", name="plane")


def flat_folder(folder: Path, *specimens: Specimen, by: tuple[int, int] = (0, 0)) -> Path:
    for number, one in enumerate(specimens):
        write(folder / "qpi" / f"field{number}.ome.tif", one.qpi)
        write(folder / "dapi" / f"field{number}.ome.tif", plane_of(one.dapi, by=by))
    return folder
