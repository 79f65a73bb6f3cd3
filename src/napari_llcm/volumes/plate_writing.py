"""Write the frame of a plate (OME-Zarr HCS 0.4 or 0.5): its wells, and the fields they will have.

The fields are images of their own: see `ZarrWriter`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..events import UserError
from .disk_errors import disk_errors
from .plates import Plate, PlateField, attributes_at
from .zarr_metadata import Version, format_of, open_group

RECORD = "napari_llcm"  # where a plate says how it was made


def describe_plate(
    path: Path,
    like: Plate,
    fields: Sequence[PlateField],
    version: Version,
    metadata: dict[str, Any] | None = None,
) -> None:
    """Write the groups of a plate and of its wells, or write again what they hold.

    Rows, columns and acquisitions are those of the other plate, so that both look alike. What is
    written is the same whenever it is written again: jobs that each fill a part may all do so.

    Parameters
    ----------
    path : Path
        The plate.
    like : Plate
        What it is made of.
    fields : sequence of PlateField
        Its fields, by their names in `like`; at least one.
    version : {"0.4", "0.5"}
        Of OME-Zarr.
    metadata : dict, optional
        How it was made; JSON.

    Raises
    ------
    UserError
        If a name cannot be written, or the disk is full.
    """
    from ome_zarr.writer import write_plate_metadata, write_well_metadata

    wells: dict[str, list[PlateField]] = {}
    for field in fields:
        wells.setdefault(field.well, []).append(field)
    fmt = format_of(version)
    with disk_errors(path):
        root = open_group(path, version, "a")
        if metadata:  # first: by this a job that goes on knows the plate as its own
            root.attrs[RECORD] = metadata
        try:
            write_plate_metadata(
                root,
                list(like.rows),
                list(like.columns),
                list(wells),
                fmt=fmt,
                acquisitions=like.attributes.get("acquisitions") or None,
                field_count=max(len(some) for some in wells.values()),
                name=like.attributes.get("name"),
            )
        except ValueError as error:
            raise UserError(
                f"The rows, columns or acquisitions of {like.path} cannot be written: {error}."
            ) from error
        for well, some in wells.items():
            root.require_group(well.split("/")[0])
            write_well_metadata(
                root.require_group(well), [_entry(field) for field in some], fmt=fmt
            )


def record_of(path: Path) -> dict[str, Any] | None:
    """Return how a plate was made, if this package has made it.

    Parameters
    ----------
    path : Path
        A plate, or what may be one.
    """
    import zarr

    try:
        found = zarr.open_group(path, mode="r").attrs.asdict().get(RECORD)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def is_bare(path: Path) -> bool:
    """Tell whether a folder is empty, or no more than a group that was just begun."""
    for entry in path.iterdir():
        if entry.suffix == ".partial" and entry.name.startswith((".z", "zarr.")):
            continue  # of a file that was not finished
        if entry.name not in ("zarr.json", ".zgroup", ".zattrs"):
            return False
    return not attributes_at(path)


def _entry(field: PlateField) -> dict[str, Any]:
    acquisition = {} if field.acquisition is None else {"acquisition": field.acquisition}
    return {"path": field.image, **acquisition}
