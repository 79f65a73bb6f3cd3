"""What a trained model says of itself: the content of `model.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from ..events import UserError
from ..tasks import Channel, Task
from ..tasks.normalise import Scaling
from ..tasks.registry import STAIN
from .confidence_model import ConfidenceModel
from .config import (
    ConsistencyConfig,
    DiffusionConfig,
    MethodName,
    NetworkConfig,
    ResShiftConfig,
)
from .familiarity import Familiarity
from .methods import METHODS
from .reach import Reach
from .taught import Taught
from .width_model import WidthModel

FORMAT = 3  # 1 said "kind" for "method"; up to 2, the task was staining


def _usable(scaling: Scaling) -> Scaling:
    if not scaling.usable:
        raise ValueError(f"{scaling.low:g} to {scaling.high:g} is no range of intensities")
    return scaling


_Scaling = Annotated[Scaling, AfterValidator(_usable)]
_Size = Annotated[float, Field(gt=0)]


class ModelInfo(BaseModel):
    """Everything about a trained stainer but its weights; the content of `model.json`."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    format: int = FORMAT
    name: str = Field(max_length=1000)
    # "kind" in format 1
    method: MethodName = Field(default="llcm", validation_alias=AliasChoices("method", "kind"))
    network: NetworkConfig = NetworkConfig()
    consistency: ConsistencyConfig = ConsistencyConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    resshift: ResShiftConfig = ResShiftConfig()
    spacing: tuple[_Size, _Size, _Size] | None = None  # µm (z, y, x) of the training volumes
    # width of their nuclei in µm: of the disk as large as the largest cut through a usual one
    nucleus_um: _Size | None = None
    width_model: WidthModel | None = None  # tells the width of a stack's nuclei, where fitted
    task: Task = STAIN
    # median over the training volumes, by channel: give outputs their unit; of inputs, for warnings
    scalings: dict[str, _Scaling]
    confidence: ConfidenceModel | None = None  # how far to trust its nuclei, where calibrated
    familiarity: Familiarity | None = None  # which stacks it can read, where calibrated
    taught: Taught | None = None  # on what, and how well it did there
    reach: Reach | None = None  # the halo that is enough in bfloat16, where measured
    # median `noise_level` of the training volumes' first input: for warnings
    input_noise: float | None = Field(
        default=None, validation_alias=AliasChoices("input_noise", "qpi_noise")
    )
    metrics: dict[str, float] = Field(default_factory=dict)  # on validation volumes
    provenance: dict[str, Any] = Field(default_factory=dict)  # command, data, steps, versions

    @model_validator(mode="before")
    @classmethod
    def _by_channel(cls, data: Any) -> Any:
        """Take the scalings of a bundle of format 1 or 2, which was of two channels."""
        if not isinstance(data, dict) or "scalings" in data:
            return data
        known = {name: data[name] for name in ("qpi", "dapi") if data.get(name) is not None}
        return {**data, "scalings": known}

    @model_validator(mode="after")
    def _fits_its_task(self) -> ModelInfo:
        count = (self.network.inputs, self.network.outputs)
        if count != (self.task.seen, len(self.task.outputs)):
            raise ValueError(f"networks of {count} channels do not fit the task {self.task.name}")
        for channel in self.task.outputs:
            if channel.scaled_as is None and channel.name not in self.scalings:
                raise ValueError(f"the scaling of {channel.name} is missing")
        return self

    @field_validator("metrics", mode="before")
    @classmethod
    def _known(cls, metrics: Any) -> Any:
        """Leave out figures that could not be measured, which JSON holds as null."""
        if not isinstance(metrics, dict):
            return metrics
        return {k: v for k, v in metrics.items() if v is not None and v == v}

    @property
    def local(self) -> bool:
        """True where staining can go tile by tile without seams."""
        return METHODS[self.method].latent and self.network.local

    def output_scaling(self, channel: Channel, inputs: Mapping[str, Scaling]) -> Scaling:
        """Return the scaling by which an output gets its unit, from those of a stack's inputs."""
        if channel.scaled_as is None:
            return self.scalings[channel.name]
        return inputs[channel.scaled_as]

    def steps(self, wanted: int | None = None) -> int:
        """Return the number of sampler steps: the method's own where none are wanted.

        Raises
        ------
        UserError
            If the method cannot take that many.
        """
        method = METHODS[self.method]
        own = method.default_steps(self)
        if wanted is None or wanted == own:
            return own
        if wanted < 1:
            raise UserError("Staining takes at least one step.")
        if not method.any_steps:
            raise UserError(f"The model {self.name} ({self.method}) always takes {own} step(s).")
        return wanted
