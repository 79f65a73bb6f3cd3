"""What ImageJ's own description in a TIFF says, and the resolution tags of any TIFF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .units import FileGrid, Length, to_micron

if TYPE_CHECKING:
    from tifffile import TiffFile

_LARGEST_PIXEL = 20.0  # µm; 1200 dots per inch, and all coarser ones, are a printer's


def imagej_grid(tif: TiffFile) -> FileGrid:
    """Return ImageJ's calibration.

    The size along z is `spacing`; along y and x it is in the resolution tags. The unit is that of
    x, and of y and z where `yunit` and `zunit` name no other. The position is where the
    coordinates' origin lies, in voxels.
    """
    metadata: dict[str, Any] = tif.imagej_metadata or {}
    unit = metadata.get("unit") or _resolution_unit(tif)
    units = {"x": unit, "y": metadata.get("yunit") or unit, "z": metadata.get("zunit") or unit}
    sizes: dict[str, float | None] = {**_pixel(tif), "z": _float(metadata.get("spacing"))}
    position: dict[str, Length] = {}
    for axis in "zyx":
        size, origin = sizes.get(axis), _float(metadata.get(f"{axis}origin"))
        if size and origin:
            position[axis] = (-origin * abs(size), units[axis])
    return FileGrid({a: (sizes.get(a), units[a]) for a in "zyx"}, position)


def plain_grid(tif: TiffFile) -> FileGrid:
    """Return the size of pixels of a plain TIFF, where it is a microscope's and no printer's."""
    unit = _resolution_unit(tif)
    micron = to_micron(unit)
    sizes = _pixel(tif)
    if micron is None or not all(s and s * micron < _LARGEST_PIXEL for s in sizes.values()):
        return FileGrid()
    return FileGrid({a: (s, unit) for a, s in sizes.items()})


def _pixel(tif: TiffFile) -> dict[str, float | None]:
    """Return the size of a pixel along y and x from the tags, which hold pixels for each unit."""
    tags = tif.pages.first.tags
    sizes: dict[str, float | None] = {}
    for axis in "yx":
        tag = tags.get(f"{axis.upper()}Resolution")
        pixels, units = tag.value if tag is not None else (0, 0)
        sizes[axis] = units / pixels if pixels else None
    return sizes


def _resolution_unit(tif: TiffFile) -> str | None:
    tag = tif.pages.first.tags.get("ResolutionUnit")
    return None if tag is None else {2: "inch", 3: "cm"}.get(int(tag.value))


def _float(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
