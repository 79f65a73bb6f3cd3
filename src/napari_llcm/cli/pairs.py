"""`napari-llcm pairs`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import print_table
from .from_models import options_from_models
from .options import PairReading

if TYPE_CHECKING:
    pass


@options_from_models
def pairs(
    source: Annotated[Path, typer.Argument(help="Folder with qpi/ and dapi/, or a CSV/YAML list.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for a figure of each pair.")
    ] = None,
    apply: Annotated[
        Path | None,
        typer.Option(
            "--apply", help="Write the pairs here, DAPI (and labels) moved where they are shifted."
        ),
    ] = None,
    *,
    reading: PairReading,
) -> None:
    """Check pairs: shape, spacing, and whether phase and DAPI lie on each other."""
    from ..volumes import apply_shift, check_registration, find_pairs, write

    rows = []
    for pair in find_pairs(source, reading):
        qpi, dapi, labels = pair.read()
        registration = check_registration(qpi, dapi)
        shift = ", ".join(f"{s:+.2f}" for s in registration.shift)
        rows.append([pair.name, registration.verdict, shift, registration.sentence])
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            registration.figure().savefig(out / f"{pair.name}.png", dpi=110)
        if apply is not None:
            shifted = registration.verdict == "shifted"
            for kind, volume in (("qpi", qpi), ("dapi", dapi), ("labels", labels)):
                if volume is None:
                    continue
                if shifted and kind != "qpi":
                    order = 0 if kind == "labels" else 1
                    volume = apply_shift(volume, registration.shift, order=order)
                target = apply / kind / f"{pair.name}.ome.tif"
                write(target, volume, labels=kind == "labels")
    print_table(["pair", "verdict", "shift (z, y, x) in voxels", ""], rows)
