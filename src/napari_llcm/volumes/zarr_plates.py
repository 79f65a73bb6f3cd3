"""What a Zarr is when it is no image: a plate, a well, a folder of labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..events import UserError

_NAMED = 6  # paths in a sentence
_LOOKED_INTO = 24  # wells, each a file to read


def check_is_image(group: Any, attributes: Mapping[str, Any], path: Path) -> None:
    """Raise a `UserError` that names what there is to open in a plate, a well or a labels group."""
    if "multiscales" in attributes:
        return
    if "plate" in attributes:
        wells = [str(well["path"]) for well in attributes["plate"].get("wells", ())]
        fields = [f for well in wells[:_LOOKED_INTO] for f in _fields(group, well)]
        count = f"{len(wells)} well{'s' * (len(wells) != 1)}"
        more = len(wells) > _LOOKED_INTO
        _refuse(path, f"is a plate of {count} with the fields", fields, more)
    if "well" in attributes:
        _refuse(path, "is a well with the fields", _images(attributes["well"]))
    if "labels" in attributes:
        _refuse(path, "holds labels with the names", [str(n) for n in attributes["labels"]])


def _fields(group: Any, well: str) -> list[str]:
    try:
        attributes = group[well].attrs.asdict()
        return [f"{well}/{name}" for name in _images(attributes.get("ome", attributes)["well"])]
    except (KeyError, TypeError, ValueError):
        return []  # the plate names a well that is not there


def _images(well: Mapping[str, Any]) -> list[str]:
    return [str(image["path"]) for image in well.get("images", ())]


def _refuse(path: Path, what: str, names: list[str], more: bool = False) -> None:
    if not names:
        raise UserError(f"{path} {what.split(' with ')[0]}, but nothing of it is there.")
    more = more or len(names) > _NAMED
    raise UserError(
        f"{path} {what} {', '.join(names[:_NAMED])}{' and more' * more}: give one of these paths, "
        f"such as {path / names[0]}."
    )
