"""What the Stain panel runs: jobs of the core, in the worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...staining import StainOptions
from ...volumes import ReadOptions, Volume
from ...worker import Elsewhere
from ..jobs.runner import MakeJob
from ..layers.stack import Box, LayerStack
from ..layers.viewport import View
from ..settings import Preferences
from . import painting
from .cluster_choice import chosen_cluster, here
from .stain_layer import StainLayer


@dataclass(frozen=True)
class Part:
    """One of the things that a job paints.

    Parameters
    ----------
    stain_layer : StainLayer
        Where it appears.
    view : View
        Where the user looks.
    times : list of int
        The time points that are wanted.
    box : Box, optional
        The voxels that are wanted; all if not given.
    """

    stain_layer: StainLayer
    view: View
    times: list[int]
    box: Box | None = None

    def painting(self, named: bool = False) -> painting.Painting:
        """Return what the worker is told of it."""
        stack, canvases = self.stain_layer.stack, self.stain_layer.canvases
        wanted = {t: canvases[t] for t in self.times}
        name = stack.layer.name if named else ""
        return painting.Painting(name, stack.volume, wanted, self.view.seen, self.box)


def options_of(
    preferences: Preferences, device: str, samples: int, nucleus_um: float | None = None
) -> StainOptions:
    """Return what every staining job is told."""
    usual = Preferences().memory_share
    elsewhere = chosen_cluster(device)
    share = preferences.memory_share
    return StainOptions(
        **elsewhere.model_dump(exclude_defaults=True),
        device=here(device),
        samples=samples,
        nucleus_um=nucleus_um,
        memory_share=None if share == usual else share,
        scratch=Path(preferences.cache_folder) if preferences.cache_folder else None,
    )


def stain_parts(model: Path, parts: Sequence[Part], options: StainOptions) -> MakeJob:
    """Return a maker of the job that fills layers, one after another.

    Parameters
    ----------
    model : Path
        The model.
    parts : sequence of Part
        What is stained.
    options : StainOptions
        How it is stained.
    """
    paintings = [part.painting(len(parts) > 1) for part in parts]
    return Elsewhere(partial(painting.paint, model, paintings, options))


def follow(model: Path, stain_layer: StainLayer, view: View, options: StainOptions) -> MakeJob:
    """Return a maker of the job that stains what is looked at, until it is stopped.

    Parameters
    ----------
    model : Path
        The model.
    stain_layer : StainLayer
        Where it appears.
    view : View
        Where the user looks.
    options : StainOptions
        How it is stained.
    """
    point = view.now() if stain_layer.stack.times > 1 else 0
    part = Part(stain_layer, view, [point]).painting()
    return Elsewhere(partial(painting.follow, model, part, options))


def check(model: Path, volume: Volume, options: StainOptions) -> MakeJob:
    """Return a maker of the job that tells whether a model can read a stack.

    Parameters
    ----------
    model : Path
        The model.
    volume : Volume
        The stack.
    options : StainOptions
        Device and nucleus width.
    """
    return Elsewhere(partial(painting.check, model, volume, options))


def width_of(model: Path, stack: LayerStack, device: str) -> MakeJob:
    """Return a maker of the job that estimates how wide the nuclei of a stack are.

    Parameters
    ----------
    model : Path
        The model.
    stack : LayerStack
        The stack; of a series, its first time point.
    device : str
        Where to compute.
    """
    volume = stack.volume.select(time=0) if stack.times > 1 else stack.volume
    return Elsewhere(partial(painting.width_of, model, volume, here(device)))


def files(
    model: Path,
    sources: Sequence[Path],
    out: Path,
    options: StainOptions,
    spacing: Sequence[float] | None = None,
    reading: ReadOptions | None = None,
) -> MakeJob:
    """Return a maker of the job that stains files into a folder.

    Parameters
    ----------
    model : Path
        The model.
    sources : sequence of Path
        Files, or one folder of them.
    out : Path
        The folder for the results.
    options : StainOptions
        How it is stained.
    spacing : sequence of float, optional
        Voxel size (z, y, x) in µm for files that do not tell theirs.
    reading : ReadOptions, optional
        How each is read.
    """
    how = reading or ReadOptions()
    job = partial(painting.stain_folder, model, sources, out, options, spacing, how)
    return Elsewhere(job)
