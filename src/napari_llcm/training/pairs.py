"""Pairs before a training: one grid, one voxel size, registration; open volumes as files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..events import Finished, Job, Meter, Notice, ShouldStop, Started, UserError
from ..tasks import Task
from ..tasks.registry import STAIN
from ..volumes import (
    Found,
    Pair,
    Spacing,
    Volume,
    check_registration,
    check_stack,
    needs_resampling,
    notices,
    on_one_grid,
    write,
)
from ..volumes.flat import as_flat, beside, holds_one_plane
from ..volumes.grids import in_words, micron

_CHECKED = 6  # pairs whose registration is looked at
_NAMED = 5  # pairs that a sentence names
NamedPair = tuple[str, Volume, Volume]


def check_pairs(
    source: Path | Sequence[NamedPair],
    should_stop: ShouldStop | None = None,
    task: Task = STAIN,
) -> Job:
    """Look at pairs before a minute is trained: grids, contents, registration.

    Parameters
    ----------
    source : Path or sequence of (str, Volume, Volume)
        A folder or a list of pairs, or name, label-free and DAPI volume of each.
    should_stop : callable, optional
        Asked between the pairs; the job ends without `Finished` when it returns True.
    task : Task
        What the stacks of a pair are.

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
    listed: Found[Pair] = Found()
    if isinstance(source, Path):
        listed = task.find_pairs(source)
        pairs = [(p.name, *p.read(flat=True)[:2]) for p in listed]
    else:
        pairs = [(name, *_on_one_grid(name, inputs, outputs)) for name, inputs, outputs in source]
    chosen = looked_at(len(pairs))
    yield Started(job="pairs", total=len(chosen))
    yield from notices(listed)
    yield from few(notices(*(volume for _, *both in pairs for volume in both)))
    meter = Meter(len(chosen))
    checked = []
    for done, index in enumerate(chosen):
        if should_stop is not None and should_stop():
            return
        name, inputs, outputs = pairs[index]
        yield meter.at(done, f"looking whether {name} lies on its DAPI")
        found = check_registration(inputs, outputs)
        yield from (Notice(text=note) for note in found.notes)
        checked.append({"name": name, "verdict": found.verdict, "sentence": found.sentence})
    yield meter.at(len(chosen))
    voxels = sum(int(np.prod(inputs.shape)) for _, inputs, _ in pairs)
    result: dict[str, Any] = {"pairs": len(pairs), "voxels": voxels, "checked": checked}
    yield Finished(result=result, value=result)


def looked_at(count: int) -> list[int]:
    """Return which of `count` pairs are looked at: a few, spread over the list."""
    chosen = np.linspace(0, count - 1, _CHECKED).round().astype(int)
    return [int(i) for i in np.unique(chosen)]


def write_pairs(
    pairs: Sequence[NamedPair],
    folder: Path,
    should_stop: ShouldStop | None = None,
    task: Task = STAIN,
) -> Job:
    """Write volumes as pairs of OME-TIFF files, as a training reads them.

    Parameters
    ----------
    pairs : sequence of (str, Volume, Volume)
        Name, label-free and DAPI volume of each.
    folder : Path
        Gets a folder for each, named as the task's channels; files of the same names are replaced.
    should_stop : callable, optional
        Asked between the pairs; the job ends without `Finished` when it returns True.
    task : Task
        What the stacks of a pair are.

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
    for done, (name, inputs, outputs) in enumerate(pairs):
        if should_stop is not None and should_stop():
            return
        inputs, outputs = _on_one_grid(name, inputs, outputs)
        yield from notices(inputs, outputs)
        yield meter.at(done, f"saving {name}")
        file = file_name(name, done if len(pairs) > 1 else None)
        for kind, volume in zip(task.channels.names, (inputs, outputs), strict=True):
            write(folder / kind / f"{file}.ome.tif", volume, overwrite=True)
    yield meter.at(len(pairs))
    yield Finished(result={"pairs": len(pairs), "folder": str(folder)}, value=folder)


def file_name(name: str, number: int | None = None) -> str:
    """Return what a layer's file is called, without its ending; with a number, one of several."""
    file = re.sub(r"[^\w.+-]+", "_", name).strip("._") or "pair"
    return file if number is None else f"{number + 1:03d}_{file}"  # two may have the same name


