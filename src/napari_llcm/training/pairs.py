"""Pairs before a training: do they lie on each other, and how open volumes become files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..events import Finished, Job, Meter, ShouldStop, Started, UserError
from ..volumes import Volume, check_registration, check_stack, find_pairs, write

_CHECKED = 6  # pairs whose registration is looked at
NamedPair = tuple[str, Volume, Volume]


def check_pairs(source: Path | Sequence[NamedPair], should_stop: ShouldStop | None = None) -> Job:
    """Look at pairs before a minute is trained: grids, contents, registration.

    Parameters
    ----------
    source : Path or sequence of (str, Volume, Volume)
        A folder or a list of pairs, or name, label-free and DAPI volume of each.
    should_stop : callable, optional
        Asked between the pairs; the job ends without `Finished` when it returns True.

    Yields
    ------
    Event
        `Started`, `Progress`, and `Finished` with "pairs" (how many there are), "voxels" and
        "checked", a list of name, verdict and sentence.

    Raises
    ------
    UserError
        If there are no pairs, or the stacks of one do not fit each other.
    """
    if isinstance(source, Path):
        pairs = [(p.name, *p.read()[:2]) for p in find_pairs(source)]
    else:
        pairs = list(source)
        for name, qpi, dapi in pairs:
            _check_grid(name, qpi, dapi)
    chosen = looked_at(len(pairs))
    yield Started(job="pairs", total=len(chosen))
    meter = Meter(len(chosen))
    checked = []
    for done, index in enumerate(chosen):
        if should_stop is not None and should_stop():
            return
        name, qpi, dapi = pairs[index]
        yield meter.at(done, f"looking whether {name} lies on its DAPI")
        found = check_registration(qpi, dapi)
        checked.append({"name": name, "verdict": found.verdict, "sentence": found.sentence})
    yield meter.at(len(chosen))
    voxels = sum(int(np.prod(qpi.shape)) for _, qpi, _ in pairs)
    result: dict[str, Any] = {"pairs": len(pairs), "voxels": voxels, "checked": checked}
    yield Finished(result=result, value=result)


def looked_at(count: int) -> list[int]:
    """Return which of `count` pairs are looked at: a few, spread over the list."""
    chosen = np.linspace(0, count - 1, _CHECKED).round().astype(int)
    return [int(i) for i in np.unique(chosen)]


def write_pairs(
    pairs: Sequence[NamedPair], folder: Path, should_stop: ShouldStop | None = None
) -> Job:
    """Write volumes as pairs of OME-TIFF files, as a training reads them.

    Parameters
    ----------
    pairs : sequence of (str, Volume, Volume)
        Name, label-free and DAPI volume of each.
    folder : Path
        Gets the folders `qpi` and `dapi`; files of the same names are replaced.
    should_stop : callable, optional
        Asked between the pairs; the job ends without `Finished` when it returns True.

    Yields
    ------
    Event
        `Started`, `Progress`, and `Finished` with the folder as its value.

    Raises
    ------
    UserError
        If the stacks of a pair do not fit each other, or the disk is full.
    """
    yield Started(job="pairs", total=len(pairs))
    meter = Meter(len(pairs))
    for done, (name, qpi, dapi) in enumerate(pairs):
        if should_stop is not None and should_stop():
            return
        _check_grid(name, qpi, dapi)
        yield meter.at(done, f"saving {name}")
        file = re.sub(r"[^\w.+-]+", "_", name).strip("._") or "pair"
        for kind, volume in (("qpi", qpi), ("dapi", dapi)):
            write(folder / kind / f"{done + 1:03d}_{file}.ome.tif", volume, overwrite=True)
    yield meter.at(len(pairs))
    yield Finished(result={"pairs": len(pairs), "folder": str(folder)}, value=folder)


def _check_grid(name: str, qpi: Volume, dapi: Volume) -> None:
    for volume in (qpi, dapi):
        if volume.axes != "zyx":
            raise UserError(
                f"{volume.name} is not one stack of planes (its axes are {volume.axes}): "
                "training needs 3D stacks."
            )
        check_stack(volume)
    if qpi.shape != dapi.shape:
        raise UserError(
            f"{name}: {qpi.name} has {qpi.shape} voxels and {dapi.name} {dapi.shape}: choose two "
            "stacks of one field on the same grid."
        )
