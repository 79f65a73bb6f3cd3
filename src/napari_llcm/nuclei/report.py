"""Write a comparison to disk: a table, the figures, and a picture."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from ..volumes import Volume
from ..volumes.atomic import whole_or_nothing
from .comparing import Comparison
from .confidence import Assessed
from .table import COLUMNS, measured_nuclei

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
    with whole_or_nothing(paths["table"], overwrite=True) as partial:
        _write_table(partial, comparison)
    with whole_or_nothing(paths["report"], overwrite=True) as partial:
        partial.write_text(json.dumps(comparison.figures, indent=2) + "\n", "utf-8")
    with whole_or_nothing(paths["figure"], overwrite=True) as partial:
        figure = draw_comparison(comparison, qpi, truth, stain)
        figure.savefig(partial, format="png", facecolor="white")
    return paths


def write_nuclei(folder: Path | str, labels: Volume, stain: Volume, assessed: Assessed) -> Path:
    """Write the nuclei of a stain with their confidence, and the faint places beside them.

    Parameters
    ----------
    folder : Path or str
        Gets `nuclei.csv` and `probably_missed.csv`.
    labels, stain : Volume
        The nuclei and the stain.
    assessed : Assessed
        Their confidence.

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
    rows = [
        {"id": label, "confidence": round(assessed.confidence[label], 4), **row}
        for label, row in measured_nuclei(labels, stain).items()
    ]
    tables = {
        "nuclei.csv": sorted(rows, key=lambda r: -r["confidence"]),
        "probably_missed.csv": assessed.faint,
    }
    for name, table in tables.items():
        with (
            whole_or_nothing(folder / name, overwrite=True) as partial,
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, list(table[0]) if table else ["confidence"])
            writer.writeheader()
            writer.writerows(table)
    return folder / "nuclei.csv"


def _write_table(path: Path, comparison: Comparison) -> None:
    unit = comparison.settings["unit"]
    names = [f"{c} ({unit}{_SIZES[c]})" if c in _SIZES else c for c in COLUMNS]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([row[c] for c in COLUMNS] for row in comparison.table)
