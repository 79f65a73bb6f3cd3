"""Options that several verbs share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from ..events import UserError
from ..models.nucleus_width import NucleusWidth
from ..nuclei.options import CheckOptions, FindOptions, SegmentOptions
from ..staining.options import PlateOptions, StainOptions
from ..volumes.options import (
    CheckReadOptions,
    PairReadOptions,
    ReadOptions,
    SpecimenReadOptions,
)
from .from_models import FromModel


def finite(value: float | None) -> float | None:
    """Return a number that is one, and not the "nan" or "inf" that also pass as numbers.

    Raises
    ------
    typer.BadParameter
        If it is none.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no number that can be worked with.")
    return value


Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Name, folder, run folder or .zip; universal-v1, which is shipped, if none.",
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Seed = Annotated[int, typer.Option("--seed", "-s", help="Which random field is used.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Events = Annotated[
    str | None, typer.Option("--events", help="'-' prints every event as one line of JSON.")
]
Segmenting = Annotated[SegmentOptions, FromModel()]
Finding = Annotated[FindOptions, FromModel()]
Checking = Annotated[CheckOptions, FromModel()]
Staining = Annotated[StainOptions, FromModel(short={"seed": "-s"}, leave_out=("tiling",))]
Plates = Annotated[PlateOptions, FromModel(heading="Of a plate")]
Width = Annotated[NucleusWidth, FromModel()]
_READING = FromModel(heading="How files are read")
Reading = Annotated[ReadOptions, _READING]
PairReading = Annotated[PairReadOptions, _READING]
SpecimenReading = Annotated[SpecimenReadOptions, _READING]
CheckReading = Annotated[CheckReadOptions, _READING]


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
