"""What lies in a folder of stacks, and what in it is none."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from ..events import UserError
from .atomic import is_zarr
from .dicom import holds_dicom
from .reading import stem
from .slices import PICTURES

T = TypeVar("T")
# read by this package itself, and by bioio's readers
_STACKS = (
    ".tif", ".tiff", ".btf", ".tf8", ".nii", ".nii.gz", ".zarr",
    ".czi", ".dv", ".ims", ".lif", ".lof", ".lsm", ".mrc", ".mvd2", ".nd2", ".oib", ".oif", ".oir",
    ".r3d", ".sld", ".sldy", ".stk", ".vsi", ".xlef", ".zvi",
)  # fmt: skip
_NAMED = 5  # files that a sentence names


class Found(list[T]):
    """What was found, with what the user should know of it.

    Parameters
    ----------
    items : iterable
        What was found.
    notes : sequence of str
        Sentences, which a job yields as notices.
    """

    def __init__(self, items: Iterable[T] = (), notes: Sequence[str] = ()) -> None:
        super().__init__(items)
        self.notes = tuple(notes)


def find_stacks(folder: Path) -> Found[Path]:
    """Return the files, Zarr stores and folders of planes in a folder, sorted by name.

    What is no stack, such as a document or a picture, is named in the notes.

    Raises
    ------
    UserError
        If two have the same name but for the suffix.
    """
    stacks, notes = stacks_by_name(folder)
    return Found(stacks.values(), notes)


def stacks_by_name(folder: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return the stacks of a folder by their names without suffix, and a note on what is none.

    A Mac writes "ö" in two characters, others in one: names are compared in the short form.

    Raises
    ------
    UserError
        If two have the same name.
    """
    found: dict[str, Path] = {}
    passed_over = []
    for file in sorted(folder.iterdir()):
        if file.name.startswith("."):
            continue
        if not _is_stack(file):
            passed_over.append(file.name)
            continue
        name = short_form(stem(file))
        if name in found:
            raise UserError(f"{found[name]} and {file} have the same name: keep one of them.")
        found[name] = file
    if not passed_over:
        return found, ()
    more = f" and {len(passed_over) - _NAMED} more" if len(passed_over) > _NAMED else ""
    return found, (
        f"Passed over in {folder}, as they are no stacks: {', '.join(passed_over[:_NAMED])}{more}.",
    )


def short_form(name: str) -> str:
    """Return a name with each letter and its accent as one character (Unicode NFC)."""
    return unicodedata.normalize("NFC", name)


def existing(path: Path) -> Path:
    """Return the path that is there, if only the spelling of its accents differs; else `path`."""
    if path.exists() or path.parent == path:
        return path
    parent = existing(path.parent)
    if parent.is_dir():
        for file in parent.iterdir():
            if short_form(file.name) == short_form(path.name):
                return file
    return path


def _is_stack(path: Path) -> bool:
    if path.is_dir():
        return (
            is_zarr(path)
            or any(
                f.name.lower().endswith((*_STACKS, *PICTURES)) and f.name[0] != "."
                for f in path.iterdir()
            )
            or holds_dicom(path)
        )
    return path.name.lower().endswith(_STACKS)  # a picture alone is a plane
