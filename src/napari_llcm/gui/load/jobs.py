"""What the Load panel runs: opening files, checking and mending pairs, off the main thread."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...events import Finished, Job, Notice, ShouldStop, Started
from ...volumes import (
    Pair,
    Registration,
    Volume,
    apply_shift,
    check_registration,
    find_pairs,
    find_stacks,
    looks_like_labels,
    notices,
    read,
)
from ..jobs.runner import MakeJob
from ..layers.conversion import LayerKind, as_layers
from ..layers.look import contrast, dressed


def opening(path: Path, axes: str, time: int | None, spacing: Sequence[float] | None) -> MakeJob:
    """Return a maker of the job that opens a stack; its value is a list of layers.

    Parameters
    ----------
    path : Path
        File or folder.
    axes : str
        What its axes are; as the file says if empty.
    time : int, optional
        The time point to open; all if not given.
    spacing : sequence of float, optional
        Voxel size (z, y, x) in µm, if the file does not tell.
    """

    def make_job(should_stop: ShouldStop) -> Job:
        """Open the stack."""
        yield Started(job="open")
        volume = read(path, axes=axes.strip() or None)
        if volume.spacing is None and spacing is not None:
            volume = volume.replace(spacing=tuple(spacing))
        if time is not None and "t" in volume.axes:
            count = volume.shape[volume.axes.index("t")]
            chosen = min(time, count - 1)
            if chosen != time:
                yield Notice(text=f"{volume.name} ends at time point {count - 1}, which is opened.")
            index = tuple(chosen if a == "t" else slice(None) for a in volume.axes)
            name = f"{volume.name} t{chosen}"
            volume = volume.replace(
                data=volume.data[index], axes=volume.axes.replace("t", ""), name=name
            )
        kind: LayerKind = "labels" if looks_like_labels(volume) else "image"
        yield Finished(value=dressed(volume, kind))

    return make_job


def opening_pair(pair: Pair) -> MakeJob:
    """Return a maker of the job that opens a pair; its value is a list of layers."""

    def make_job(should_stop: ShouldStop) -> Job:
        """Open the pair."""
        yield Started(job="open")
        qpi, dapi, labels = pair.read()
        layers = dressed(qpi.replace(name=f"{pair.name} QPI"))
        layers += dressed(dapi.replace(name=f"{pair.name} DAPI"), dye=True)
        if labels is not None:
            named = labels.replace(name=f"{pair.name} nuclei")
            layers += as_layers(named, "labels", visible=False)
        yield Finished(value=layers)

    return make_job


def listing(folder: Path) -> MakeJob:
    """Return a maker of the job that lists a folder: its value is a list of `Pair` or `Path`."""

    def make_job(should_stop: ShouldStop) -> Job:
        """Look into the folder."""
        yield Started(job="list")
        named = {p.name.lower() for p in folder.iterdir() if p.is_dir()}
        paired = bool(named & {"qpi", "phase"}) and "dapi" in named
        found = find_pairs(folder) if paired else find_stacks(folder)
        yield from notices(found)
        yield Finished(value=found)

    return make_job


def checking(qpi: Volume, dapi: Volume) -> MakeJob:
    """Return a maker of the job that checks a pair; its value is (Registration, PNG)."""

    def make_job(should_stop: ShouldStop) -> Job:
        """Compare the stacks."""
        yield Started(job="check registration")
        found = check_registration(qpi, dapi)
        yield Finished(value=(found, _png(found)))

    return make_job


def shifting(dapi: Volume, shift: Sequence[float]) -> MakeJob:
    """Return a maker of the job that moves a stack; its value is a list of layers."""

    def make_job(should_stop: ShouldStop) -> Job:
        """Move the stack."""
        yield Started(job="shift")
        moved = apply_shift(dapi, shift)
        yield Finished(value=dressed(moved.replace(name=f"{dapi.name} (shifted)"), dye=True))

    return make_job


def measuring(data: Any) -> MakeJob:
    """Return a maker of the job that measures phase contrast; its value is a layer's look."""

    def make_job(should_stop: ShouldStop) -> Job:
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