def common_spacing(volumes: Sequence[Volume]) -> Spacing | None:
    """Return the median spacing of volumes, in µm; None where none tells it."""
    known = [v.spacing for v in volumes if v.spacing is not None]
    if not known:
        return None
    z, y, x = np.median(np.array(known), axis=0)
    return (float(z), float(y), float(x))


def spacing_notices(
    pairs: Sequence[NamedPair], spacing: Spacing | None, start: Spacing | None
) -> Job:
    """Tell which voxel size a model gets, and which pairs are resampled to it.

    Parameters
    ----------
    pairs : sequence of (str, Volume, Volume)
        What is trained and validated on, each on one grid.
    spacing : tuple of float, optional
        The model's, (z, y, x) in µm.
    start : tuple of float, optional
        That of the model that the training starts from.
    """
    yield from few(notices(*(volume for _, *both in pairs for volume in both)))
    if spacing is None:
        yield Notice(
            text="No pair tells its voxel size, so the model knows none: it will stain stacks "
            "with voxels of another size without a warning. Give the pairs their spacing if you "
            "know it."
        )
        return
    sizes = [(name, inputs) for name, inputs, _ in pairs]
    other = [(n, v.spacing) for n, v in sizes if v.spacing and needs_resampling(v, spacing)]
    source = "the median of the pairs" if start is None else "those of the model it starts from"
    if start is not None and spacing != start:
        source = "by which nuclei are as wide as those that the model it starts from knows"
    told = f"The model gets voxels of {micron(spacing)}, {source}. "
    if other:
        named = _named([f"{name} ({in_words(size)} µm)" for name, size in other])
        told += f"Resampled to them: {named}."
    else:
        told += "No pair is resampled."
    yield Notice(text=told, warning=bool(other))
    if unknown := [name for name, v in sizes if v.spacing is None]:
        yield Notice(
            text=f"Without a voxel size, and taken as they are: {_named(unknown)}. If theirs is "
            "another one, training on them does harm: give their spacing or leave them out."
        )


def registration_notices(pairs: Sequence[Pair], should_stop: ShouldStop | None) -> Job:
    """Tell of pairs whose stacks do not lie on each other: nothing can be learned from them."""
    chosen = looked_at(len(pairs))
    for i in chosen:
        if should_stop is not None and should_stop():
            return
        inputs, outputs, _ = pairs[i].read(flat=True)
        found = check_registration(inputs, outputs)
        if found.verdict != "registered":
            yield Notice(text=f"{pairs[i].name}: {found.sentence}")
    if len(chosen) < len(pairs):
        yield Notice(
            text=f"Checked the registration of {len(chosen)} of {len(pairs)} pairs; "
            "napari-llcm pairs checks all.",
            warning=False,
        )


def few(sentences: Iterable[Notice]) -> Job:
    """Yield the first notices, and how many more there are: a hundred are not read."""
    every = list(sentences)
    yield from every[:_NAMED]
    if len(every) > _NAMED:
        yield Notice(text=f"{len(every) - _NAMED} more pairs have notices of this kind.")


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _on_one_grid(name: str, inputs: Volume, outputs: Volume) -> tuple[Volume, Volume]:
    """Return the stacks of a pair on one grid.

    Raises
    ------
    UserError
        If they are no stacks with something in them, or of different grids.
    """
    if flat := holds_one_plane(outputs) and not holds_one_plane(inputs):
        outputs = as_flat(outputs)
    for volume in (inputs, outputs):
        if volume.axes != "zyx":
            raise UserError(
                f"{volume.name} is not one stack of planes (its axes are {volume.axes}): "
                "training needs 3D stacks."
            )
        check_stack(volume, least=1 if flat and volume is outputs else 2)
    try:
        first, second = beside(inputs, outputs) if flat else on_one_grid(inputs, outputs)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    return first, second
