"""What the Load panel runs: opening files, checking and mending pairs, off the main thread."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...events import Finished, Job, Notice, ShouldStop, Started
from ...volumes import (
    Pair,
    ReadOptions,
    Registration,
    Volume,
    apply_shift,
    check_registration,
    find_pairs,
    find_stacks,
    holds_planes,
    looks_like_labels,
    notices,
    read,
)
from ...volumes.flat import as_plane, is_flat
from ...volumes.reading import stored_images
from ..jobs.runner import MakeJob
from ..layers.conversion import LayerKind, as_layers
from ..layers.look import contrast, dressed


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
            found = _images(path)
            if len(found.choices) > 1:
                yield Finished(value=found)
                return
        whole = reading.model_copy(update={"channel": None, "time": None})
        volume = read(path, whole, spacing=spacing)
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
        qpi, dapi, labels = pair.read(flat=True)
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
            yield Finished(value=_images(folder))
            return
        found = find_pairs(folder) if paired else find_stacks(folder)
        yield from notices(found)
        choices = [
            Choice(f"{one.name} (pair)" if isinstance(one, Pair) else one.name, one)
            for one in found
        ]
        yield Finished(value=Choices(folder, choices))

    return make_job


def _images(path: Path) -> Choices:
    """Return the images of a file, or the series in a folder of planes."""
    images = stored_images(path)
    if len(images) == 1:
        planes = " (planes of one folder)" if path.is_dir() else ""
        return Choices(path, [Choice(f"{path.name}{planes}", path)])
    first = next((i for i, image in enumerate(images) if image.is_stack), 0)
    return Choices(path, [Choice(one.label(i), path, i) for i, one in enumerate(images)], first)


def checking(qpi: Volume, dapi: Volume, by_stain: bool = False) -> MakeJob:
    """Return a maker of the job that checks a pair; its value is (Registration, PNG).

    Parameters
    ----------
    qpi, dapi : Volume
        The stacks.
    by_stain : bool
        Compare the shipped model's stain of the label-free stack in its place.
    """

    def make_job(should_stop: ShouldStop) -> Job:
        """Compare the stacks."""
        yield Started(job="check registration")
        virtual = None
        if by_stain:
            from ...staining import StainOptions
            from ...staining.virtual import stainer_of

            virtual = yield from stainer_of(None, StainOptions(check=False), should_stop)(qpi)
            if virtual is None:
                return
        found = check_registration(qpi, dapi, stain=virtual)
        yield from (Notice(text=note) for note in found.notes)
        yield Finished(value=(found, _png(found)))

    return make_job


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


def _png(registration: Registration) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = registration.figure()
    FigureCanvasAgg(figure)
    figure.axes[0].set_title("")  # the panel says it in words
    figure.set_size_inches(4.6, 4.6)  # so that the figures can be read in a panel
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=160, facecolor="black")
    return stream.getvalue()
