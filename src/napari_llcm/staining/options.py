"""How a stack is stained: one typed value for the Python API, command line, panels and batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..cluster import ClusterOptions
from ..events import UserError
from ..models.nucleus_width import NucleusWidth
from .memory import Tiling


class StainOptions(NucleusWidth, ClusterOptions):
    """How a stack is stained.

    Parameters
    ----------
    tiling : Tiling, optional
        Tile sizes; by default planned from the free memory. The result does not depend on it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    device: str = Field(
        default="auto",
        title="Compute on",
        description="auto (the fastest there is), cpu, cuda, cuda:N or mps; a graphics card is "
        "tens of times faster than a processor.",
    )
    seed: int = Field(default=0, description="Which random field is used.")
    samples: int = Field(
        default=1,
        ge=1,
        description="Seeds to average; with more than one the result has two channels, dapi (the "
        "mean) and spread (the standard deviation).",
    )
    steps: int | None = Field(
        default=None, ge=1, description="Network steps; by default the method's own, one for llcm."
    )
    overwrite: bool = Field(default=False, description="Replace what is there.")
    check: bool = Field(
        default=True,
        description="Tell first whether the model can read the stack; it takes seconds.",
    )
    memory_share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of the free memory to take; by default planned.",
    )
    scratch: Path | None = Field(
        default=None, description="Folder for temporary files; by default beside the result."
    )
    tiling: Tiling | None = None

    @property
    def seeds(self) -> list[int]:
        """The seed of each sample."""
        return [self.seed + k for k in range(self.samples)]

    @property
    def device_here(self) -> str:
        """The device of this computer: `device` is that of the others, where they compute."""
        return "auto" if self.cluster else self.device

    def changed(self, **fields: Any) -> StainOptions:
        """Return the options with some fields changed.

        Raises
        ------
        UserError
            If a field does not exist or its value does not fit.
        """
        own = {name: getattr(self, name) for name in self.model_fields_set}
        return stain_options(**(own | fields))


class PlateOptions(BaseModel):
    """What a plate of results holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plate_channels: Literal["predictions", "all", "input"] = Field(
        default="predictions",
        description="predictions: the plate of results has the predicted channels alone; all: the "
        "channels of the input before them; input: there is none, and the input itself gets them.",
    )
    prediction: str | None = Field(
        default=None,
        pattern=r"^[^\s/][^/]{0,80}$",
        description="What the predicted channel is called, before _prediction; as the model's "
        "output, such as dapi, if not given.",
    )
    ome_zarr: Literal["0.4", "0.5"] | None = Field(
        default=None, description="Version of OME-Zarr; that of the input plate if not given."
    )


def stain_options(**fields: Any) -> StainOptions:
    """Return options from values that a user gave.

    Raises
    ------
    UserError
        If a field does not exist or its value does not fit.
    """
    try:
        return StainOptions(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"The staining option '{where}' does not fit: {first['msg']}.") from error
