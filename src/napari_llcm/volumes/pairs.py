"""Pairs of a label-free stack and its DAPI, found by name or taken from a list."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..events import UserError
from .atomic import is_zarr
from .grids import on_one_grid
from .options import PairReadOptions
from .reading import read_role, stem
from .volume import Volume

_FOLDERS = {"qpi": ("qpi", "phase"), "dapi": ("dapi",), "labels": ("labels",)}

_NO_IMAGES = (".partial", ".txt", ".md", ".csv", ".json", ".yaml", ".xml", ".db", ".ini")


@dataclass(frozen=True)
class Pair:
    """Where the two (or three) stacks of one field lie.

    Parameters
    ----------
    name : str
        Name of the field.
    qpi : Path
        The label-free stack.
    dapi : Path
        The fluorescence stack on the same grid.
    labels : Path, optional
        Instance labels of the nuclei on the same grid.
    reading : PairReadOptions
        How the files are read: axes, channel, time point, image, spacing.
    """

    name: str
    qpi: Path
    dapi: Path
    labels: Path | None = None
    reading: PairReadOptions = field(default_factory=PairReadOptions)

    def read(self) -> tuple[Volume, Volume, Volume | None]:
        """Open the stacks lazily, on one grid; every job reads a pair in this way.

        Returns
        -------
        tuple of Volume
            QPI, DAPI and labels (None where there are none), each with axes "zyx", of one shape
            and, where any of the files tells it, the same spacing. What had to be assumed for
            that is in their notes.

        Raises
        ------
        UserError
            If a file cannot be read, or shapes or spacings differ.
        """
        files = {"qpi": self.qpi, "dapi": self.dapi, "labels": self.labels}
        opened = [read_role(f, self.reading, role) for role, f in files.items() if f is not None]
        qpi, dapi, *labels = on_one_grid(*opened)
        return qpi, dapi, labels[0] if labels else None


def find_pairs(source: Path | str, reading: PairReadOptions | None = None) -> list[Pair]:
    """Find pairs in a folder, or read a list of them.

    Parameters
    ----------
    source : Path or str
        A folder with the folders `qpi` (or `phase`), `dapi` and, if there are any, `labels`,
        whose files are matched by name without suffix; or a CSV or YAML list with the entries
        qpi, dapi and, if wanted, labels and name, with paths relative to the list.
    reading : PairReadOptions, optional
        How the files of each pair are read.

    Returns
    -------
    list of Pair
        At least one; sorted by name for a folder, in their order for a list.

    Raises
    ------
    UserError
        If there are no pairs, or a file has no partner or does not exist.
    """
    source = Path(source).expanduser()
    if not source.exists():
        raise UserError(f"There is no folder or list of pairs {source}.")
    pairs = _in_folder(source) if source.is_dir() else _in_list(source)
    if not pairs:
        raise UserError(f"{source} holds no pairs.")
    twice = [name for name, count in Counter(p.name for p in pairs).items() if count > 1]
    if twice:
        raise UserError(f"{source} holds more than one pair named {twice[0]}: give them names.")
    return [replace(pair, reading=reading) for pair in pairs] if reading else pairs


def _in_folder(source: Path) -> list[Pair]:
    there = {f.name.lower(): f for f in source.iterdir() if f.is_dir()}
    folders = {
        kind: next((there[n] for n in names if n in there), None)
        for kind, names in _FOLDERS.items()
    }
    missing = [kind for kind in ("qpi", "dapi") if folders[kind] is None]
    if missing:
        raise UserError(
            f"{source} has no folder {' or '.join(missing)}: put label-free stacks in qpi/ and "
            "their DAPI, under the same names, in dapi/."
        )
    files = {kind: _stacks(folder) if folder else {} for kind, folder in folders.items()}
    qpi, dapi, labels = files["qpi"], files["dapi"], files["labels"]
    alone = [str(qpi[n]) for n in sorted(qpi.keys() - dapi.keys())]
    alone += [str(dapi[n]) for n in sorted(dapi.keys() - qpi.keys())]
    alone += [str(labels[n]) for n in sorted(labels.keys() - (qpi.keys() & dapi.keys()))]
    if alone:
        more = f" and {len(alone) - 5} more" if len(alone) > 5 else ""
        raise UserError(f"No partner of the same name for {', '.join(alone[:5])}{more}.")
    return [Pair(n, qpi[n], dapi[n], labels.get(n)) for n in sorted(qpi)]


def find_stacks(folder: Path) -> list[Path]:
    """Return the files, Zarr stores and folders of planes in a folder, sorted by name.

    Raises
    ------
    UserError
        If two have the same name but for the suffix.
    """
    return list(_stacks(folder).values())


def _stacks(folder: Path) -> dict[str, Path]:
    """Return the files, Zarr stores and folders of planes in a folder by their stem."""
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or file.suffix.lower() in _NO_IMAGES:
            continue
        if file.is_dir() and not is_zarr(file) and not any(file.iterdir()):
            continue
        name = stem(file)
        if name in found:
            raise UserError(f"{found[name]} and {file} have the same name: keep one of them.")
        found[name] = file
    return found


def _in_list(source: Path) -> list[Pair]:
    pairs = []
    for number, row in enumerate(_rows(source), start=1):
        unknown = set(row) - {"qpi", "dapi", "labels", "name"}
        if unknown or not row.get("qpi") or not row.get("dapi"):
            raise UserError(
                f"Entry {number} of {source} needs qpi and dapi and may have labels and name; "
                f"it has {', '.join(str(k) for k, v in row.items() if v) or 'nothing'}."
            )
        paths = {k: source.parent / str(row[k]) for k in _FOLDERS if row.get(k)}
        for path in paths.values():
            if not path.exists():
                raise UserError(f"Entry {number} of {source} names {path}, which does not exist.")
        name = str(row.get("name") or stem(paths["qpi"]))
        pairs.append(Pair(name, paths["qpi"], paths["dapi"], paths.get("labels")))
    return pairs


def _rows(source: Path) -> list[dict[str, Any]]:
    """Return the entries of a CSV or YAML list."""
    import yaml

    kind = source.suffix.lower()
    try:
        text = source.read_text(encoding="utf-8-sig")  # Excel puts a mark before its UTF-8
        if kind in (".yaml", ".yml"):
            rows = yaml.safe_load(text)
        elif kind == ".csv":
            rows = [
                {(k or "").strip().lower(): (v or "").strip() for k, v in row.items()}
                for row in csv.DictReader(text.splitlines(), restval="")
            ]
        else:
            raise UserError(f"{source} is neither a folder nor a .csv or .yaml list of pairs.")
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as error:
        raise UserError(f"{source} is not a list of pairs in {kind[1:].upper()}.") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{source} must be a list of entries with qpi and dapi.")
    return rows
