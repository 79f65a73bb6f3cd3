"""What is on screen, at once: from little context, until the tiles come that take its place.

A tile of the stain needs the stack some 100 µm around it, and the contrast of the whole stack.
Neither is waited for: contrast is measured on a few windows of some planes, and the networks see
little around a small part of the plane on screen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from ..events import Job, ShouldStop, Tile, UserError
from ..models.bundle import ModelBundle
from ..models.device import pick_device
from ..models.reach import whole_halos
from ..volumes import FilledStack, Volume
from ..volumes.read_errors import read_errors
from .bounded import sample_of
from .canvas import Canvas
from .fit import spacing_ratio
from .inputs import StackInputs, empty, filled_stack, input_stacks
from .job import Focus, Stopped, interruptible
from .memory import is_out_of_memory
from .options import StainOptions
from .setup import ready
from .tiling import Box, common, distance, scaled, shared

if TYPE_CHECKING:
    from ..tasks.normalise import Scaling
    from .pipeline import LocalPipeline

_SIDE = {"cpu": 32, "mps": 64, "cuda": 128}  # latent sites along each axis in the plane
_STEP = 8  # of these sites
_IN_A_ROW = 4  # so that tiles come, however large the screen is


class Previews:
    """Previews of what is on screen and not stained yet.

    Only a plane is previewed: in 3D nothing less than the whole stack is on screen.

    Parameters
    ----------
    pipeline : LocalPipeline
        Of networks that take one step.
    canvas : Canvas
        Where they appear.
    focus : Focus
        What is on screen, and what of it is wanted.
    hidden : callable, optional
        Returns which voxels of a box hold no data; they stay as they are.
    """

    def __init__(
        self,
        pipeline: LocalPipeline,
        canvas: Canvas,
        focus: Focus,
        hidden: Callable[[Box], np.ndarray] | None = None,
    ) -> None:
        self.pipeline, self.canvas, self.focus, self.hidden = pipeline, canvas, focus, hidden
        self._out_of_memory = False
        self._whole: Box | None = None  # what is on screen, where nothing of it is missing

    def events(self) -> Job:
        """Yield a `Tile` for each of some previews, nearest to the middle of the screen first."""
        for _ in range(_IN_A_ROW):
            sites = self._next()
            if sites is None:
                return
            try:
                box, outputs = self.pipeline.preview(sites)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._out_of_memory = True  # tiles become smaller then; previews are left out
                return
            data = outputs[0]
            if self.hidden is not None:
                data = np.where(self.hidden(box), np.float32(0), data)
            self.canvas.preview(box, np.nan_to_num(data))
            yield Tile(slices=((0, len(data)), *box), data=data, preview=True)

    def _next(self) -> Box | None:
        """Return the latent sites to be previewed next, if any."""
        view = None if self.focus.view is None else self.focus.view()
        if view is None or view == self._whole or self._out_of_memory:
            return None
        sites = self._sites(view)
        thin = min(range(3), key=lambda axis: sites[axis][1] - sites[axis][0])
        if sites[thin][1] - sites[thin][0] > 2:  # a plane of another grid may lie in two
            return None
        cells = {self._voxels(c): c for c in self._cells(sites, thin)}
        missing = [cells[box] for box in self.canvas.missing(list(cells))] if cells else []
        if not missing:
            self._whole = view
        middle = [(a + b) / 2 for a, b in sites]
        return min(missing, key=lambda c: distance(c, middle), default=None)

    def _sites(self, view: Box) -> Box:
        """Return the latent sites on screen that are wanted, none beyond the volume."""
        grid, factor = self.pipeline.grid, self.pipeline.factor
        ends = [-(-n // f) for n, f in zip(grid.shape, factor, strict=True)]
        inside = tuple(
            (min(max(a, 0), n - 1), max(b, a + 1, 1))
            for (a, b), n in zip(view, grid.output_shape, strict=True)
        )
        spans = zip(self.pipeline.sites_of(inside), ends, strict=True)
        return tuple((min(a, n - 1), min(b, n)) for (a, b), n in spans)

    def _cells(self, sites: Box, thin: int) -> list[Box]:
        """Return the cells of a fixed grid on the plane that lie on screen and are wanted.

        Those at the edge of the screen end near it, in steps in which it may move.
        """
        side = _SIDE[self.pipeline.device.type]
        axes = []
        for axis, ((a, b), n) in enumerate(zip(sites, self.pipeline.latent, strict=True)):
            if axis == thin:
                axes.append([(a, b)])
                continue
            first, last = a // _STEP * _STEP, min(-(-b // _STEP) * _STEP, n)
            starts = range(a // side * side, b, side)
            axes.append([(max(s, first), min(s + side, last)) for s in starts])
        cells: list[Box] = list(product(*axes))
        if self.focus.region is None or self.focus.follow:
            return cells
        wanted = self.pipeline.sites_of(self.focus.region())
        return [common(c, wanted) for c in cells if shared(c, wanted)]

    def _voxels(self, sites: Box) -> Box:
        grid = self.pipeline.grid
        return grid.outputs(grid.inside(scaled(sites, self.pipeline.factor)))


@contextmanager
def previewed(out: object) -> Iterator[None]:
    """Take away the previews that a job leaves, however it ends: none of them is kept."""
    try:
        yield
    finally:
        if isinstance(out, Canvas):
            out.withdraw()


def first_previews(
    qpi: Volume,
    model: ModelBundle,
    options: StainOptions,
    canvas: Canvas,
    focus: Focus,
    scaling: Scaling | None = None,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Yield the previews that come before the stack is read, checked and judged.

    Nothing is said of what cannot be stained: the job that follows does.

    Parameters
    ----------
    qpi, model, options
        As for `stain`.
    canvas : Canvas
        Where they appear.
    focus : Focus
        What is on screen.
    scaling, should_stop
        As for `stain`.
    """
    view = None if focus.view is None else focus.view()
    one_step = model.info.local and model.info.steps(options.steps) == 1
    if view is None or not one_step or options.cluster is not None or canvas.is_done(view):
        return
    try:
        previews = _of_sample(qpi, model, options, canvas, focus, scaling)
        if previews is not None:
            with interruptible(model.networks, should_stop):
                yield from previews.events()
    except (UserError, Stopped):
        return


def _of_sample(
    qpi: Volume,
    model: ModelBundle,
    options: StainOptions,
    canvas: Canvas,
    focus: Focus,
    known: Scaling | None,
) -> Previews | None:
    """Return previews with the contrast of a sample of the stack; None where it has none."""
    from .pipeline import LocalPipeline

    task = model.info.task
    stacks = input_stacks(qpi, task)
    ratio, _ = spacing_ratio(stacks[0], model.info, options.nucleus_um)
    filled: list[FilledStack] = []
    scalings: list[Scaling] = []
    for stack, channel in zip(stacks, task.inputs, strict=True):
        with read_errors(stack.source or stack.name):
            sample, holes = sample_of(stack.data)
        scaling = known if known is not None else channel.intensity.measure(sample)
        if not scaling.usable:
            return None
        scalings.append(scaling)
        filled.append(filled_stack(stack, channel, scaling, holes))
    device = pick_device(options.device)
    ready(model, device)
    inputs = StackInputs.at(model.info, filled, scalings, ratio)
    if inputs.grid.output_shape != canvas.array.shape[-3:]:
        return None
    halos = whole_halos(model.networks)
    pipeline = LocalPipeline(model, inputs, options.seeds[:1], 1, halos)
    return Previews(pipeline, canvas, focus, partial(empty, filled, task.planes))
