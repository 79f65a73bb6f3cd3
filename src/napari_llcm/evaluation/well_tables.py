"""What is written of the nuclei of a plate: a table for each well, one of all, and how it was made.

`plate.json` holds all that a later job needs to go on, and what a plate browser shows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..events import UserError
from ..volumes.atomic import write_json, write_table
from ..volumes.plate_writing import record_of
from .checking import Check

if TYPE_CHECKING:
    from .checking_plates import WellNuclei

WELLS, STATE = "wells.csv", "plate.json"
_COLUMNS = ("well", "fields", "stacks", "nuclei", "nuclei_per_stack")
_JUDGED = ("truth_nuclei", "found", "missed", "hallucinated", "recall", "precision", "f1")


class WellTables:
    """The tables of a plate in a folder, filled well by well.

    Parameters
    ----------
    check : Check
        What is checked, and how; its folder gets the tables.
    segmenter : str
        What finds the nuclei.
    wells : sequence of str
        All wells, in the order of the plate.

    Attributes
    ----------
    rows : dict
        Well to its row in `wells.csv`; those of an earlier job of the same making, to begin with.

    Raises
    ------
    UserError
        If the folder holds tables of another making.
    """

    def __init__(self, check: Check, segmenter: str, wells: Sequence[str]) -> None:
        self._folder, self._wells = check.out, list(wells)
        self._made = _made(check, segmenter)
        self.rows: dict[str, dict[str, Any]] = {}
        self._counts: dict[str, dict[str, Any]] = {}
        known = known_wells(self._folder)
        if known is None:
            return
        if known.get("made") != self._made:
            raise UserError(
                f"{self._folder} holds the nuclei of another plate, or of other settings: choose "
                "another folder, or remove it."
            )
        self.rows = {w: row for w, row in known["wells"].items() if w in wells and row["complete"]}
        self._counts = {w: c for w, c in known["counts"].items() if w in self.rows}

    def add(self, found: WellNuclei, *, whole: bool) -> None:
        """Write the table of a well, and its row into that of all.

        Parameters
        ----------
        found : WellNuclei
            Its nuclei.
        whole : bool
            Whether all its fields were checked; if not, a later job checks the well anew.
        """
        from ..nuclei.report import write_rows

        if found.stacks:
            path = self._folder / f"{found.name.replace('/', '_')}.csv"
            write_rows(path, found.rows, found.settings, first=("field", "time"))
        each = round(found.nuclei / found.stacks, 4) if found.stacks else None
        row: dict[str, Any] = {
            "well": found.name,
            "fields": len(found.fields),
            "stacks": found.stacks,
            "nuclei": found.nuclei,
            "nuclei_per_stack": each,
        }
        if found.counts is not None:
            figures = found.counts.figures()
            row |= {name: figures[name] for name in _JUDGED}
            self._counts[found.name] = asdict(found.counts)
        self.rows[found.name] = row | {"complete": whole}
        columns = [*_COLUMNS, *(_JUDGED if self._counts else ()), "complete"]
        write_table(self._folder / WELLS, columns, self._ordered())
        state = {"made": self._made, "wells": self.rows, "counts": self._counts}
        write_json(self._folder / STATE, state)

    def result(self) -> dict[str, Any]:
        """Return all rows, how many nuclei there are, and with a truth the figures of all."""
        from ..nuclei.counts import Counts

        rows = self._ordered()
        result: dict[str, Any] = {
            "out": str(self._folder),
            "wells": rows,
            "nuclei": sum(row["nuclei"] for row in rows),
        }
        if self._counts:
            counts = [
                Counts(**{**one, "true_positives": tuple(one["true_positives"])})
                for one in self._counts.values()
            ]
            result["figures"] = sum(counts, Counts()).figures()
        return result

    def _ordered(self) -> list[dict[str, Any]]:
        return [self.rows[well] for well in self._wells if well in self.rows]


def known_wells(folder: Path) -> dict[str, Any] | None:
    """Return what a folder knows of the wells of a plate; None where it holds no such tables.

    Parameters
    ----------
    folder : Path
        The folder that `check_plate` wrote to.

    Returns
    -------
    dict or None
        "made", how; "wells", well to its row; "counts", well to the counts behind it.

    Raises
    ------
    UserError
        If it is damaged.
    """
    path = folder / STATE
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return {"made": known["made"], "wells": dict(known["wells"]), "counts": known["counts"]}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: remove {folder}, and check anew.") from error


def _made(check: Check, segmenter: str) -> dict[str, Any]:
    """Return what the nuclei depend on, as JSON; tables that say else are not gone on with."""
    made: dict[str, Any] = {
        "stain": check.stain.name,
        "stain_made": record_of(check.stain),
        "truth": None if check.truth is None else check.truth.name,
        "qpi": None if check.qpi is None else check.qpi.name,
        "model": check.model if check.qpi is not None and check.truth is None else None,
        "segmenter": segmenter,
        "diameter": check.diameter,
        "iou": check.iou,
        "projection": check.projection,
        "labels": [check.truth_is_labels, check.stain_is_labels],
        "read": check.reading.model_dump(mode="json", exclude_defaults=True, exclude={"image"}),
    }
    return dict(json.loads(json.dumps(made)))
