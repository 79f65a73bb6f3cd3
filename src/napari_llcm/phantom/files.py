"""Write phantoms as folders: `thin/`, `tissue/`, `thick/`, and one table of the truth."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..events import Finished, Job, Meter, ShouldStop, Started, UserError
from ..volumes import Spacing, Volume, write
from ..volumes.atomic import check_target, write_json
from ..volumes.sole_writer import sole_writer
from ..volumes.thick_slices import ThickOptions, thicken
from .make import SIZE, SPACING, Size, make_phantom
from .scanner import KernelName

TABLE = "phantoms.json"


def write_phantoms(
    out: Path | str,
    n: int = 1,
    size: Size = SIZE,
    seed: int = 0,
    *,
    spacing: Spacing = SPACING,
    kernel: KernelName = "soft",
    noise: float = 15.0,
    thick: ThickOptions | None = None,
    overwrite: bool = False,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Make and write phantoms of the seeds `seed` to `seed + n − 1`.

    Parameters
    ----------
    out : Path or str
        The folder; a second call may add other seeds.
    n : int
        How many.
    size, seed, spacing, kernel, noise
        See `make_phantom`.
    thick : ThickOptions, optional
        Write thick slices too, and of the thin planes those that they cover: a pair under one name
        in `thick/` and `thin/`.
    overwrite : bool
        Whether files that exist may be replaced.
    should_stop : callable, optional
        Asked before each phantom.

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
        raise UserError(f"The number of phantoms must be at least 1, not {n}.")
    out = Path(out).expanduser()
    settings: dict[str, Any] = {"size": size, "seed": seed, "spacing": spacing}
    settings |= {"kernel": kernel, "noise": noise, "thick": thick and thick.model_dump()}
    yield Started(job="phantom", total=n, unit="phantoms", settings=settings)
    meter, names = Meter(n), list[str]()
    with sole_writer(out, folder=True):
        for number in range(seed, seed + n):
            if should_stop is not None and should_stop():
                break
            name = f"phantom-{number:04d}"
            kinds = ("thin", "tissue", *(("thick",) if thick else ()))
            paths = {kind: out / kind / f"{name}.nii.gz" for kind in kinds}
            for path in paths.values():
                check_target(path, overwrite)
            phantom = make_phantom(size, number, spacing=spacing, kernel=kernel, noise=noise)
            volumes = {"thin": phantom.thin, "tissue": phantom.tissue}
            if thick is not None:
                own = thick.model_copy(update={"seed": thick.seed + number})
                volumes["thick"], volumes["thin"] = thicken(phantom.thin, own)
                covered = volumes["thin"].shape[0]
                volumes["tissue"] = phantom.tissue.replace(data=phantom.tissue.data[:covered])
            for kind, volume in volumes.items():
                write(paths[kind], volume, overwrite=overwrite, labels=kind == "tissue")
            found = [asdict(f) for f in phantom.findings]
            _add(out / TABLE, name, {**_about(volumes["thin"]), "findings": found})
            names.append(name)
            emboli = sum(f.kind == "embolus" for f in phantom.findings)
            text = f"{name}: {emboli} emboli, {len(found) - emboli} nodules"
            yield meter.at(len(names), text=text)
    yield Finished(result={"out": str(out), "phantoms": len(names)}, value=names)


def _about(volume: Volume) -> dict[str, Any]:
    return {**volume.metadata, "shape": volume.shape, "spacing": volume.spacing}


def _add(path: Path, name: str, entry: dict[str, Any]) -> None:
    """Add an entry to the table.

    Raises
    ------
    UserError
        If the file is there and is no table.
    """
    table: Any = {}
    if path.exists():
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            table = None
        if not isinstance(table, dict):
            raise UserError(f"{path} is not a table of phantoms: move it away first.")
    write_json(path, {**table, name: entry})
