"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..events import UserError

Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help="Name, folder, run folder or .zip; the shipped one if none."
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Seed = Annotated[int, typer.Option("--seed", "-s", help="Which random field is used.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Events = Annotated[
    str | None, typer.Option("--events", help="'-' prints every event as one line of JSON.")
]
Segmenter = Annotated[str, typer.Option("--segmenter", help="cellpose or classical.")]
Weights = Annotated[
    str | None,
    typer.Option("--weights", help="Cellpose weights: a file, or a model in Cellpose's folder."),
]
Channel = Annotated[str | None, typer.Option("--channel", help="Channel: number or name.")]
Time = Annotated[int | None, typer.Option("--time", help="Time point, from 0.")]
SpacingText = Annotated[
    str | None,
    typer.Option("--spacing", help="Voxel size Z,Y,X in µm, in place of what the file says."),
]


def three(text: str | None, what: str) -> tuple[float, float, float] | None:
    """Return three numbers from "Z,Y,X".

    Raises
    ------
    UserError
        If it is not three numbers.
    """
    if text is None:
        return None
    try:
        z, y, x = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(
            f"{what} needs three numbers Z,Y,X such as 0.8,0.5,0.5, not {text!r}."
        ) from None
    return z, y, x


def as_json(events: str | None) -> bool:
    """Return whether events are printed as JSON lines.

    Raises
    ------
    UserError
        If the option has another value than "-".
    """
    if events not in (None, "-"):
        raise UserError("--events takes '-' (print to standard output) and nothing else.")
    return events == "-"
