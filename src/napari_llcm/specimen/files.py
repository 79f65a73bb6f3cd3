"""Write specimens as folders of pairs: `qpi/`, `dapi/`, `labels/` and one table of the truth."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..events import Finished, Job, Meter, Notice, ShouldStop, Started, UserError
from ..volumes import Spacing, Volume, check_stack, labels_of, notices, on_one_grid, write
from ..volumes.apart import check_apart
from ..volumes.atomic import check_target, write_json
from ..volumes.sole_writer import sole_writer
from .difficulty import DifficultyName, find_difficulty
from .families import check_leave_out, draw_specimen
from .make import Size, check_request, make_specimen
from .optics import Modality
from .semisynthetic import specimen_from_dapi
from .truth import Specimen

TABLE = "specimens.json"


def write_specimen(
    folder: Path | str, specimen: Specimen, name: str, *, overwrite: bool = False
) -> dict[str, Path]:
    """Write one specimen and add it to the folder's table.

    Parameters
    ----------
    folder : Path or str
        Gets `qpi/NAME.ome.tif`, `dapi/NAME.ome.tif`, `labels/NAME.ome.tif` and `specimens.json`.
    specimen : Specimen
        What to write.
    name : str
        File name without suffix, the same in each folder.
    overwrite : bool
        Whether files that exist may be replaced.

    Returns
    -------
    dict of str to Path
        The files: "qpi", "dapi" and "labels".

    Raises
    ------
    UserError
        If a file exists or cannot be written.
    """
    folder = Path(folder).expanduser()
    table = _read_table(folder)
    volumes = {"qpi": specimen.qpi, "dapi": specimen.dapi, "labels": specimen.labels}
    paths = {}
    for kind, volume in volumes.items():
        path = _paths(folder, name)[kind]
        paths[kind] = write(path, volume, overwrite=overwrite, labels=kind == "labels")
    table[name] = {
        **specimen.qpi.metadata,
        "shape": specimen.qpi.shape,
        "spacing": specimen.qpi.spacing,
        "nuclei": [asdict(nucleus) for nucleus in specimen.nuclei],
    }
    write_json(folder / TABLE, table)
    return paths


def write_specimens(
    out: Path | str,
    n: int,
    size: Size = (48, 192, 192),
    seed: int = 0,
    difficulty: DifficultyName = "medium",
    *,
    spacing: Spacing = (0.8, 0.5, 0.5),
    modality: Modality | None = None,
    dapi: Volume | None = None,
    labels: Volume | None = None,
    families: bool = False,
    leave_out: Collection[str] = (),
    overwrite: bool = False,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Make and write specimens of the seeds `seed` to `seed + n − 1`.

    With `dapi` they are semi-synthetic, see `specimen_from_dapi`; size and spacing are then its.

    Parameters
    ----------
    out : Path or str
        The folder; see `write_specimen`. A second call may add other seeds or difficulties.
    n : int
        How many.
    size, seed, difficulty, spacing, modality
        See `make_specimen`.
    dapi, labels : Volume, optional
        A real DAPI to build around, and its nuclei.
    families : bool
        Draw each specimen from another family, see `draw_specimen`: difficulty, spacing and
        modality are then its.
    leave_out : collection of str
        Tags of the families that are never drawn.
    overwrite : bool
        Whether files that exist may be replaced.
    should_stop : callable, optional
        Asked before each specimen.

    Yields
    ------
    Event
        `Finished.value` is the list of the names written.

    Raises
    ------
    UserError
        If a setting is wrong or a file cannot be written.
    """
    if n < 1:
        raise UserError(f"The number of specimens must be at least 1, not {n}.")
    find_difficulty(difficulty)
    check_request(size, spacing, seed)
    check_leave_out(leave_out)
    if leave_out and not families:
        raise UserError("Tags can be left out of families only: ask for families too.")
    if families and dapi is not None:
        raise UserError("A specimen is drawn from families, or built around a DAPI: choose one.")
    out = Path(out).expanduser()
    settings: dict[str, Any] = {"size": size, "seed": seed}
    settings |= (
        {"families": True, "leave_out": sorted(leave_out)}
        if families
        else {"difficulty": difficulty, "modality": modality}
    )
    yield Started(job="specimen", total=n, unit="specimens", settings=settings)
    meter, names, nuclei = Meter(n), list[str](), 0
    with sole_writer(out, folder=True) as notice:
        yield from [Notice(text=notice, warning=False)] if notice else []
        sources = [None if v is None else v.source for v in (dapi, labels)]
        if dapi is not None and labels is not None:
            dapi, labels = on_one_grid(dapi, labels_of(labels))
        yield from notices(dapi, labels)
        if dapi is not None and (no_data := check_stack(dapi)):
            yield Notice(text=no_data.sentence(dapi.name))
        for number in range(seed, seed + n):
            if should_stop is not None and should_stop():
                break
            name = f"{'family' if families else difficulty}-{number:04d}"
            if dapi is not None:
                name = f"semi-synthetic-{dapi.name}-{name}"
            for target in _paths(out, name).values():
                check_apart(target, sources)
                check_target(target, overwrite)
            if families:
                specimen = draw_specimen(number, size=size, leave_out=leave_out)
            elif dapi is not None:
                specimen = specimen_from_dapi(dapi, labels, number, difficulty, modality)
            else:
                specimen = make_specimen(size, number, difficulty, spacing, modality)
            write_specimen(out, specimen, name, overwrite=overwrite)
            names.append(name)
            nuclei += len(specimen.nuclei)
            tags = ", ".join(specimen.qpi.metadata.get("tags", ()))
            text = f"{name}: {len(specimen.nuclei)} nuclei{f' ({tags})' if tags else ''}"
            yield meter.at(len(names), text=text)
    yield Finished(result={"out": str(out), "specimens": len(names), "nuclei": nuclei}, value=names)


def _paths(folder: Path, name: str) -> dict[str, Path]:
    return {kind: folder / kind / f"{name}.ome.tif" for kind in ("qpi", "dapi", "labels")}


def _read_table(folder: Path) -> dict[str, Any]:
    path = folder / TABLE
    if not path.exists():
        return {}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a table of specimens: move it away first.") from error
    if not isinstance(table, dict):
        raise UserError(f"{path} is not a table of specimens: move it away first.")
    return table
