"""What the Stain panel runs: jobs of the core, with a model that stays loaded between them."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...events import Job, ShouldStop
from ...models import find_model
from ...staining import Focus, StainOptions, in_turn, stain, stain_files, stain_times
from ...staining.check_input import check_input
from ...staining.estimate_width import estimate_width
from ...volumes import Volume
from ..jobs.runner import MakeJob
from ..layers.stack import Box, LayerStack
from ..layers.viewport import View
from ..settings import Preferences
from .stain_layer import StainLayer

if TYPE_CHECKING:
    from ...models import ModelBundle


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


class LoadedModel:
    """The model that was used last; loading takes seconds, and the user may press twice."""

    def __init__(self) -> None:
        self._key: tuple[Path, float] | None = None
        self._bundle: ModelBundle | None = None

    def get(self, path: Path) -> ModelBundle:
        """Return the model at a path; called on a worker thread, since it imports torch.

        Raises
        ------
        UserError
            If it is no model, or damaged.
        """
        from ...models import load_bundle

        path = find_model(path)
        key = (path, path.stat().st_mtime)
        if self._bundle is None or key != self._key:
            self.free()
            self._bundle, self._key = load_bundle(path), key
        return self._bundle

    def free(self) -> None:
        """Let go of the model, and of what torch keeps of a GPU's memory."""
        self._bundle = self._key = None
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()


def options_of(
    preferences: Preferences, device: str, samples: int, nucleus_um: float | None = None
) -> StainOptions:
    """Return what every staining job is told."""
    usual = Preferences().memory_share
    share = preferences.memory_share
    return StainOptions(
        device=device,
        samples=samples,
        nucleus_um=nucleus_um,
        memory_share=None if share == usual else share,
        scratch=Path(preferences.cache_folder) if preferences.cache_folder else None,
    )


def stain_parts(
    loaded: LoadedModel, model: Path, parts: Sequence[Part], options: StainOptions
) -> MakeJob:
    """Return a maker of the job that fills layers, one after another.

    Parameters
    ----------
    loaded : LoadedModel
        Keeps the model.
    model : Path
        The model.
    parts : sequence of Part
        What is stained.
    options : StainOptions
        How it is stained.
    """

    def make_job(should_stop: ShouldStop) -> Job:
        """Load the model, then paint."""
        bundle = loaded.get(model)

        def jobs() -> Iterable[tuple[str, Job]]:
            """Yield the job of each part, with the name that its progress is told by."""
            for part in parts:
                region = None if part.box is None else partial(_same, part.box)
                stack = part.stain_layer.stack
                yield (
                    stack.layer.name if len(parts) > 1 else "",
                    stain_times(
                        stack.volume,
                        bundle,
                        {t: part.stain_layer.canvases[t] for t in part.times},
                        options,
                        focus=Focus(part.view.centre, region),
                        now=part.view.now,
                        should_stop=should_stop,
                    ),
                )

        yield from in_turn(jobs(), len(parts))

    return make_job


def follow(
    loaded: LoadedModel, model: Path, stain_layer: StainLayer, view: View, options: StainOptions
) -> MakeJob:
    """Return a maker of the job that stains what is looked at, until it is stopped.

    Parameters
    ----------
    loaded : LoadedModel
        Keeps the model.
    model : Path
        The model.
    stain_layer : StainLayer
        Where it appears.
    view : View
        Where the user looks.
    options : StainOptions
        How it is stained.
    """

    def make_job(should_stop: ShouldStop) -> Job:
        """Load the model, then follow."""
        volume, point = stain_layer.stack.volume, view.now()
        yield from stain(
            volume.select(time=point) if stain_layer.stack.times > 1 else volume,
            loaded.get(model),
            options,
            out=stain_layer.canvases[point if stain_layer.stack.times > 1 else 0],
            focus=Focus(view.centre, view.region, follow=True),
            should_stop=should_stop,
        )

    return make_job


def check(loaded: LoadedModel, model: Path, volume: Volume, options: StainOptions) -> MakeJob:
    """Return a maker of the job that tells whether a model can read a stack.

    Parameters
    ----------
    loaded : LoadedModel
        Keeps the model.
    model : Path
        The model.
    volume : Volume
        The stack.
    options : StainOptions
        Device and nucleus width.
    """

    def make_job(should_stop: ShouldStop) -> Job:
        """Load the model, then look."""
        yield from check_input(volume, loaded.get(model), options, should_stop=should_stop)

    return make_job


def width_of(loaded: LoadedModel, model: Path, stack: LayerStack, device: str) -> MakeJob:
    """Return a maker of the job that estimates how wide the nuclei of a stack are.

    Parameters
    ----------
    loaded : LoadedModel
        Keeps the model.
    model : Path
        The model.
    stack : LayerStack
        The stack; of a series, its first time point.
    device : str
        Where to compute.
    """

    def make_job(should_stop: ShouldStop) -> Job:
        """Load the model, then look at the stack."""
        volume = stack.volume.select(time=0) if stack.times > 1 else stack.volume
        yield from estimate_width(volume, loaded.get(model), device, should_stop=should_stop)

    return make_job


def files(
    loaded: LoadedModel,
    model: Path,
    sources: Sequence[Path],
    out: Path,
    options: StainOptions,
    spacing: Sequence[float] | None = None,
) -> MakeJob:
    """Return a maker of the job that stains files into a folder.

    Parameters
    ----------
    loaded : LoadedModel
        Keeps the model.
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
    """

    def make_job(should_stop: ShouldStop) -> Job:
        """Load the model, then stain file by file."""
        bundle = loaded.get(model)
        yield from stain_files(
            sources, out, bundle, options, spacing=spacing, should_stop=should_stop
        )

    return make_job


def _same(box: Box) -> Box:
    return box
