"""The input channels of a stack as the networks see them: on their grid, without holes, scaled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..events import UserError
from ..models.info import ModelInfo
from ..tasks import Channel, Task
from ..tasks.normalise import Scaling
from ..volumes import FilledStack, NoData, Volume, on_one_grid
from ..volumes.reading import CHANNEL_NAMES
from .grid import NetworkGrid
from .tiling import Box


@dataclass(frozen=True)
class StackInputs:
    """What the networks see of a stack, box by box.

    Parameters
    ----------
    task : Task
        Which channels, and how each is normalised.
    grids : tuple of NetworkGrid
        One for each input, all alike.
    scalings : tuple of Scaling
        One for each, from the whole stack.
    """

    task: Task
    grids: tuple[NetworkGrid, ...]
    scalings: tuple[Scaling, ...]

    @classmethod
    def at(
        cls,
        info: ModelInfo,
        stacks: Sequence[FilledStack],
        scalings: Sequence[Scaling],
        ratio: Sequence[float],
    ) -> StackInputs:
        """Return the inputs of a model from stacks without holes."""
        task, multiple = info.task, info.network.multiple
        grids = (NetworkGrid(stack, ratio, multiple, task.planes) for stack in stacks)
        return cls(task, tuple(grids), tuple(scalings))

    @property
    def grid(self) -> NetworkGrid:
        """The grid of all channels."""
        return self.grids[0]

    @property
    def by_name(self) -> Mapping[str, Scaling]:
        """The scaling of each input."""
        names = (channel.name for channel in self.task.inputs)
        return dict(zip(names, self.scalings, strict=True))

    def read(self, box: Box) -> np.ndarray:
        """Return a box of the padded grid as the networks see it: (channels, z, y, x), float32."""
        (first, last), *plane = box
        beside = self.task.seen_beside(first, (last - first, *(b - a for a, b in plane)))
        seen = self._normalised(box, self.grids)
        return np.concatenate([seen, beside]) if len(beside) else seen

    def on_result_grid(self, box: Box) -> np.ndarray:
        """Return the inputs, normalised, at a box of the result's grid.

        In the plane they are the voxels of the stacks themselves, where `read` resamples them.
        """
        planes = self.task.planes
        own = [NetworkGrid(g.data, (1 / planes, 1, 1), (1, 1, 1), planes) for g in self.grids]
        return self._normalised(box, own)

    def _normalised(self, box: Box, grids: Sequence[NetworkGrid]) -> np.ndarray:
        channels = zip(self.task.inputs, grids, self.scalings, strict=True)
        if self.task.planes == 1:
            return np.stack([c.intensity.apply(grid.read(box), s) for c, grid, s in channels])
        kernel, made = self.task.between, []
        for channel, grid, scaling in channels:
            planes, count = grid.planes_of(box), grid.input_shape[0]
            needed = kernel.needed(planes, count)
            slices = channel.intensity.apply(grid.slices(needed, box[1:]), scaling)
            mixable = channel.intensity.mixable(slices)
            between = kernel.between(mixable, planes, needed[0], count)
            made.append(channel.intensity.mixed(between))
        return np.stack(made)

    def sources(self, box: Box) -> list[Box]:
        """Return the voxels of each stack that a box of the padded grid may be read from."""
        if self.task.planes > 1:
            (first, last), *plane = box
            more = self.task.planes * (self.task.between.reach + 1)
            box = ((max(first - more, 0), min(last + more, self.grid.padded[0])), *plane)
        return [grid.data.reads(grid.source(box)) for grid in self.grids]

    def over(self, data: Sequence[Any]) -> StackInputs:
        """Return the same over other arrays of the same sizes, one in place of each stack's."""
        pairs = zip(self.grids, data, strict=True)
        grids = tuple(grid.over(grid.data.over(array)) for grid, array in pairs)
        return StackInputs(self.task, grids, self.scalings)


def input_stacks(volume: Volume, task: Task) -> list[Volume]:
    """Return the stack (z, y, x) of each input of a task.

    Parameters
    ----------
    volume : Volume
        Axes "zyx" where there is one input; else "czyx", whose channels are named as the task's
        inputs, or as many and in their order.
    task : Task
        Which inputs.

    Raises
    ------
    UserError
        If channels are missing, or there are others.
    """
    wanted = [channel.name for channel in task.inputs]
    if len(wanted) == 1:
        return [volume]
    if volume.axes != "czyx" or volume.shape[0] != len(wanted):
        raise UserError(
            f"{volume.name} has axes {volume.axes}, but this model takes {len(wanted)} channels "
            f"at once: {', '.join(channel.title for channel in task.inputs)}."
        )
    named = set(wanted) <= set(volume.channels)
    return [volume.select(channel=name if named else i) for i, name in enumerate(wanted)]


def taken(
    volume: Volume, task: Task, channel: int | str | None = None, time: int | None = None
) -> Volume:
    """Return what a task takes of a volume: one channel, or all where it has several inputs.

    Parameters
    ----------
    volume : Volume
        As it was read.
    task : Task
        Which inputs.
    channel, time : int or str, optional
        As for `Volume.select`.

    Raises
    ------
    UserError
        If a choice is needed and missing, or does not exist.
    """
    if len(task.inputs) > 1:
        return volume.only(time=time)
    known = CHANNEL_NAMES.get(task.inputs[0].name, ())
    return volume.select(channel, time, known)


def joined(stacks: Sequence[Volume], task: Task) -> Volume:
    """Return the inputs of a task, each a stack of its own, as one volume "czyx" ("tczyx").

    Raises
    ------
    UserError
        If they are not as many, or do not lie on one grid.
    """
    import dask.array as da

    if len(stacks) != len(task.inputs):
        titles = ", ".join(channel.title for channel in task.inputs)
        raise UserError(f"This model takes {len(task.inputs)} stacks, not {len(stacks)}: {titles}.")
    placed = on_one_grid(*stacks)
    before = placed[0].axes.index("z")
    data = da.stack([da.asarray(stack.data) for stack in placed], before)
    axes = placed[0].axes.replace("z", "cz")
    names = tuple(channel.name for channel in task.inputs)
    notes = [note for stack in placed for note in stack.notes]
    return placed[0].replace(data=data, axes=axes, channels=names).noted(*notes)


def filled_stack(
    volume: Volume, channel: Channel, scaling: Scaling, no_data: NoData
) -> FilledStack:
    """Return a stack whose holes are filled and whose hot voxels are clipped."""
    hot = channel.intensity.hot
    limits = channel.intensity.limits(scaling) if hot else (-np.inf, np.inf)
    return FilledStack(volume.data, no_data, scaling.low, limits)


def empty(stacks: Sequence[FilledStack], planes: int, box: Box) -> np.ndarray:
    """Return which voxels of the result hold no data, as one of the inputs has none.

    Parameters
    ----------
    stacks : sequence of FilledStack
        The inputs.
    planes : int
        Planes of the result for each of theirs.
    box : Box
        Voxels (z, y, x) of the result.
    """
    (first, last), *plane = box
    source = ((first // planes, -(-last // planes)), *plane)
    mask = np.any([stack.empty(source) for stack in stacks], 0)
    start = first - planes * source[0][0]
    return np.asarray(np.repeat(mask, planes, 0)[start : start + last - first])
