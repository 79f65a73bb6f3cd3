"""What is known about a specimen: its volumes and a table of its nuclei."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..volumes import Spacing, Volume
from .cells import Body
from .grid import Array


@dataclass(frozen=True)
class Nucleus:
    """The truth about one nucleus.

    Parameters
    ----------
    id : int
        Its value in the labels.
    kind : str
        "interphase", "mitotic" or "apoptotic"; "real" in a semi-synthetic specimen.
    centre : tuple of float
        Centroid (z, y, x) in µm of the part in the field of view.
    volume : float
        Volume in µm³ of that part.
    depth : float
        Depth of the centroid below the surface in µm.
    brightness : float
        Dye relative to the median nucleus.
    contrast : float
        Refractive index against the cytoplasm.
    signal : float
        Mean DAPI above the background: photons per voxel, or counts of a real image.
    """

    id: int
    kind: str
    centre: tuple[float, float, float]
    volume: float
    depth: float
    brightness: float
    contrast: float
    signal: float


@dataclass(frozen=True)
class Specimen:
    """A phase stack, its DAPI, and the truth behind both.

    Parameters
    ----------
    qpi : Volume
        Phase stack, float32; its unit is in `metadata["unit"]`.
    dapi : Volume
        One exposure in counts, uint16; a real image as it came.
    labels : Volume
        Nuclei, uint16 (uint32 beyond 65535), 0 outside.
    refractive_index : Volume
        float32.
    photons : Volume, optional
        Mean number of DAPI photons per voxel, float32: the image without noise, which nobody
        knows of a real one.
    nuclei : tuple of Nucleus
        The truth table.
    """

    qpi: Volume
    dapi: Volume
    labels: Volume
    refractive_index: Volume
    photons: Volume | None
    nuclei: tuple[Nucleus, ...]


def nucleus_width(labels: Array) -> float:
    """Return the median width of nuclei in voxels in plane; NaN if there are none.

    The width of a nucleus is the diameter of the disc that has the area of its largest cut along
    z. Nuclei that touch the border in plane count only where there are no others.

    Parameters
    ----------
    labels : ndarray
        Nuclei (z, y, x), 0 outside.
    """
    count = int(labels.max()) + 1
    areas = np.stack([np.bincount(plane.ravel(), minlength=count) for plane in labels]).max(0)
    cut = np.zeros(count, bool)
    for side in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        cut[side.ravel()] = True
    there = areas > 0
    there[0] = False
    whole = there & ~cut
    widths = 2 * np.sqrt(areas[whole if whole.any() else there] / np.pi)
    return float(np.median(widths)) if widths.size else float("nan")


def table_of_nuclei(
    labels: Array, bodies: list[Body], dapi: Array, background: float, spacing: Spacing
) -> tuple[Nucleus, ...]:
    """Return the truth about each nucleus.

    Parameters
    ----------
    labels : ndarray
        1 + position in `bodies`, 0 outside.
    bodies : list of Body
        The body of each label.
    dapi : ndarray
        DAPI, the same shape.
    background : float
        Value of `dapi` where there is no dye.
    spacing : tuple of float
        Voxel size (z, y, x) in µm.
    """
    ids = np.arange(1, len(bodies) + 1)
    sizes = np.bincount(labels.ravel(), minlength=len(bodies) + 1)[1:]
    centres = ndimage.center_of_mass(labels > 0, labels, ids)
    signals = ndimage.mean(dapi, labels, ids)
    voxel = float(np.prod(spacing))
    nuclei = []
    for number, body, size, centre, mean in zip(ids, bodies, sizes, centres, signals, strict=True):
        z, y, x = (float((c + 0.5) * s) for c, s in zip(centre, spacing, strict=True))
        nuclei.append(
            Nucleus(
                id=int(number),
                kind=body.kind,
                centre=(z, y, x),
                volume=float(size * voxel),
                depth=z,
                brightness=body.brightness,
                contrast=body.contrast,
                signal=float(mean - background),
            )
        )
    return tuple(nuclei)
