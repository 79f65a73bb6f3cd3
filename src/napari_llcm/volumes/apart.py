"""No output takes the place of what it is made from."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..events import UserError


def check_apart(out: Path, inputs: Iterable[Path | str | None], *, replaced: bool = True) -> None:
    """Refuse an output that is an input, lies inside one, or would take its place.

    Paths are compared by what they lead to: links, relative paths and other spellings of a name
    are seen through.

    Parameters
    ----------
    out : Path
        What is going to be written.
    inputs : iterable of Path
        What is read: files, and folders that are an image as a whole (a Zarr, planes). None is
        left out.
    replaced : bool
        Whether `out` is replaced as a whole, so that an input inside it would be lost.

    Raises
    ------
    UserError
        If they are not apart.
    """
    for given in inputs:
        if given is None:
            continue
        source = Path(given)
        if same_place(out, source):
            raise UserError(f"The output {out} is the input: choose another output.")
        if _within(out, source):
            raise UserError(f"The output {out} lies inside the input {source}: choose another.")
        if replaced and _within(source, out):
            raise UserError(f"The output {out} would replace the input {source}: choose another.")


def same_place(one: Path, other: Path) -> bool:
    """Tell whether two paths, which need not exist, lead to the same file or folder."""
    try:
        return one.samefile(other)
    except OSError:  # one of them does not exist
        return _resolved(one) == _resolved(other)


def _within(inner: Path, folder: Path) -> bool:
    """Tell whether a path, which need not exist, lies in a folder."""
    return any(same_place(parent, folder) for parent in _resolved(inner).parents)


def _resolved(path: Path) -> Path:
    """Return where a path leads; `Path.resolve` raises where links lead to each other."""
    return Path(os.path.realpath(path))
