"""Lengths in one unit, whatever the file uses; what a file does not tell is not made up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..events import UserError
from .volume import Orientation, Spacing, Volume

# Length of each unit in µm. "pixel" and its like are left out: they say nothing about size.
_MICRONS = {
    **dict.fromkeys(("µm", "um", "micron", "micro", "\\u00b5m", "\\u00b5", "µ"), 1.0),
    **dict.fromkeys(("micrometer", "micrometre"), 1.0),
    **dict.fromkeys(("å", "angstrom", "ångström"), 1e-4),
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-6),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e4),
    **dict.fromkeys(("dm", "decimeter", "decimetre"), 1e5),
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
    **dict.fromkeys(("km", "kilometer", "kilometre"), 1e9),
    **dict.fromkeys(("in", "inch", "inche"), 25400.0),  # "inches" without its s
    **dict.fromkeys(("ft", "foot", "feet"), 304800.0),
    "yd": 914400.0,
    "thou": 25.4,
}
_NO_UNITS = {"", "pixel", "pixels", "voxel", "voxels", "reference frame", "unknown"}
_LARGEST = 20_000.0  # µm; no microscope has larger voxels, and no CT thicker slices

Length = tuple[float | None, str | None]  # a number and its unit, as a file gives them


def to_micron(unit: str | None) -> float | None:
    """Return the length of `unit` in µm; None for a unit that is no length."""
    word = (unit or "").replace("\0", "").strip().lower().replace("μ", "µ")  # two letters, one look
    word = word.replace("\\u03bc", "\\u00b5")
    return _MICRONS.get(word, _MICRONS.get(word.removesuffix("s")))


def checked_spacing(spacing: Sequence[float], name: str) -> Spacing:
    """Return `spacing` (z, y, x) in µm if a microscope or scanner can have it.

    Raises
    ------
    UserError
        If it is not three numbers above 0 and up to 20 mm.
    """
    values = tuple(float(s) for s in spacing)
    if len(values) != 3:
        raise UserError(
            f"The spacing of {name} needs three numbers (z, y, x) in µm, not {len(values)}."
        )
    if not all(_possible(s) for s in values):
        figures = ", ".join(f"{s:g}" for s in values)
        raise UserError(
            f"{name} cannot have a voxel size (z, y, x) of {figures} µm: "
            "give the true one as spacing."
        )
    return values


def _possible(size: float) -> bool:
    return math.isfinite(size) and 0 < size <= _LARGEST


@dataclass(frozen=True)
class FileGrid:
    """What a file says about the grid of its voxels, in the file's own words.

    Parameters
    ----------
    sizes : dict
        Of each axis ("z", "y", "x") that the file tells: voxel size and unit.
    position : dict
        Of each axis that the file tells: position of the first voxel and its unit.
    orientation : tuple of tuple, optional
        As in `Volume`.
    notes : tuple of str
        What the reader could not make out about it; untrue once a spacing is given.
    """

    sizes: Mapping[str, Length] = field(default_factory=dict)
    position: Mapping[str, Length] = field(default_factory=dict)
    orientation: Orientation | None = None
    notes: tuple[str, ...] = ()

    def renamed(self, old: str, new: str) -> FileGrid:
        """Return the grid of the same array with other letters for its axes."""
        if old == new:
            return self
        source = dict(zip(new, old, strict=True))
        # ImageJ tells the distance of planes that it calls frames: a size along z without an axis.
        source = {a: source[a] if source.get(a, "") in tuple("zyx") else a for a in "zyx"}
        at = ["zyx".index(source[a]) for a in "zyx"]
        orientation = self.orientation
        if orientation is not None:
            turned: list[Any] = np.asarray(orientation)[np.ix_(at, at)].tolist()
            orientation = (tuple(turned[0]), tuple(turned[1]), tuple(turned[2]))
        return replace(
            self,
            sizes={a: self.sizes[s] for a, s in source.items() if s in self.sizes},
            position={a: self.position[s] for a, s in source.items() if s in self.position},
            orientation=orientation,
        )


def calibrated(volume: Volume, given: Sequence[float] | None = None) -> Volume:
    """Return the volume with spacing, scale, origin and orientation from its `file_grid`.

    One rule for all formats: what the file says is kept, in µm where it names units of length
    and as it is where it names none, or a note tells what is not kept.

    Parameters
    ----------
    volume : Volume
        As a reader made it, with its axes named.
    given : sequence of float, optional
        Voxel size (z, y, x) in µm, in place of the file's word.

    Raises
    ------
    UserError
        If neither a microscope nor a scanner can have the spacing given.
    """
    grid, name = volume.file_grid or FileGrid(), volume.name
    volume = volume.replace(file_grid=None, orientation=grid.orientation)
    told = {a: grid.sizes.get(a, (None, None)) for a in "zyx" if a in volume.axes}
    sizes = {a: abs(s) for a, (s, _) in told.items() if s and math.isfinite(s)}
    microns = {a: s * m for a, s in sizes.items() if (m := to_micron(told[a][1]))}
    own = _triple(microns) if len(microns) == len(told) else None
    if given is not None:
        spacing = checked_spacing(given, name)
        if own and not all(
            math.isclose(s, o, rel_tol=0.01) for s, o in zip(spacing, own, strict=True)
        ):
            volume = volume.noted(
                f"{name} tells a voxel size of {_figures(own)} µm (z, y, x); the one given, "
                f"{_figures(spacing)} µm, is used in its place."
            )
        return _placed(volume.replace(spacing=spacing), grid)
    volume = volume.noted(*grid.notes)
    if any(s is not None and s < 0 for s, _ in told.values()):
        volume = volume.noted(
            f"{name} tells a voxel size below 0 ({_words(told)}): its sign is left out."
        )
    if own and all(_possible(s) for s in own):
        return _placed(volume.replace(spacing=own), grid)
    if own:
        return _placed(volume.replace(scale=own), grid).noted(
            f"{name} tells a voxel size of {_figures(own)} µm (z, y, x), which no microscope or "
            "scanner has: it is kept as a scale without a unit; give the true one as spacing."
        )
    if not microns and len(sizes) == len(told) > 0:
        volume = _placed(volume.replace(scale=_triple(sizes)), grid)
        named = {(unit or "").strip().lower() for _, unit in told.values()} - _NO_UNITS
        if volume.scale == (1.0, 1.0, 1.0) and not named:
            return volume  # as good as nothing said: what needs the spacing asks for it
        return volume.noted(
            f"{name} tells its voxel size without a unit of length ({_words(told)}): it is kept "
            "as it is; give it in µm as spacing (z, y, x) where the size matters."
        )
    if any(s is not None and (s != 1 or to_micron(u)) for s, u in told.values()):
        return volume.noted(
            f"{name} tells its voxel size only in part ({_words(told)}): nothing of it is used, "
            "nor its position, until the spacing (z, y, x) is given in µm."
        )
    if any(place for place, _ in grid.position.values()):
        return volume.noted(
            f"{name} tells its position but not its voxel size: the position is left out until "
            "the spacing (z, y, x) is given in µm."
        )
    return volume


def _placed(volume: Volume, grid: FileGrid) -> Volume:
    """Return the volume with the file's position; one without a unit is in that of the size."""
    origin, assumed = {}, False
    for axis, step in zip("zyx", volume.step, strict=True):
        place, unit = grid.position.get(axis, (None, None))
        place = place if place and math.isfinite(place) else 0.0
        size, size_unit = grid.sizes.get(axis, (None, None))
        micron = to_micron(unit) or (to_micron(size_unit) if size else None)
        assumed = assumed or bool(place and not to_micron(unit) and volume.spacing)
        if micron:
            origin[axis] = place * micron
        else:  # so many voxels
            origin[axis] = place * step / abs(size or 1.0)
    volume = volume.replace(origin=_triple(origin))
    if not assumed:
        return volume
    return volume.noted(
        f"{volume.name} names no unit of length for its position, which is taken to be in that of "
        f"its voxel size: {_figures(volume.origin)} µm (z, y, x)."
    )


def _triple(values: Mapping[str, float]) -> Spacing:
    """Return values along z, y and x; an image without z has no size there that could be wrong."""
    z, y, x = (float(values.get(axis, 1.0)) for axis in "zyx")
    return z, y, x


def _words(told: Mapping[str, Length]) -> str:
    words = []
    for axis, (size, unit) in told.items():
        micron = to_micron(unit)
        if size is None:
            words.append(f"{axis} is not told")
        elif micron:
            words.append(f"{axis} is {size * micron:.4g} µm")
        else:
            words.append(f"{axis} is {size:.4g} {unit or ''}".rstrip())
    return ", ".join(words)


def _figures(values: Sequence[float]) -> str:
    return " × ".join(f"{v:.4g}" for v in values)
