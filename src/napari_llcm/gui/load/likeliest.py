"""What the reader does for a file that is dropped on napari: no window is known here."""

from __future__ import annotations

from typing import Any

from ...volumes import ChoiceNeeded, Volume, read


def read_likeliest(path: str) -> Volume:
    """Read a volume; where a choice is needed, nobody can be asked: the likeliest is taken.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    try:
        return read(path)
    except ChoiceNeeded as needed:
        choice: dict[str, Any] = {needed.option: needed.example}
        return read(path, **choice).noted(
            f"{needed.problem}: {needed.example} was taken as {needed.option}. Open it with the "
            "Load panel to choose another."
        )
