"""A pair of files as the arrays that are trained on: on one grid, without holes, scaled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform, Transform

from ..tasks import Task
from ..tasks.normalise import Scaling
from ..tasks.registry import STAIN
from ..tasks.unit import unit_notices
from ..volumes import (
    Pair,
    Spacing,
    Volume,
    check_stack,
    filled,
    labels_of,
    needs_resampling,
    on_one_grid,
    resample,
)
from ..volumes.flat import is_flat
from .held_out import Part

PLANES = "planes"  # of a pair whose DAPI is one plane: how many planes are no padding


class ReadPair(Transform):
    """Read a pair as arrays on the grid that is trained on.

    All stacks are opened together, since a file may not tell the voxel size that its partner
    tells: resampled by itself, each would end up on a grid of its own.

    Parameters
    ----------
    spacing : tuple of float, optional
        Voxel size (z, y, x) in µm; None leaves all as they are.
    labels : bool
        Whether the labels of nuclei are read too, where a pair has them.
    task : Task
        Which channels a pair has.
    """

    def __init__(self, spacing: Spacing | None, labels: bool = False, task: Task = STAIN) -> None:
        self.spacing, self.labels, self.task = spacing, labels, task

    def __call__(self, data: Pair | Part) -> dict[str, Any]:
        """Return "inputs" (I, z, y, x) and "outputs" (O, z, y, x), float32, where they are
        "filled" (1, z, y, x), and what pair or part they are "of".

        With them "labels", uint32, where they are read.

        Voxels without data in one of the stacks are filled in all alike, by mirroring: what is seen
        there is another view of a true pair.
        """
        given, wanted, nuclei = data.stacks(flat=True)
        if is_flat(wanted[0]):
            return {**self._flat(data, given[0], wanted[0]), "of": data}
        labels = [labels_of(nuclei)] if self.labels and nuclei is not None else []
        stacks = [*given, *wanted]
        holes, told = np.zeros(stacks[0].shape, bool), list[str]()
        for volume, channel in zip(wanted, self.task.outputs, strict=True):
            told += unit_notices(volume, channel)
        for volume in stacks:
            if no_data := check_stack(volume):
                holes |= no_data.mask(volume.data)
                told.append(no_data.sentence(f"{data.name} ({volume.name})"))
        told += [note for volume in labels for note in volume.notes]
        if holes.any():
            stacks = [_filled(volume, holes) for volume in stacks]
            labels = [_mirrored(volume, holes) for volume in labels]
        spacing = trained_spacing(stacks[0], self.spacing, self.task)
        if spacing is not None and needs_resampling(stacks[0], spacing):
            where = resample(stacks[0].replace(data=holes), spacing, order=0)
            images = (resample(v, spacing) for v in stacks)
            labels = [resample(v, spacing, order=0) for v in labels]
            *stacks, last = on_one_grid(*images, *labels, where)
            stacks, labels = stacks[: len(given) + len(wanted)], stacks[len(given) + len(wanted) :]
            holes = last.numpy()
        arrays = [np.asarray(v.numpy(), np.float32) for v in stacks]
        read: dict[str, Any] = {
            "inputs": np.stack(arrays[: len(given)]),
            "outputs": np.stack(arrays[len(given) :]),
        }
        if labels:
            read["labels"] = labels[0].numpy()[None]
        return {**read, "filled": holes[None], "told": told, "of": data}

    def _flat(self, data: Pair | Part, stack: Volume, plane: Volume) -> dict[str, Any]:
        """Return a pair whose output is one plane: that is of shape (1, 1, y, x).

        "filled" is where the stack is, and "planes" how many planes it has.
        """
        told, holes = list[str](), []
        for volume, least in ((stack, 2), (plane, 1)):
            no_data = check_stack(volume, least=least)
            holes.append(no_data.mask(volume.data))
            if no_data:
                told.append(no_data.sentence(f"{data.name} ({volume.name})"))
        of_plane = holes[1] | holes[0].all(0)  # columns of which nothing is known
        of_stack = holes[0] | of_plane
        stack = _filled(stack, of_stack) if of_stack.any() else stack
        plane = _filled(plane, of_plane) if of_plane.any() else plane
        if self.spacing is not None and needs_resampling(stack, self.spacing):
            where = resample(stack.replace(data=of_stack), self.spacing, order=0)
            stack, of_stack = resample(stack, self.spacing), where.numpy()
            assert plane.spacing is not None
            plane = resample(plane, (plane.spacing[0], *self.spacing[1:]))
        arrays = {"inputs": stack, "outputs": plane}
        return {
            **{name: np.asarray(v.numpy(), np.float32)[None] for name, v in arrays.items()},
            "filled": of_stack[None],
            "told": told,
            PLANES: stack.shape[0],
        }


def _filled(volume: Volume, holes: np.ndarray) -> Volume:
    """Return a stack, float32, with its holes filled."""
    data = np.array(volume.data, np.float32)
    background = float(np.median(data[~holes])) if not holes.all() else 0.0
    return volume.replace(data=filled(data, holes, background))


def _mirrored(labels: Volume, holes: np.ndarray) -> Volume:
    """Return labels whose holes mirror what is beside them; a mirror image is another nucleus."""
    from skimage.measure import label

    # float64 holds every number of a label
    data = filled(np.array(labels.data, np.float64), holes, 0.0)
    return labels.replace(data=label(data.astype(np.int64)).astype(np.uint32))


class OnlyPart(Transform):
    """Keep what is trained on, or held out, of one pair; both are scaled as the whole is.

    Parameters
    ----------
    keys : sequence of str
        Arrays (1, z, y, x).
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the pair, cut where it is a part of one."""
        part, rest = data["of"], {key: value for key, value in data.items() if key != "of"}
        if not isinstance(part, Part):
            return rest
        box = [slice(None)] * 4
        box[1 + part.axis] = slice(part.first, part.last)
        return rest | {key: data[key][tuple(box)] for key in self.keys if key in data}


class Normalised(MapTransform):
    """Normalise each channel by the statistics of the whole volume.

    Parameters
    ----------
    task : Task
        How each channel is normalised.
    root : bool
        Whether light goes through the square root.
    """

    def __init__(self, task: Task = STAIN, root: bool = True) -> None:
        super().__init__(["inputs", "outputs"])
        self.task, self.root = task, root

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the pair with scaled intensities and the scalings used."""
        holes = {"inputs": data["filled"][0], "outputs": data["filled"][0]}
        if PLANES in data:  # a plane has none but where all of a column are
            holes["outputs"] = data["filled"].all(1)
        scalings: dict[str, Scaling] = {}
        arrays = {}
        for key, channels in (("inputs", self.task.inputs), ("outputs", self.task.outputs)):
            normalised = []
            for values, channel in zip(data[key], channels, strict=True):
                if channel.scaled_as is not None:
                    scaling = scalings[channel.scaled_as]
                else:
                    known = np.where(holes[key], np.float32(np.nan), values)
                    scaling = channel.intensity.measure(known)
                    if key == "outputs":
                        scaling = scaling.model_copy(update={"root": self.root})
                scalings[channel.name] = scaling
                normalised.append(channel.intensity.apply(values, scaling))
            arrays[key] = np.stack(normalised)
        return {
            **arrays,
            "told": data["told"],
            "of": data["of"],
            **{key: data[key] for key in ("labels", PLANES) if key in data},
            "scalings": {n: torch.tensor([s.low, s.high]).double() for n, s in scalings.items()},
        }


def trained_spacing(volume: Volume, spacing: Spacing | None, task: Task) -> Spacing | None:
    """Return the voxel size that a volume is trained at.

    Planes that are made of thick slices stay what they are: resampled, they would no longer lie
    where the task says.

    Parameters
    ----------
    volume : Volume
        Its own is kept along z where the task makes planes.
    spacing : tuple of float, optional
        The model's.
    task : Task
        Which task.
    """
    if spacing is None or task.planes == 1:
        return spacing
    return (volume.step[0], *spacing[1:])
