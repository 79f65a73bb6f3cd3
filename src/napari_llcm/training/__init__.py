"""Training: the job, its two phases, and the loop that runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config import TrainJob
from .jobs import load_job, make_job
from .runs import train_or_go_on

if TYPE_CHECKING:
    from .training import train

__all__ = ["TrainJob", "load_job", "make_job", "train", "train_or_go_on"]


def __getattr__(name: str) -> Any:  # torch and MONAI come with the first use
    if name == "train":
        from .training import train

        return train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
