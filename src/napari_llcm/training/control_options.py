"""What can be chosen of a control branch, and what does not go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from ..models.methods import METHODS
from ..models.nucleus_width import NucleusWidth

if TYPE_CHECKING:
    from .config import TrainJob


class ControlOptions(NucleusWidth):
    """Whether a branch is trained beside a model, or the model itself."""

    control: bool = Field(
        False,
        title="Control branch",
        description="With a model to start from: leave it as it is, and train a branch beside it "
        "(ControlNet).",
    )


class ControlLearning(BaseModel):
    """How a branch learns to steer by degraded inputs."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    degraded: float = Field(default=0.25, ge=0, le=1)  # share of the patches
    cleaning_weight: float = Field(default=1.0, ge=0)  # of the L1 of cleaned patches


def check_control(job: TrainJob) -> None:
    """Refuse what does not go with a control branch.

    Raises
    ------
    ValueError
        With what to leave out.
    """
    method = METHODS[job.method]
    if job.init is None and (job.control or job.network.control):
        raise ValueError("a control branch is trained beside a model: name it by init")
    if not job.control:
        return
    if not method.latent:
        raise ValueError(f"{method.name} has no U-Net in a latent space: leave control out")
    if job.thaw_after is not None or job.phase not in (None, method.phase.name):
        raise ValueError(
            "beside a control branch nothing is trained: leave phase and thaw_after out"
        )
