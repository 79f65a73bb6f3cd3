"""Write a comparison to disk: a table, the figures, and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..volumes import Volume
from ..volumes.atomic import save_figure, write_json, write_table
from .comparing import Comparison
from .finding import Findings
from .provenance import caption
from .table import COLUMNS, Row

_SIZES = {"z": "", "y": "", "x": "", "depth": "", "volume": "³"}


def write_report(
    folder: Path | str,
    comparison: Comparison,
    qpi: Volume | None = None,
    truth: Volume | None = None,
    stain: Volume | None = None,
) -> dict[str, Path]:
    """Write `nuclei.csv`, `report.json` and `nuclei.png`; older ones are replaced.

    Parameters
    ----------
    folder : Path or str
        Where to; made if need be.
    comparison : Comparison
        What to write.
    qpi : Volume, optional
        The label-free image of the same field, for the picture.
    truth, stain : Volume, optional
        Images to show where labels were compared; those that were compared if None.

    Returns
    -------
    dict of str to Path
        The files: "table", "report" and "figure".

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    from .figures import draw_comparison

    folder = Path(folder).expanduser()
    paths = {
        "table": folder / "nuclei.csv",
        "report": folder / "report.json",
        "figure": folder / "nuclei.png",
    }
    write_rows(paths["table"], comparison.table, comparison.settings)
    write_json(paths["report"], comparison.figures)
    figure = draw_comparison(comparison, qpi, truth, stain)
    save_figure(paths["figure"], figure, facecolor="white")
    return paths


def write_nuclei(folder: Path | str, findings: Findings, faint: Sequence[dict[str, float]]) -> Path:
    """Write the nuclei of a stain, the most trusted first, and the faint places beside them.

    Parameters
    ----------
    folder : Path or str
        Gets `nuclei.csv` and `probably_missed.csv`.
    findings : Findings
        The nuclei, with their confidence.
    faint : sequence of dict
        Places where a nucleus was probably missed; see `Assessed`.

    Returns
    -------
    Path
        The table of nuclei.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    folder = Path(folder).expanduser()
    rows = sorted(findings.table, key=lambda row: -(row.get("confidence") or 0.0))
    write_rows(folder / "nuclei.csv", rows, findings.settings)
    write_table(folder / "probably_missed.csv", ["confidence", "z", "y", "x"], faint)
    return folder / "nuclei.csv"


def write_rows(
    path: Path, rows: Sequence[Row], settings: Mapping[str, Any], first: Sequence[str] = ()
) -> None:
    """Write rows of a table as CSV, whole; its last column says in each row what was checked.

    Parameters
    ----------
    path : Path
        The file.
    rows : sequence of dict
        The nuclei; what they know beyond `COLUMNS`, such as a confidence, follows those.
    settings : mapping
        Of the `Comparison` or `Findings` whose rows they are.
    first : sequence of str
        Columns before the others: which of several images a nucleus is of.
    """
    unit, named = settings["unit"], caption(settings)
    sizes = {"volume": ("area", "²")} if settings.get("projection") else {}
    further = [c for c in (rows[0] if rows else ()) if c not in (*first, *COLUMNS)]
    names = []
    for column in (*first, *COLUMNS):
        name, power = sizes.get(column, (column, _SIZES.get(column)))
        names.append(name if power is None else f"{name} ({unit}{power})")
    told = dict(zip((*first, *COLUMNS, *further), (*names, *further), strict=True))
    shown = ({told[c]: row.get(c) for c in told} | {"check": named} for row in rows)
    write_table(path, [*told.values(), "check"], shown)
