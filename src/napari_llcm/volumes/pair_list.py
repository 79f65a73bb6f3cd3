"""Lists of pairs, as CSV or YAML."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..events import UserError
from .folders import existing, short_form
from .names import plain_name
from .reading import stem


def read_list(
    source: Path, names: Sequence[str] = ("qpi", "dapi")
) -> list[tuple[str, dict[str, Path]]]:
    """Return name and files (by `names` and, if there are any, "labels") of each entry.

    Raises
    ------
    UserError
        If it is no list of pairs, a file is not there, or a name is no plain name of a file.
    """
    entries = []
    for number, row in enumerate(_rows(source), start=1):
        unknown = set(row) - {*names, "labels", "name"}
        if unknown or not all(row.get(name) for name in names):
            raise UserError(
                f"Entry {number} of {source} needs {' and '.join(names)} and may have labels and "
                f"name; it has {', '.join(str(k) for k, v in row.items() if v) or 'nothing'}."
            )
        paths = {k: _path(source.parent, str(row[k])) for k in (*names, "labels") if row.get(k)}
        for path in paths.values():
            if not path.exists():
                raise UserError(f"Entry {number} of {source} names {path}, which does not exist.")
        entries.append((_name(row.get("name"), paths[names[0]], source, number), paths))
    return entries


def _path(folder: Path, text: str) -> Path:
    path = folder / text
    if "\\" in text and not path.exists():  # a list that was made on Windows
        path = folder / text.replace("\\", "/")
    return existing(path)


def _name(given: Any, qpi: Path, source: Path, number: int) -> str:
    """Return the name of an entry: results are written under it."""
    if given is None or given == "":
        name = short_form(stem(qpi))
        if name.strip(". "):
            return name
        raise UserError(f"Entry {number} of {source} needs a name.")
    return plain_name(short_form(str(given)), f"name of entry {number} of {source},")


def _rows(source: Path) -> list[dict[str, Any]]:
    """Return the entries of a CSV or YAML list."""
    import yaml

    kind = source.suffix.lower()
    try:
        text = source.read_text(encoding="utf-8-sig")  # Excel puts a mark before its UTF-8
        if kind in (".yaml", ".yml"):
            rows = yaml.safe_load(text)
        elif kind == ".csv":
            lines = text.splitlines()
            # Excel separates by what its language does not use in numbers
            mark = max(",;\t", key=lines[0].count) if lines else ","
            rows = [
                {(k or "").strip().lower(): (v or "").strip() for k, v in row.items()}
                for row in csv.DictReader(lines, restval="", delimiter=mark)
            ]
        else:
            raise UserError(f"{source} is neither a folder nor a .csv or .yaml list of pairs.")
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as error:
        raise UserError(f"{source} is not a list of pairs in {kind[1:].upper()}.") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{source} must be a list of entries with qpi and dapi.")
    return rows
