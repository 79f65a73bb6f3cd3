"""Make a phantom: a chest by its seed, scanned in thin planes, and all that is true of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..events import UserError
from ..volumes.units import checked_spacing
from ..volumes.volume import Orientation, Spacing, Volume
from .anatomy import Chest, paint_chest
from .canvas import TISSUES, Canvas
from .scanner import KernelName, check_kernel, scanned
from .vessels import Finding, paint_lungs

Size = tuple[int, int, int]
SIZE: Size = (144, 256, 256)
SPACING: Spacing = (1000.0, 1400.0, 1400.0)  # µm
# rows run to the back and columns to the left of the patient; x and y of NIfTI the other way
ORIENTATION: Orientation = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
_SMALLEST, _LARGEST = 8, 1024  # voxels along an axis
_HU = (-1024, 3071)  # what scanners store


@dataclass(frozen=True)
class Phantom:
    """A simulated CT of a chest and its truth, all on one grid.

    Parameters
    ----------
    thin : Volume
        What the scanner shows, int16, HU.
    clean : Volume
        The same without noise, float32, HU.
    tissue : Volume
        Which tissue most of each voxel is, uint8: index into `TISSUES`.
    findings : tuple of Finding
        Emboli and nodules.
    """

    thin: Volume
    clean: Volume
    tissue: Volume
    findings: tuple[Finding, ...]


def make_phantom(
    size: Size = SIZE,
    seed: int = 0,
    *,
    spacing: Spacing = SPACING,
    kernel: KernelName = "soft",
    noise: float = 15.0,
) -> Phantom:
    """Make a phantom; the same arguments give the same voxels.

    Parameters
    ----------
    size : tuple of int
        Voxels (z, y, x); 358 mm from side to side hold a whole chest, fewer its middle.
    seed : int
        Which patient.
    spacing : tuple of float
        Voxel size (z, y, x) in µm.
    kernel : {"soft", "medium", "sharp"}
        How the scanner reconstructs: soft is smooth with little noise, sharp shows edges.
    noise : float
        Standard deviation of the noise in the middle of the body, HU.

    Raises
    ------
    UserError
        If a setting is absurd.
    """
    check_kernel(kernel)
    checked = checked_spacing(spacing, "The phantom")
    if len(size) != 3 or not all(_SMALLEST <= n <= _LARGEST for n in size):
        raise UserError(f"A phantom has {_SMALLEST} to {_LARGEST} voxels along z, y and x.")
    if seed < 0 or not 0 <= noise <= 500:
        raise UserError("The seed must be at least 0, and the noise between 0 and 500 HU.")
    z, y, x = (s / 1000 for s in checked)
    # a stream for each part, so that another kernel or size leaves the patient as he is
    patient, where, body, lungs, scan = (np.random.default_rng([seed, k]) for k in range(5))
    chest = Chest.draw(patient)
    canvas = Canvas(size, (z, y, x), (float(where.uniform(-45, 35)), 0.0, 0.0))
    paint_chest(canvas, chest, body)
    findings = paint_lungs(canvas, chest, lungs)
    noisy, clean = scanned(canvas.hu, (z, y, x), kernel, noise, scan)
    made: dict[str, Any] = {"made_by": "napari-llcm phantom", "seed": seed, "modality": "CT"}
    made |= {"kernel": kernel, "noise": noise, "slice_thickness": checked[0], "unit": "HU"}
    like = Volume(
        np.clip(np.rint(noisy), *_HU).astype(np.int16),
        checked,
        name=f"phantom-{seed:04d}",
        orientation=ORIENTATION,
        origin=tuple(1000 * a[0] * s for a, s in zip(canvas.axes, (1, -1, -1), strict=True)),
        unit="mm",
        metadata=made,
    )
    about = {**made, "unit": "label", "labels": True, "tissues": list(TISSUES)}
    return Phantom(
        like,
        like.replace(data=clean),
        like.replace(data=canvas.tissue, metadata=about),
        tuple(findings),
    )
