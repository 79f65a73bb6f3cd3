"""What a disk refuses, in one sentence."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..events import UserError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
        if isinstance(error, IsADirectoryError):
            raise UserError(f"{path} cannot be written: there is a folder of this name.") from error
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(f"{path} cannot be written: the name is too long.") from error
        if isinstance(error, FileNotFoundError) and _leads_to(error.filename, path):
            # a drive or a share that is not there, or a system that takes no folders
            raise UserError(
                f"{path} cannot be written: {error.filename} cannot be made there; choose another "
                "folder."
            ) from error
        raise


def _leads_to(name: object, path: Path) -> bool:
    """Tell whether a name is that of a path or of a folder on the way to it."""
    path = path.absolute()
    return isinstance(name, (str, os.PathLike)) and Path(name).absolute() in (path, *path.parents)
