"""Stacks of many files in one job: a folder of them, and all that each of them holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..events import Job, Notice, ShouldStop, Started, UserError
from ..models.bundle import ModelBundle
from ..tasks import Task
from ..volumes import (
    Found,
    ReadOptions,
    Volume,
    find_stacks,
    holds_planes,
    notices,
    read,
)
from ..volumes.atomic import is_zarr
from ..volumes.disk_errors import disk_errors
from ..volumes.plates import is_plate
from ..volumes.reading import stored_images
from .inputs import taken
from .options import StainOptions
from .plates import stain_plate
from .series import Total
from .stainer import stain


def stain_files(
    sources: Iterable[Path],
    out: Path,
    model: ModelBundle,
    options: StainOptions = StainOptions(),
    *,
    reading: ReadOptions | None = None,
    spacing: Sequence[float] | None = None,
    part: tuple[int, int] = (0, 1),
    should_stop: ShouldStop | None = None,
) -> Job:
    """Stain files one after another: each image and time point into an OME-Zarr of its name.

    A plate alone is stained into a plate, as `stain_plate` does.

    What is in the output folder already stays as it is; a file that cannot be stained is named
    in a notice, and the others are stained.

    Parameters
    ----------
    sources : iterable of Path
        Stacks, a folder of them, or a plate.
    out : Path
        Folder for the results; made if it does not exist.
    model : ModelBundle
        The stainer.
    options : StainOptions
        How each is stained.
    reading : ReadOptions, optional
        How each is read; without an image or a time point, all of a file are stained.
    spacing : sequence of float, optional
        Voxel size (z, y, x) in µm for files that do not tell theirs.
    part : tuple of int
        Which part, from 0, of how many: of the files, or of what a single file holds. Jobs that
        run side by side each take one.
    should_stop : callable, optional
        Asked before every layer of the networks.

    Yields
    ------
    Event
        As `stain` does; progress is that of all files together. In the result of `Finished`,
        "written" and "failed" list paths, and "reasons" why each of these failed.

    Raises
    ------
    UserError
        If there is nothing to stain, there is no such part, or the output folder cannot be
        written.
    """
    number, parts = part
    if not 0 <= number < parts:
        raise UserError(f"There is no part {number} of {parts}: they are counted from 0.")
    sources = Found(sources)
    if len(sources) == 1 and is_plate(sources[0]):
        yield from stain_plate(
            sources[0], out, model, options, reading=reading, part=part, should_stop=should_stop
        )
        return
    paths = _paths(sources, out)
    single = len(paths) == 1
    if not single:
        paths = Found(paths[number::parts], paths.notes)
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    yield Started(job="stain", unit="files", total=len(paths))
    yield from notices(paths)
    if not paths:
        yield Notice(text=f"Part {number} of {parts} holds no stack: there are fewer of them.")
    task = model.info.task
    total, written, failed = Total(len(paths)), list[str](), dict[str, str]()
    for count, path in enumerate(paths, start=1):
        if total.stopped:
            break
        try:
            for index, stack in enumerate(_stacks(path, reading or ReadOptions(), spacing, task)):
                if total.stopped:
                    break
                if single and index % parts != number:
                    continue
                target = out / f"{_plain(stack.name)} {task.result}.ome.zarr"
                if target.exists() and not options.overwrite:
                    yield Notice(
                        text=f"{target.name} is there already and stays as it is.", warning=False
                    )
                    continue
                job = stain(stack, model, options, out=target, should_stop=should_stop)
                yield from total.part(job, f"{path.name} ({count} of {len(paths)})")
                written += [] if total.stopped else [str(target)]
        except UserError as error:
            failed[str(path)] = str(error)
            yield Notice(text=f"{path.name} was left out. {error}")
        total.done = count
    yield total.finished(
        out=str(out), written=written, failed=list(failed), reasons=list(failed.values())
    )


def is_folder_of_stacks(path: Path) -> bool:
    """Whether a path is a folder whose files are stacks, and neither a Zarr nor planes of one."""
    return _is_mere_folder(path) and bool(find_stacks(path))


def _is_mere_folder(path: Path) -> bool:
    return path.is_dir() and not is_zarr(path) and not holds_planes(path)


def _paths(sources: Found[Path], out: Path) -> Found[Path]:
    """Return the files to stain.

    Raises
    ------
    UserError
        If there are none, or the folder holds pairs or is that of the results.
    """
    if len(sources) == 1 and _is_mere_folder(sources[0]):
        folder = sources[0]
        if folder.resolve() == out.resolve():
            raise UserError(f"{out} holds the stacks: choose another folder for the results.")
        inner = {p.name.lower(): p for p in folder.iterdir() if p.is_dir()}
        phase = inner.get("qpi", inner.get("phase"))
        if phase is not None and "dapi" in inner:
            raise UserError(f"{folder} holds pairs: give its folder {phase.name}, {phase}.")
        found = find_stacks(folder)
        sources = Found((p for p in found if p.resolve() != out.resolve()), found.notes)
    if not sources:
        raise UserError("There are no stacks to stain: choose a folder that holds some.")
    return sources


def _stacks(
    path: Path, reading: ReadOptions, spacing: Sequence[float] | None, task: Task
) -> Iterator[Volume]:
    """Yield the stack of each image (thumbnails are none) and time point of a file."""
    chosen: list[int | str | None] = [reading.image]
    if reading.image is None and path.exists():
        images = stored_images(path)
        stacks = [i for i, image in enumerate(images) if image.is_stack]
        chosen = [*stacks] if len(images) > 1 and stacks else [None]
    names = set[str]()
    for number in chosen:
        whole = reading.model_copy(update={"image": number, "channel": None, "time": None})
        volume = read(path, whole)
        if volume.spacing is None and spacing is not None:
            volume = read(path, whole, spacing=spacing)
        if volume.name in names:  # images of one name
            volume = volume.replace(name=f"{volume.name} {number}")
        names.add(volume.name)
        series = "t" in volume.axes and "z" in volume.axes and reading.time is None
        count = volume.shape[volume.axes.index("t")] if series else 1
        for t in range(count):
            time = t if series else reading.time
            stack = taken(volume, task, reading.channel, time)
            if series:
                stack = stack.replace(name=f"{volume.name} t{t:0{len(str(count - 1))}d}")
            yield stack


def _plain(name: str) -> str:
    """Return a name as one plain part of a path: an image may be called "A/1" or "..\\x"."""
    return "".join("_" if c in '/\\:*?"<>|' or ord(c) < 32 else c for c in name)
