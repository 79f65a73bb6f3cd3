"""Plates of wells and fields (OME-Zarr HCS, 0.1 to 0.5), looked into without opening an image.

Layout: https://ngff.openmicroscopy.org/0.5/#hcs-layout. A plate names its wells, and each well its
fields, in a small JSON file of its own: a plate of a thousand fields is shown by reading one file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..events import UserError
from .names import plain_name
from .zarr_metadata import Version

_NAMED = 6  # paths in a sentence
_LOOKED_INTO = 24  # wells, each a file to read


@dataclass(frozen=True)
class PlateField:
    """One field of view of a plate.

    Parameters
    ----------
    plate : Path
        The plate.
    well : str
        Its path in the plate: row and column, such as "B/03".
    image : str
        Its path in the well, such as "0".
    acquisition : int, optional
        Which acquisition of the plate it is of.
    """

    plate: Path
    well: str
    image: str
    acquisition: int | None = None

    @property
    def name(self) -> str:
        """Its path in the plate, such as "B/03/0"."""
        return f"{self.well}/{self.image}"

    @property
    def plain(self) -> str:
        """Its name as a part of a file's name, such as "B_03_0"."""
        return self.name.replace("/", "_")

    @property
    def path(self) -> Path:
        """The image."""
        return self.plate / self.well / self.image

    @property
    def is_there(self) -> bool:
        """Whether the image is there: a plate that is being written names all it will have."""
        return attributes_at(self.path) is not None


@dataclass(frozen=True)
class Plate:
    """A plate: what its own metadata say, and its wells when they are asked for.

    Parameters
    ----------
    path : Path
        The store.
    attributes : dict
        The OME metadata of the plate.
    version : {"0.4", "0.5"}
        The newest version of OME-Zarr that has its format of Zarr.
    """

    path: Path
    attributes: dict[str, Any]
    version: Version

    @property
    def name(self) -> str:
        """What the plate is called."""
        return str(self.attributes.get("name") or self.path.name)

    @cached_property
    def wells(self) -> tuple[str, ...]:
        """The paths of all wells that hold something, such as "B/03"."""
        return tuple(str(well["path"]).strip("/") for well in self.attributes.get("wells", ()))

    @cached_property
    def rows(self) -> tuple[str, ...]:
        """The names of the rows."""
        return self._names("rows", 0)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self._names("columns", 1)

    def fields(self, well: str) -> list[PlateField]:
        """Return the fields of a well; one small file is read.

        Parameters
        ----------
        well : str
            Its path.

        Raises
        ------
        UserError
            If the well is not there, or its metadata are none of a well.
        """
        found = attributes_at(self.path / well)
        if found is None or "well" not in found:
            raise UserError(
                f"{self.path} names a well {well}, but {self.path / well} is no well: copy or "
                "export it again."
            )
        what = f"field of well {well} of {self.path}"
        return [
            PlateField(
                self.path, well, plain_name(str(image["path"]), what), image.get("acquisition")
            )
            for image in found["well"].get("images", ())
        ]

    def all_fields(self, chosen: str | None = None) -> Iterator[PlateField]:
        """Yield the fields of all wells, of one well, or one field.

        Parameters
        ----------
        chosen : str, optional
            The path of a well or of a field, such as "B/03" or "B/03/0".

        Raises
        ------
        UserError
            If there is no such well or field, or a well is not there.
        """
        wanted = None if chosen is None else chosen.strip("/")
        wells = [w for w in self.wells if wanted is None or f"{wanted}/".startswith(f"{w}/")]
        some = False
        for well in wells:
            for field in self.fields(well):
                if wanted in (None, well, field.name):
                    some = True
                    yield field
        if not some:
            if wanted is None:
                raise UserError(f"{self.path} is a plate, but it holds no field.")
            raise UserError(
                f"{self.path} has no well or field {wanted!r}: its wells are {_listed(self.wells)}."
            )

    def _names(self, key: str, part: int) -> tuple[str, ...]:
        given = [str(one["name"]) for one in self.attributes.get(key, ()) if "name" in one]
        return tuple(dict.fromkeys([*given, *(well.split("/")[part] for well in self.wells)]))


def open_plate(path: Path) -> Plate:
    """Return a plate; no well of it is looked at.

    Raises
    ------
    UserError
        If it is no plate, or its wells have no row and column.
    """
    found = attributes_at(path)
    if found is None or not isinstance(found.get("plate"), dict):
        raise UserError(f"{path} is no plate (OME-Zarr HCS).")
    plate = Plate(path, found["plate"], "0.5" if (path / "zarr.json").exists() else "0.4")
    try:
        wells = plate.wells
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is a plate whose list of wells cannot be read.") from error
    for well in wells:  # results are written under these names
        row, slash, column = well.partition("/")
        if not slash:
            raise UserError(f"{path} names a well {well!r}, which is no row and column.")
        for part in (row, column):
            plain_name(part, f"well {well!r} of {path}")
    return plate


def is_plate(path: Path) -> bool:
    """Tell whether a folder is a plate."""
    found = attributes_at(path) if path.is_dir() else None
    return found is not None and isinstance(found.get("plate"), dict)


def attributes_at(path: Path) -> dict[str, Any] | None:
    """Return the OME metadata of a Zarr group, read from its file; None where there is no group.

    Parameters
    ----------
    path : Path
        The folder of the group.

    Raises
    ------
    UserError
        If the file is damaged.
    """
    for name in ("zarr.json", ".zattrs"):
        try:
            found = json.loads((path / name).read_text(encoding="utf-8"))
            if name == "zarr.json":  # 0.5 keeps its metadata two levels down
                found = found.get("attributes", {})
                found = found.get("ome", found)
            return dict(found)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise UserError(f"{path / name} is damaged: copy or export it again.") from error
    return None


def check_is_image(attributes: dict[str, Any], path: Path) -> None:
    """Raise a `UserError` that names what there is to open in a plate, a well or a labels group."""
    if "multiscales" in attributes:
        return
    if "plate" in attributes:
        wells = open_plate(path).wells
        fields = [field for well in wells[:_LOOKED_INTO] for field in _fields(path, well)]
        count = f"{len(wells)} well{'s' * (len(wells) != 1)}"
        more = len(wells) > _LOOKED_INTO
        _refuse(path, f"is a plate of {count} with the fields", fields, more)
    if "well" in attributes:
        images = [str(image["path"]) for image in attributes["well"].get("images", ())]
        _refuse(path, "is a well with the fields", images)
    if "labels" in attributes:
        _refuse(path, "holds labels with the names", [str(n) for n in attributes["labels"]])


def _fields(path: Path, well: str) -> list[str]:
    try:
        return [field.name for field in open_plate(path).fields(well)]
    except (UserError, KeyError, TypeError):
        return []  # the plate names a well that is not there


def _refuse(path: Path, what: str, names: list[str], more: bool = False) -> None:
    if not names:
        raise UserError(f"{path} {what.split(' with ')[0]}, but nothing of it is there.")
    more = more or len(names) > _NAMED
    raise UserError(
        f"{path} {what} {', '.join(names[:_NAMED])}{' and more' * more}: give one of these paths, "
        f"such as {path / names[0]}."
    )


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
