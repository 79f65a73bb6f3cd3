"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..events import UserError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a Zarr group or array, of either format."""
    return any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray", ".zattrs"))


def partial_path(path: Path) -> Path:
    """Return the sibling in which `path` is prepared."""
    return path.with_name(path.name + ".partial")


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def check_target(path: Path, overwrite: bool) -> None:
    """Make the parent folder; refuse a target that must not be replaced.

    Raises
    ------
    UserError
        If the target exists and may not, or cannot safely, be overwritten.
    """
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists already; choose another name or pass overwrite.")
    if path.is_dir() and any(path.iterdir()) and not is_zarr(path):
        raise UserError(f"{path} is a folder that holds other files; choose another name.")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)


def put_in_place(partial: Path, path: Path) -> None:
    """Rename the finished `partial` to `path`, replacing what is there."""
    if path.is_dir():  # os.replace does not replace a folder that holds files
        shutil.rmtree(path)
    os.replace(partial, path)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full or forbidden disk into one sentence.

    Raises
    ------
    UserError
        In place of the OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise UserError(
                f"There is no space left to write {path}; free some, or choose another disk."
            ) from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise UserError(f"{path} cannot be written: permission denied.") from error
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            raise UserError(f"{path} cannot be written: {error.filename} is a file.") from error
        raise


@contextmanager
def whole_or_nothing(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary sibling that becomes `path` on success and vanishes on any error.

    Parameters
    ----------
    path : Path
        Where the file or folder shall be.
    overwrite : bool
        Whether one that exists may be replaced.

    Raises
    ------
    UserError
        If the target may not be written, or the disk is full.
    """
    check_target(path, overwrite)
    partial = partial_path(path)
    remove(partial)
    try:
        with disk_errors(path):
            yield partial
            put_in_place(partial, path)
    except BaseException:
        remove(partial)
        raise
