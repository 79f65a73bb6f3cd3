"""A task as a value: what goes in, what comes out, on which grid, and who judges it.

A bundle keeps the value itself, so that a model needs no entry in a registry to be used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..volumes import Found, Pair, PairReadOptions
from ..volumes.pairs import Channels, find_pairs
from ..volumes.thick_slices import ThickOptions, positions_between
from ..volumes.thin_volumes import find_thin_volumes
from .intensity import Intensity
from .slice_kernel import SliceKernel

_CONFIG = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")]
_Channels = Annotated[tuple["Channel", ...], Field(min_length=1, max_length=8)]


class Channel(BaseModel):
    """One image of a field.

    Parameters
    ----------
    name : str
        In files and folders: the stacks of it lie in a folder of this name.
    title : str
        For people.
    intensity : Intensity
        How it is normalised.
    folders : tuple of str
        Other names that its folder may have.
    scaled_as : str, optional
        Of an output: the input whose unit it has. Without, it has that of the training volumes.
    colormap : str
        Its colours in a viewer.
    """

    model_config = _CONFIG

    name: _Name
    title: str = Field(max_length=100)
    intensity: Intensity
    folders: tuple[_Name, ...] = ()
    scaled_as: _Name | None = None
    colormap: str = Field(default="gray", max_length=40)


class Recipe(BaseModel):
    """How a model of a task is trained where nothing else is said; None is as always.

    Parameters
    ----------
    network : dict
        Sizes and kinds: fields of `models.NetworkConfig`. A model that is gone on with keeps its
        own.
    patch : tuple of int, optional
        Voxels (z, y, x).
    crops : int, optional
        Patches of a step.
    method_phase : dict
        Fields of `training.config.PhaseConfig`.
    """

    model_config = _CONFIG

    network: dict[str, Any] = Field(default_factory=dict)
    patch: tuple[int, int, int] | None = None
    crops: int | None = None
    method_phase: dict[str, float] = Field(default_factory=dict)

    @property
    def fields(self) -> dict[str, Any]:
        """What it says, as fields of `training.TrainJob`."""
        return self.model_dump(exclude_defaults=True)


class Task(BaseModel):
    """What a model does.

    Parameters
    ----------
    name : str
        In files and on the command line.
    title, verb : str
        For people: the task, and the button that does it.
    result : str
        For people: what comes out, put after the name of the input.
    inputs, outputs : tuple of Channel
        In their order along axis "c".
    planes : int
        Output planes for each input plane; what is between two is told to the networks as one more
        channel.
    thick : ThickOptions, optional
        How inputs are made of the outputs, where pairs are: by thick slices. The pairs are then
        thin volumes alone.
    augmentation : str
        How far a patch may be changed in training: see `training.augment`. Nothing that would
        change the unit of an output which has that of its input.
    loss : str
        What matters in an image: see `training.losses`.
    judge : str
        What a result is judged by: see `evaluation.judges`.
    recipe : Recipe
        How a model of it is trained where nothing else is said.
    kernel : SliceKernel, optional
        How planes are made of the slices near by, on which the networks build; fitted when a model
        is trained. Linear interpolation where there is none.
    """

    model_config = _CONFIG

    name: _Name
    title: str = Field(max_length=100)
    verb: str = Field(default="Stain", max_length=40)
    result: str = Field(default="result", max_length=60)
    inputs: _Channels
    outputs: _Channels
    planes: int = Field(default=1, ge=1, le=64)
    thick: ThickOptions | None = None
    augmentation: Literal["none", "gentle", "strong"] = "gentle"
    loss: Literal["nuclei", "edges"] = "nuclei"
    judge: Literal["nuclei", "restoration"] = "nuclei"
    recipe: Recipe = Recipe()
    kernel: SliceKernel | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Task:
        names = [channel.name for channel in (*self.inputs, *self.outputs)]
        if len(set(names)) < len(names):
            raise ValueError("two channels of a task have the same name")
        known = {channel.name for channel in self.inputs}
        for channel in self.outputs:
            if channel.scaled_as is not None and channel.scaled_as not in known:
                raise ValueError(f"there is no input {channel.scaled_as} to scale an output as")
        if self.thick is not None and self.thick.ratio != self.planes:
            raise ValueError(f"planes is {self.planes}, but a slice is {self.thick.ratio:g} thick")
        if self.kernel is not None and len(self.kernel.weights) != self.planes:
            raise ValueError(f"the kernel is of {len(self.kernel.weights)} planes")
        if self.thick is not None and len(self.inputs) != len(self.outputs):
            raise ValueError("thick slices are made of each output: there are as many inputs")
        return self

    @property
    def channels(self) -> Channels:
        """The stacks that a field has, by the names of their folders."""
        inputs, outputs = (
            tuple((channel.name, *channel.folders) for channel in some)
            for some in (self.inputs, self.outputs)
        )
        return Channels(inputs, outputs)

    def find_pairs(self, source: Path, reading: PairReadOptions | None = None) -> Found[Pair]:
        """Find what can be trained on in a folder or a list.

        Raises
        ------
        UserError
            As `volumes.find_pairs`.
        """
        if self.thick is None:
            return find_pairs(source, reading, self.channels)
        names = self.channels.outputs[0]
        return find_thin_volumes(source, self.thick, reading, names)

    @property
    def between(self) -> SliceKernel:
        """How planes are made of the slices near by, where there are several for each."""
        return self.kernel or SliceKernel.linear(self.planes)

    @property
    def seen(self) -> int:
        """How many channels the networks see: the inputs, and where planes lie between two."""
        return len(self.inputs) + (self.planes > 1)

    def seen_beside(self, first: int, shape: tuple[int, ...]) -> np.ndarray:
        """Return what the networks see beside the inputs.

        Parameters
        ----------
        first : int
            Plane of the output grid at which the box begins.
        shape : tuple of int
            Of the box (z, y, x).

        Returns
        -------
        ndarray
            (`seen` less the inputs, z, y, x), float32: where each plane lies between its two
            neighbours among the input's, 0 on the lower one, to 1.
        """
        if self.planes == 1:
            return np.zeros((0, *shape), np.float32)
        whole = -(-(first + shape[0]) // self.planes)
        between = positions_between(whole, whole * self.planes)[first : first + shape[0]]
        return np.broadcast_to(between[None, :, None, None], (1, *shape)).astype(np.float32)
