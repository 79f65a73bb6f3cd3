"""What the Load panel runs: opening files, checking and mending pairs, off the main thread.

Files are opened by the reader, another process: a decoder that crashes on a damaged file takes
nothing else along. What is shown of a large file is read there too, part by part.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ...events import Event, Finished, Job, Notice, ShouldStop, Started
from ...volumes import (
    Found,
    Pair,
    ReadOptions,
    Volume,
    apply_shift,
    find_pairs,
    find_stacks,
    holds_planes,
    looks_like_labels,
    notices,
    read,
)
from ...volumes.flat import as_plane, is_flat
from ...volumes.reading import image_labels
from ...worker import COMPUTER, READER, Elsewhere, workers
from ..jobs.runner import MakeJob
from ..layers.conversion import LayerKind, as_layers
from ..layers.look import contrast, dressed
from .pair_job import check_pair

T = TypeVar("T")
_LOST = (
    "{what} cannot be read: each time it was tried, the process that reads files ended ({how}). "
    "Copy or export it again; nothing else was lost."
)


@dataclass(frozen=True)
class Choice:
    """One thing of several that can be opened.

    Parameters
    ----------
    text : str
        What the list calls it.
    what : Path or Pair
        File, folder or pair.
    image : int, optional
        Number of the image in the file.
    """

    text: str
    what: Path | Pair
    image: int | None = None


@dataclass(frozen=True)
class Choices:
    """What a file or folder holds, of which one is to be chosen.

    Parameters
    ----------
    path : Path
        The file or folder.
    choices : list of Choice
        What there is.
    first : int
        The one that is most likely wanted.
    """

    path: Path
    choices: list[Choice]
    first: int = 0


def opening(path: Path, reading: ReadOptions, spacing: Sequence[float] | None) -> MakeJob:
    """Return a maker of the job that opens a stack.

    Its value is a list of layers, or `Choices` where there are several images and none is chosen.

    Parameters
    ----------
    path : Path
        File or folder.
    reading : ReadOptions
        How it is read; without a channel or a time point, all are opened.
    spacing : sequence of float, optional
        Voxel size (z, y, x) in µm that was given for this file, in place of the file's word.
    """

    def make_job(_: ShouldStop) -> Job:
        """Open the stack."""
        yield Started(job="open")
        if reading.image is None and path.exists():
            found = yield from _images(path)
            if len(found.choices) > 1:
                yield Finished(value=found)
                return
        whole = reading.model_copy(update={"channel": None, "time": None})
        volume = yield from reading_elsewhere(partial(read, path, whole, spacing=spacing), path)
        time = reading.time
        if time is not None and "t" in volume.axes:
            last = volume.shape[volume.axes.index("t")] - 1
            if time > last:
                time = last
                yield Notice(text=f"{volume.name} ends at time point {last}, which is opened.")
        volume = volume.only(reading.channel, time)
        yield from notices(volume)
        kind: LayerKind = "labels" if looks_like_labels(volume) else "image"
        yield Finished(value=dressed(volume, kind))

    return make_job


def opening_pair(pair: Pair) -> MakeJob:
    """Return a maker of the job that opens a pair; its value is a list of layers."""

    def make_job(_: ShouldStop) -> Job:
        """Open the pair."""
        yield Started(job="open")
        qpi, dapi, labels = yield from reading_elsewhere(partial(pair.read, flat=True), pair.name)
        yield from notices(qpi, dapi, labels)
        if is_flat(dapi):  # as a layer of two axes it is shown beside every plane of its stack
            dapi, labels = as_plane(dapi), None if labels is None else as_plane(labels)
        layers = dressed(qpi.replace(name=f"{pair.name} QPI"))
        layers += dressed(dapi.replace(name=f"{pair.name} DAPI"), dye=True)
        if labels is not None:
            named = labels.replace(name=f"{pair.name} nuclei")
            layers += as_layers(named, "labels", visible=False)
        yield Finished(value=layers)

    return make_job


def listing(folder: Path) -> MakeJob:
    """Return a maker of the job that lists a folder: its value is `Choices`."""

    def make_job(_: ShouldStop) -> Job:
        """Look into the folder."""
        yield Started(job="list")
        named = {p.name.lower() for p in folder.iterdir() if p.is_dir()}
        paired = bool(named & {"qpi", "phase"}) and "dapi" in named
        if not paired and holds_planes(folder):
            found = yield from _images(folder)
            yield Finished(value=found)
            return
        find: Callable[[Path], Found[Any]] = find_pairs if paired else find_stacks
        stacks = yield from reading_elsewhere(partial(find, folder), folder)
        yield from notices(stacks)
        choices = [
            Choice(f"{one.name} (pair)" if isinstance(one, Pair) else one.name, one)
            for one in stacks
        ]
        yield Finished(value=Choices(folder, choices))

    return make_job


def reading_elsewhere(open_it: Callable[[], T], what: Path | str) -> Generator[Event, None, T]:
    """Return what a function that opens files returns, called in the reader.

    Parameters
    ----------
    open_it : callable
        Opens them.
    what : Path or str
        What is opened, for the sentence if the reader dies of it.

    Yields
    ------
    Event
        What the reader has to say.
    """
    lost = _LOST.replace("{what}", str(what))
    return (yield from workers.called(READER, open_it, lost))


def read_elsewhere(open_it: Callable[[], T], what: Path | str) -> T:
    """Return what a function that opens files returns, called in the reader.

    Raises
    ------
    UserError
        As the function, or if it ends the reader each time.
    """
    return workers.call(READER, open_it, _LOST.replace("{what}", str(what)))


def _images(path: Path) -> Generator[Event, None, Choices]:
    """Return the images of a file, or the series in a folder of planes."""
    images = yield from reading_elsewhere(partial(image_labels, path), path)
    if len(images) == 1:
        planes = " (planes of one folder)" if path.is_dir() else ""
        return Choices(path, [Choice(f"{path.name}{planes}", path)])
    first = next((i for i, (_, is_stack) in enumerate(images) if is_stack), 0)
    return Choices(path, [Choice(label, path, i) for i, (label, _) in enumerate(images)], first)


def checking(qpi: Volume, dapi: Volume, by_stain: bool = False) -> MakeJob:
    """Return a maker of the job that checks a pair; its value is (Registration, PNG).

    Parameters
    ----------
    qpi, dapi : Volume
        The stacks.
    by_stain : bool
        Compare the shipped model's stain of the label-free stack in its place.
    """
    where = COMPUTER if by_stain else READER
    return Elsewhere(partial(check_pair, qpi, dapi, by_stain), where)


def shifting(dapi: Volume, shift: Sequence[float]) -> MakeJob:
    """Return a maker of the job that moves a stack; its value is a list of layers."""

    def make_job(_: ShouldStop) -> Job:
        """Move the stack."""
        yield Started(job="shift")
        moved = apply_shift(dapi, shift)
        yield Finished(value=dressed(moved.replace(name=f"{dapi.name} (shifted)"), dye=True))

    return make_job


def measuring(data: Any) -> MakeJob:
    """Return a maker of the job that measures phase contrast; its value is a layer's look."""

    def make_job(_: ShouldStop) -> Job:
        """Measure the layer."""
        yield Started(job="contrast")
        yield Finished(value=contrast(data, dye=False))

    return make_job
