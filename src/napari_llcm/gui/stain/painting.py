"""What the worker does for the Stain panel, with a model that stays loaded between jobs.

No window is known here: the worker imports torch, which on Windows fails once Qt is there.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...events import Finished, Job, ShouldStop, UserError
from ...models import find_model, import_model
from ...models.familiarity import Verdict
from ...staining import Canvas, Focus, StainOptions, in_turn, stain, stain_files, stain_times
from ...staining.check_input import check_input
from ...staining.estimate_width import estimate_width
from ...staining.tiling import Box
from ...volumes import ChoiceNeeded, ReadOptions, Volume
from ...worker import Linked, Live
from ..layers.seen import Seen

if TYPE_CHECKING:
    import numpy as np

    from ...models import ModelBundle


class SharedCanvas(Canvas, Linked):
    """A canvas that a job in the worker fills: both processes see its array.

    What the worker notes of it, such as which tiles are done, napari's canvas notes too: so a job
    whose worker dies goes on in the next.

    Parameters
    ----------
    array : numpy.ndarray
        float32, in a mapped file.
    """

    def __init__(self, array: np.ndarray) -> None:
        self._verdict: Verdict | None = None
        super().__init__(array)

    @property
    def verdict(self) -> Verdict | None:  # type: ignore[override]
        """Whether the model can read the stack, once that is known."""
        return self._verdict

    @verdict.setter
    def verdict(self, verdict: Verdict | None) -> None:
        """Keep it, in both processes."""
        self._verdict = verdict
        self.tell("_hear", verdict)

    def _hear(self, verdict: Verdict | None) -> None:
        self.verdict = verdict

    def _taken(self, volume: Volume, fingerprint: str) -> bool:
        self.tell("_taken", volume, fingerprint)
        return super()._taken(volume, fingerprint)

    def start(self, tile: Sequence[int], region: Sequence[int] | None = None) -> None:
        """Note the tile size, by which a later job goes on."""
        super().start(tile, region)
        self.tell("start", tuple(tile))

    def _noted(self, box: Box, part: bool) -> None:
        super()._noted(box, part)
        self.tell("_noted", box, part)

    def _previewed(self, box: Box) -> None:
        super()._previewed(box)
        self.tell("_previewed", box)

    def _withdrawn(self) -> None:
        super()._withdrawn()
        self.tell("_withdrawn")

    def _remember(self, metadata: dict[str, Any]) -> None:
        super()._remember(metadata)
        self.tell("_remember", metadata)


@dataclass(frozen=True)
class Painting:
    """One of the stacks of a job.

    Parameters
    ----------
    name : str
        What its progress is told by; empty where it is the only one.
    volume : Volume
        Axes "zyx" or "tzyx".
    canvases : dict of int to SharedCanvas
        By time point: those that are wanted.
    seen : Live of Seen
        Where the user looks.
    box : Box, optional
        The voxels that are wanted; all if not given.
    """

    name: str
    volume: Volume
    canvases: dict[int, SharedCanvas]
    seen: Live[Seen]
    box: Box | None = None

    def focus(self, follow: bool = False) -> Focus:
        """Return what is stained first, or alone."""
        seen = self.seen
        if follow:
            return Focus(lambda: seen.value.centre, lambda: seen.value.box, True, self._view)
        region = None if self.box is None else partial(_same, self.box)
        return Focus(lambda: seen.value.centre, region, view=self._view)

    def _view(self) -> Box:
        return self.seen.value.box


class LoadedModel:
    """The model that was used last; loading takes seconds, and the user may press twice."""

    def __init__(self) -> None:
        self._key: tuple[Path, float] | None = None
        self._bundle: ModelBundle | None = None
        self._lock = threading.Lock()

    def get(self, path: Path) -> ModelBundle:
        """Return the model at a path.

        Raises
        ------
        UserError
            If it is no model, or damaged.
        """
        from ...models import load_bundle

        with self._lock:
            path = find_model(path)
            key = (path, path.stat().st_mtime)
            if self._bundle is None or key != self._key:
                self._bundle = self._key = None
                gc.collect()
                self._bundle, self._key = load_bundle(path), key
            return self._bundle


LOADED = LoadedModel()


def warm() -> None:
    """Import what staining needs, so that it is there when the user presses the button."""
    import torch  # noqa: F401

    from ...models import stainer  # noqa: F401
    from ...staining import tiled  # noqa: F401


def paint(
    model: Path, parts: Sequence[Painting], options: StainOptions, should_stop: ShouldStop
) -> Job:
    """Fill the canvases of stacks, one after another."""
    bundle = LOADED.get(model)

    def jobs() -> Iterable[tuple[str, Job]]:
        """Yield the job of each part, with the name that its progress is told by."""
        for part in parts:
            job = stain_times(
                part.volume,
                bundle,
                part.canvases,
                options,
                focus=part.focus(),
                now=partial(_time, part.seen),
                should_stop=should_stop,
            )
            yield part.name, job

    yield from in_turn(jobs(), len(parts))


def follow(model: Path, part: Painting, options: StainOptions, should_stop: ShouldStop) -> Job:
    """Stain what is looked at on the one canvas, until stopped."""
    ((time, canvas),) = part.canvases.items()
    yield from stain(
        part.volume.select(time=time) if "t" in part.volume.axes else part.volume,
        LOADED.get(model),
        options,
        out=canvas,
        focus=part.focus(follow=True),
        should_stop=should_stop,
    )


def check(model: Path, volume: Volume, options: StainOptions, should_stop: ShouldStop) -> Job:
    """Tell whether a model can read a stack."""
    yield from check_input(volume, LOADED.get(model), options, should_stop=should_stop)


def width_of(model: Path, volume: Volume, device: str, should_stop: ShouldStop) -> Job:
    """Estimate how wide the nuclei of a stack are."""
    yield from estimate_width(volume, LOADED.get(model), device, should_stop=should_stop)


def stain_folder(
    model: Path,
    sources: Sequence[Path],
    out: Path,
    options: StainOptions,
    spacing: Sequence[float] | None,
    reading: ReadOptions,
    should_stop: ShouldStop,
) -> Job:
    """Stain files into a folder, or a plate into a plate."""
    bundle = LOADED.get(model)
    try:
        yield from stain_files(
            sources,
            out,
            bundle,
            options,
            reading=reading,
            spacing=spacing,
            should_stop=should_stop,
        )
    except ChoiceNeeded as needed:  # of a plate
        raise UserError(
            f"{needed.problem}: give {needed.example} as {needed.option.title()} below the folders."
        ) from needed


def add_model(path: Path, _: ShouldStop) -> Job:
    """Add a model to the user's own; its weights are loaded, to see whether they are sound."""
    yield Finished(value=import_model(path).name)


def _same(box: Box) -> Box:
    return box


def _time(seen: Live[Seen]) -> int:
    return seen.value.time
