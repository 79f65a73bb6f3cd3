"""Slices of DICOM files in the order of their places, on an even grid or not at all.

DICOM places a slice by the centre of its first voxel and the directions of its rows and columns, in
mm, x to the patient's left and y to the back (PS3.3, C.7.6.2). Volumes have x to the right and y to
the front, as NIfTI has, so that one scan in either format lies in one place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..events import UserError
from .orientation import steps_apart
from .plane_names import listed
from .units import FileGrid

PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
TO_RAS = np.array([-1.0, -1.0, 1.0])  # x, y, z; its own inverse
_SAME = 0.01  # mm; slices nearer than this lie at one place
_OFF = 0.05  # of the step between slices: how far one may lie off an even grid
_SHEAR = 0.1  # of a pixel: how far slices may be shifted sideways
_MISSING = 0.1  # share of slices that may be missing; with more, the distances are uneven
_TURN = 1e-3  # of a unit vector; slices that are turned more belong to another stack


@dataclass(frozen=True)
class Slice:
    """What the header of one file says, in mm and DICOM's axes (x, y, z).

    Parameters
    ----------
    file : Path
        The file.
    position : ndarray
        Centre of the first voxel.
    along_x, along_y : ndarray
        Directions in which columns and rows follow each other.
    pixel : tuple of float
        Distance of rows, distance of columns.
    shape : tuple of int
        Rows, columns.
    slope, intercept : float
        From stored values to those of the scanner.
    rescaled : bool
        Whether the file tells these two.
    rescale_type, modality, kernel : str
        As the file has it; may be empty.
    bits : int
        Of a stored value; below 0 where it is signed.
    thickness : float or None
        Of the slice, as the file tells.
    uid, series : str
        Which image, and which series.
    number, acquisition : int or None
        Of the series, and of the acquisition within it.
    """

    file: Path
    position: np.ndarray
    along_x: np.ndarray
    along_y: np.ndarray
    pixel: tuple[float, float]
    shape: tuple[int, int]
    slope: float
    intercept: float
    rescaled: bool
    rescale_type: str
    modality: str
    kernel: str
    bits: int
    thickness: float | None
    uid: str
    series: str
    number: int | None
    acquisition: int | None

    @staticmethod
    def has_place(header: Any) -> bool:
        """Tell whether a header is that of one grey slice with a place in space."""
        single = int(header.get("NumberOfFrames") or 1) == 1
        grey = int(header.get("SamplesPerPixel") or 0) == 1
        lengths = [len(header.get(name) or ()) for name in PLACE]
        return single and grey and lengths == [3, 6, 2] and bool(header.get("Rows"))

    @classmethod
    def of(cls, file: Path, header: Any) -> Slice:
        """Return what a header says, which `has_place`."""
        position, turned, pixel = (np.asarray(header[name].value, float) for name in PLACE)
        kernel = header.get("ConvolutionKernel") or ""
        signed = int(header.get("PixelRepresentation") or 0) == 1
        slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
        return cls(
            file,
            position,
            turned[:3],
            turned[3:],
            (float(pixel[0]), float(pixel[1])),
            (int(header.Rows), int(header.Columns)),
            1.0 if slope is None else float(slope),
            0.0 if intercept is None else float(intercept),
            slope is not None and intercept is not None,
            str(header.get("RescaleType") or ""),
            str(header.get("Modality") or ""),
            kernel if isinstance(kernel, str) else " ".join(kernel),
            (-1 if signed else 1) * int(header.get("BitsStored") or 16),
            _number(header.get("SliceThickness"), float),
            str(header.get("SOPInstanceUID") or file),
            str(header.get("SeriesInstanceUID") or ""),
            _number(header.get("SeriesNumber"), int),
            _number(header.get("AcquisitionNumber"), int),
        )

    @property
    def normal(self) -> np.ndarray:
        """Direction at right angles to the slice."""
        return np.cross(self.along_x, self.along_y)

    @property
    def height(self) -> float:
        """How far along its normal the slice lies."""
        return float(self.position @ self.normal)

    def limits(self) -> tuple[float, float]:
        """Return the values that the smallest and the largest stored number stand for."""
        n = abs(self.bits)
        low, high = (-(2 ** (n - 1)), 2 ** (n - 1) - 1) if self.bits < 0 else (0, 2**n - 1)
        a, b = (v * self.slope + self.intercept for v in (low, high))
        return min(a, b), max(a, b)

    def is_parallel(self, other: Slice) -> bool:
        """Tell whether another slice may belong to the same stack."""
        return (
            (self.series, self.shape) == (other.series, other.shape)
            and np.allclose(self.pixel, other.pixel, rtol=1e-3)
            and np.allclose(self.along_x, other.along_x, atol=_TURN)
            and np.allclose(self.along_y, other.along_y, atol=_TURN)
        )


def _number(value: Any, kind: Callable[[Any], Any]) -> Any:
    return None if value is None or str(value) == "" else kind(value)


def stacks(slices: Iterable[Slice]) -> dict[str, list[Slice]]:
    """Return slices apart by series, direction and size, under names to choose by.

    Where a series passes the same places several times (before and after contrast agent), each
    acquisition is a stack.
    """
    groups: list[list[Slice]] = []
    for one in slices:
        group = next((g for g in groups if g[0].is_parallel(one)), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    parts = [part for group in groups for part in _passes(group)]
    names = [_name(part) for part in parts]
    often = Counter(names)
    found: dict[str, list[Slice]] = {}
    for name, part in sorted(zip(names, parts, strict=True), key=lambda p: p[1][0].number or 0):
        count = sum(known == name or known.startswith(f"{name} #") for known in found)
        found[f"{name} #{count + 1}" if often[name] > 1 else name] = part
    return found


def _passes(group: list[Slice]) -> list[list[Slice]]:
    numbers = sorted({one.acquisition for one in group if one.acquisition is not None})
    parts = [[one for one in group if one.acquisition == n] for n in numbers]
    if len(parts) < 2 or sum(map(len, parts)) < len(group) or not _doubled(group):
        return [group]
    return [group] if any(_doubled(part) for part in parts) else parts


def _doubled(group: Sequence[Slice]) -> bool:
    heights = np.sort([one.height for one in group])
    return bool((np.diff(heights) < _SAME).any())


def _name(stack: Sequence[Slice]) -> str:
    one = stack[0]
    words = ["series" if one.number is None else f"series {one.number}"]
    words += [f"{one.thickness:g} mm"] if one.thickness else []
    return " ".join([*words, one.kernel]).strip()


def in_order(
    stack: Sequence[Slice], name: str, pixels: Callable[[Slice], np.ndarray]
) -> tuple[list[Slice | None], FileGrid, list[str]]:
    """Return slices in the order of their places, None for those that are missing, and their grid.

    Parameters
    ----------
    stack : sequence of Slice
        Parallel ones.
    name : str
        What sentences call them.
    pixels : callable
        Returns the pixels of a slice, to compare two that lie at one place.

    Returns
    -------
    planes : list of Slice or None
        From low to high along the normal of the slices.
    grid : FileGrid
        Voxel size, position and orientation.
    notes : list of str
        What was missing, or there twice.

    Raises
    ------
    UserError
        If two slices contend for one place, the gantry was tilted, or distances are uneven.
    """
    kept, notes = _once(sorted(stack, key=lambda one: one.height), name, pixels)
    first = kept[0]
    heights = np.array([one.height for one in kept])
    _check_shear(kept, heights, name)
    if len(kept) == 1:
        return [first], _grid(first, first.thickness), notes
    steps = np.diff(heights)
    counts = np.maximum(np.rint(steps / np.median(steps)), 1).astype(int)
    at = np.concatenate([[0], np.cumsum(counts)])
    step, start = np.polyfit(at, heights, 1)
    missing = int(at[-1]) + 1 - len(kept)
    off = np.abs(heights - (start + step * at)).max()
    if off > _OFF * step or missing > _MISSING * len(kept):
        raise UserError(
            f"The slices of {name} lie at uneven distances ({steps.min():.4g} to "
            f"{steps.max():.4g} mm), as if it were several scans or many were missing: give each "
            "part with even distances in a folder of its own."
        )
    planes: list[Slice | None] = [None] * (int(at[-1]) + 1)
    for k, one in zip(at, kept, strict=True):
        planes[int(k)] = one
    if missing:
        which = listed([str(k) for k, one in enumerate(planes) if one is None])
        verb = "are missing and stay" if missing > 1 else "is missing and stays"
        notes.append(f"Of the {len(planes)} slices of {name}, {which} {verb} empty.")
    return planes, _grid(first, float(step)), notes


def _once(
    ordered: Sequence[Slice], name: str, pixels: Callable[[Slice], np.ndarray]
) -> tuple[list[Slice], list[str]]:
    """Return the slices without copies of each other."""
    kept, copies = [ordered[0]], 0
    for one in ordered[1:]:
        last = kept[-1]
        if one.height - last.height >= _SAME:
            kept.append(one)
            continue
        if one.uid != last.uid and not np.array_equal(pixels(one), pixels(last)):
            raise UserError(
                f"{last.file.name} and {one.file.name} of {name} lie at one place and differ: keep "
                "one of the two scans in the folder."
            )
        copies += 1
    verb = "slices are" if copies > 1 else "slice is"
    notes = [f"{copies} {verb} there twice in {name}: one of each is read."] if copies else []
    return kept, notes


def _check_shear(kept: Sequence[Slice], heights: np.ndarray, name: str) -> None:
    first = kept[0]
    moved = np.array([one.position - first.position for one in kept])
    sideways = moved - np.outer(heights - heights[0], first.normal)
    far = float(np.linalg.norm(sideways, axis=1).max())
    if far <= _SHEAR * min(first.pixel):
        return
    angle = np.degrees(np.arctan2(np.linalg.norm(sideways[-1]), heights[-1] - heights[0]))
    raise UserError(
        f"{name} was scanned with a tilted gantry: its slices are shifted by up to {far:.3g} mm "
        f"against each other ({angle:.1f}°). Convert it with dcm2niix, which takes the tilt out, "
        "and read the NIfTI."
    )


def _grid(first: Slice, step: float | None) -> FileGrid:
    between = first.normal * (step or 1.0)
    down, right = first.along_y * first.pixel[0], first.along_x * first.pixel[1]
    rows = (np.array([between, down, right]) * TO_RAS)[:, ::-1]  # each (z, y, x)
    sizes, orientation = steps_apart(rows)
    # the tag's own number, where a product of cosines would give 0.7000000000000001
    told = {"z": sizes[0] if step else None, "y": first.pixel[0], "x": first.pixel[1]}
    place = first.position * TO_RAS
    return FileGrid(
        {a: (s if s is None else float(f"{s:.9g}"), "mm") for a, s in told.items()},
        {a: (float(p), "mm") for a, p in zip("xyz", place, strict=True)},
        orientation,
    )
