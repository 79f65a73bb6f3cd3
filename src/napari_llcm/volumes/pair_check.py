"""The check of pairs: does each DAPI lie on its label-free stack? And their mended copies."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..events import Event, Finished, Job, Meter, Notice, ShouldStop, Started, UserError
from .apart import check_apart
from .atomic import check_target, save_figure
from .options import PairReadOptions
from .pairs import Pair, find_pairs, inputs_of
from .registration import Registration, apply_shift, check_registration
from .sole_writer import sole_writer
from .volume import Volume, notices
from .writing import losses, write

StainStack = Callable[[Volume], Generator[Event, None, Volume | None]]
_KINDS = ("qpi", "dapi", "labels")


def check_pairs(
    source: Path,
    *,
    out: Path | None = None,
    apply: Path | None = None,
    reading: PairReadOptions | None = None,
    stain: StainStack | None = None,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Check shape, spacing and registration of pairs; draw them, and write mended copies.

    A pair that cannot be read or checked is told, and the others are checked.

    Parameters
    ----------
    source : Path
        A folder or a list of pairs.
    out : Path, optional
        Folder for a figure of each pair.
    apply : Path, optional
        Folder for the pairs, with DAPI (and labels) moved where they are surely shifted. An
        unrelated pair is not written.
    reading : PairReadOptions, optional
        How their files are read.
    stain : callable, optional
        Stains a label-free stack: its virtual DAPI is compared in its place, which tells more.
    should_stop : callable, optional
        Asked before each pair; what is done is kept.

    Yields
    ------
    Event
        At the end `Finished`; `result["pairs"]` has name, verdict, shift (z, y, x) in voxels and
        sentence of each, `result["failed"]` the names of those that could not be checked, and
        `result["unrelated"]` of those that show different places.

    Raises
    ------
    UserError
        If there are no pairs, or a folder for the results cannot be written or holds the pairs.
    """
    yield Started(job="pairs", unit="pairs")
    pairs = find_pairs(source, reading)
    yield from notices(pairs)
    _check_folders(pairs, source, out, apply)
    with ExitStack() as stack:
        for folder in (out, apply):
            if folder is not None:
                notice = stack.enter_context(sole_writer(folder, folder=True))
                yield from [Notice(text=notice, warning=False)] if notice else []
        if apply is not None:
            for target in _targets(pairs, apply):
                check_target(target, overwrite=False)
        meter, rows, failed, stopped = Meter(len(pairs)), list[dict[str, Any]](), list[str](), False
        for number, pair in enumerate(pairs):
            yield meter.at(number, pair.name)
            if should_stop is not None and should_stop():
                stopped = True
                break
            try:
                found = yield from _checked(pair, out, apply, stain)
                if found is None:
                    stopped = True
                    break
                row: dict[str, Any] = {
                    "verdict": found.verdict, "shift": found.shift, "sentence": found.sentence
                }  # fmt: skip
            except UserError as error:
                failed.append(pair.name)
                row = {"verdict": "failed", "shift": None, "sentence": str(error)}
                yield Notice(text=f"{pair.name} was left out. {error}")
            if row["verdict"] == "unrelated" and apply is not None:
                yield Notice(text=f"{pair.name} was not written to {apply}. {row['sentence']}")
            rows.append({"name": pair.name, **row})
        yield meter.at(len(rows))
    unrelated = [str(row["name"]) for row in rows if row["verdict"] == "unrelated"]
    result = {"pairs": rows, "failed": failed, "unrelated": unrelated, "stopped": stopped}
    yield Finished(result=result, value=rows)


def _checked(
    pair: Pair, out: Path | None, apply: Path | None, stain: StainStack | None
) -> Generator[Event, None, Registration | None]:
    """Check one pair, draw it and write its mended copy.

    Return the `Registration`, or None where the user stopped the staining.
    """
    stacks = dict(zip(_KINDS, pair.read(flat=True), strict=True))
    qpi, dapi = stacks["qpi"], stacks["dapi"]
    assert qpi is not None
    assert dapi is not None
    yield from notices(*stacks.values())
    virtual = None
    if stain is not None:
        virtual = yield from stain(qpi)
        if virtual is None:
            return None
    registration = check_registration(qpi, dapi, stain=virtual)
    yield from (Notice(text=note) for note in registration.notes)
    if out is not None:
        save_figure(out / f"{pair.name}.png", registration.figure(), dpi=110)
    if apply is not None and registration.verdict != "unrelated":
        for kind, volume in stacks.items():
            if volume is not None:
                moved = _moved(volume, kind, registration)
                target = apply / kind / f"{pair.name}.ome.tif"
                yield from (Notice(text=text) for text in losses(target, moved))
                write(target, moved, labels=kind == "labels")
    return registration


def _moved(volume: Volume, kind: str, registration: Registration) -> Volume:
    if kind == "qpi" or registration.verdict != "shifted":
        return volume
    return apply_shift(volume, registration.shift, order=0 if kind == "labels" else 1)


def _check_folders(pairs: list[Pair], source: Path, out: Path | None, apply: Path | None) -> None:
    """Refuse to write onto the pairs."""
    inputs = inputs_of(source, pairs)
    if apply is not None:
        for target in _targets(pairs, apply):
            check_apart(target, inputs)
    if out is not None:
        for pair in pairs:
            check_apart(out / f"{pair.name}.png", inputs)


def _targets(pairs: list[Pair], apply: Path) -> Iterator[Path]:
    """Yield every file that mended copies are written to."""
    for pair in pairs:
        for kind, path in zip(_KINDS, (pair.qpi, pair.dapi, pair.labels), strict=True):
            if path is not None:
                yield apply / kind / f"{pair.name}.ome.tif"
