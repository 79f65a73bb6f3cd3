"""Files and folders that are there whole or not at all: everything is written through here."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from ..events import UserError
from .disk_errors import disk_errors

_COUNT = itertools.count()
_PIECE = 65536  # bytes


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a Zarr group or array, of either format."""
    return any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray", ".zattrs"))


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def linked(path: Path) -> Path:
    """Return where a symbolic link leads, so that the link stays; any other path as it is."""
    return path.resolve() if path.is_symlink() else path


def check_target(path: Path, overwrite: bool) -> None:
    """Make the parent folder; refuse a target that must not be replaced.

    Raises
    ------
    UserError
        If the target exists and may not, or cannot safely, be overwritten.
    """
    with disk_errors(path):
        if path.exists() and not overwrite:
            raise UserError(f"{path} exists already; choose another name or pass overwrite.")
        if path.is_dir() and any(path.iterdir()) and not is_zarr(path):
            raise UserError(f"{path} is a folder that holds other files; choose another name.")
        path.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def whole_or_nothing(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary sibling that becomes `path` on success and vanishes on any error.

    It lies in the same folder, since a rename is whole only within one file system, and reaches
    the disk before it is renamed, or a power cut would leave an empty file of the right name.

    Parameters
    ----------
    path : Path
        Where the file or folder shall be.
    overwrite : bool
        Whether a file, or a Zarr folder, that exists may be replaced.

    Yields
    ------
    Path
        Where to write the file, or the folder.

    Raises
    ------
    UserError
        If the target may not be written, or the disk is full.
    """
    check_target(path, overwrite)
    with replacing(path) as partial:
        yield partial


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Do as `whole_or_nothing`, without a look at what is at `path`: it is replaced.

    Yields
    ------
    Path
        Where to write the file, or the folder.

    Raises
    ------
    UserError
        If it cannot be written, or is a device or a pipe, which a rename would take away.
    """
    path = linked(path)
    with disk_errors(path):
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UserError(f"{path} is no file: choose another name.")
        path.parent.mkdir(parents=True, exist_ok=True)
        _tidy(path)
        partial = path.with_name(f".{path.name}.{_owner()}-{os.getpid()}-{next(_COUNT)}.partial")
        try:
            yield partial
            put_in_place(partial, path)
        finally:
            with suppress(OSError):
                remove(partial)


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, whole or not at all; an older file is replaced.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all; NumPy's numbers as numbers. See `write_text`."""
    write_text(path, json.dumps(content, indent=2, default=float) + "\n")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as CSV, whole or not at all; an older file is replaced.

    Parameters
    ----------
    path : Path
        Where to.
    columns : sequence of str
        Names of the columns.
    rows : iterable of mapping
        Column to value; what is missing stays empty.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def save_figure(path: Path, figure: Any, **how: Any) -> None:
    """Write a figure of matplotlib, whole or not at all; the suffix tells the format.

    Parameters
    ----------
    path : Path
        An older file is replaced.
    figure : matplotlib.figure.Figure
        What to write.
    **how
        As for its `savefig`.

    Raises
    ------
    UserError
        If it cannot be written, or matplotlib knows no such format.
    """
    how.setdefault("format", path.suffix[1:].lower() or "png")
    known = figure.canvas.get_supported_filetypes()
    if how["format"] not in known:
        raise UserError(f"{path} must end with .png, .pdf or .svg.")
    with replacing(path) as partial:
        figure.savefig(partial, **how)


def open_log(path: Path) -> TextIO:
    """Open a text file that lines are added to.

    It cannot be written whole; a last line that was cut off, as the power went, is cut away, or
    the next one would be lost with it.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    with disk_errors(path):
        with path.open("ab+") as file:
            end = file.seek(0, os.SEEK_END)
            while end > 0:
                start = max(end - _PIECE, 0)
                file.seek(start)
                last = file.read(end - start).rfind(b"\n")
                if last >= 0:
                    end = start + last + 1
                    break
                end = start
            file.truncate(end)
        return path.open("a", encoding="utf-8", newline="")


def put_in_place(partial: Path, path: Path) -> None:
    """Rename the finished `partial` to `path`, replacing what is there.

    Raises
    ------
    OSError
        If that is not possible; what was at `path` is there still.
    """
    _flush(partial)
    aside = partial.with_name(partial.name + ".old")
    moved = path.is_dir() and not path.is_symlink()  # os.replace takes no folder's place
    if moved:
        os.replace(path, aside)
    try:
        os.replace(partial, path)
    except OSError:
        if moved:
            os.replace(aside, path)
        raise
    _flush_folder(path.parent)
    if moved:
        shutil.rmtree(aside, ignore_errors=True)


def _flush(path: Path) -> None:
    """Have a file, or all of a folder, reach the disk."""
    if not path.is_dir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    elif hasattr(os, "sync"):
        os.sync()  # one call for the many chunks of a Zarr, each of which would take milliseconds
    else:
        for entry in path.rglob("*"):
            if entry.is_file():
                _flush(entry)


def _flush_folder(path: Path) -> None:
    """Have a folder's new entry reach the disk, where the system can."""
    with suppress(OSError):  # Windows opens no folder, and some network shares flush none
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _owner() -> str:
    """Return a few letters that stand for this computer."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:6]


def _tidy(path: Path) -> None:
    """Remove what a job that was killed while it wrote `path` has left behind on this computer."""
    import psutil

    left = re.compile(rf"\.{re.escape(path.name)}\.{_owner()}-(\d+)-\d+\.partial(\.old)?")
    for entry in path.parent.iterdir():
        found = left.fullmatch(entry.name)
        if found is None or psutil.pid_exists(int(found[1])):
            continue
        if found[2] and not path.exists():  # killed between its two renames
            os.replace(entry, path)
        else:
            remove(entry)
