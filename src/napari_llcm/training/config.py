"""One training job: what the YAML file, the command line and the form all fill in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ..models.config import (
    PRESETS,
    ConsistencyConfig,
    DiffusionConfig,
    MethodName,
    NetworkConfig,
    ResShiftConfig,
)
from ..models.methods import AUTOENCODER, METHODS, PhaseName
from ..tasks import Task, find_task
from ..tasks.registry import STAIN
from ..volumes.names import plain_name
from ..volumes.options import PairReadOptions
from .control_options import ControlLearning, ControlOptions, check_control

if TYPE_CHECKING:
    from ..volumes import Pair

Preset = Literal["quick", "standard", "full"]
_Side = Annotated[int, Field(ge=1, le=4096)]


class PhaseConfig(BaseModel):
    """How one of the two phases is trained."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    steps: int = Field(gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_steps: int = Field(default=50, ge=1)
    # Of RAdam's second moments. Until it has seen 1/(1 - beta2) steps RAdam holds its rate down:
    # at step 50 to 0.15 of it with 0.999, to 0.46 with 0.99.
    beta2: float = Field(default=0.999, gt=0, lt=1)
    share: float = Field(default=0.5, gt=0, le=1)  # of the minutes, where the job has a time limit


class TrainOptions(ControlOptions):
    """What a user chooses of a training: the options of the command line and of the form."""

    model_config = ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)

    method: MethodName = Field(
        "llcm",
        title="Method",
        description="How it learns: llcm stains in one step; the others are rivals to compare it "
        "with.",
    )
    init: str | None = Field(
        None,
        title="Start from",
        description="A model to go on from (fine-tuning), which takes minutes and a pair or two; "
        "from nothing, it takes hours and many pairs.",
    )
    autoencoder: str | None = Field(
        None,
        title="Autoencoder",
        description="An autoencoder that model import-vae has taken in, to train on top of. It "
        "stays as it is, unless thaw_after says otherwise, or phase: all first trains it on these "
        "pairs.",
    )
    thaw_after: float | None = Field(
        None,
        ge=0,
        title="Thaw after",
        description="Epochs (times that each pair was seen) after which the decoder learns too.",
    )
    thaw_rate: float = Field(
        0.1,
        gt=0,
        le=1,
        title="Thawed rate",
        description="The learning rate of what is thawed, as a share of the rest's.",
    )
    preset: Preset = Field(
        "standard",
        title="Thoroughness",
        description="quick shows in a short time whether anything can be learned from these "
        "pairs; standard is for daily work; full is the best that the method gives, over night.",
    )
    max_minutes: float | None = Field(
        None,
        gt=0,
        title="At most",
        description="Be done after so many minutes, with whatever was learned by then; "
        "5 where it starts from a model and nothing is said.",
    )
    device: str = Field(
        "auto",
        title="Compute on",
        description="auto (the fastest there is), cpu, cuda, cuda:N or mps; a graphics card is "
        "tens of times faster than a processor.",
    )
    name: str = Field(
        "",
        title="Name",
        description="What the new model is called; as the run folder if not given.",
    )
    seed: int = Field(0, ge=0, title="Seed", description="Which random numbers are used.")


class TrainJob(TrainOptions):
    """A training job.

    Parameters
    ----------
    pairs : list of Path
        Folders with one folder for each channel, such as `qpi/` and `dapi/`, or CSV/YAML lists of
        pairs; for a task that makes its inputs of outputs, folders of these.
    out : Path
        The run folder.
    """

    pairs: list[Path]
    out: Path
    reading: PairReadOptions = PairReadOptions()  # of the pairs, as a resumed run reads them again
    task: Task = STAIN  # or the name of one of `tasks.TASKS`, or a YAML file; an `init` has its own
    # None: both from nothing; the method's own alone from a model, whose latent space is kept
    phase: PhaseName | Literal["all"] | None = None
    network: NetworkConfig = NetworkConfig()  # or the name of one of `models.PRESETS`
    consistency: ConsistencyConfig = ConsistencyConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    resshift: ResShiftConfig = ResShiftConfig()
    vae_phase: PhaseConfig = PhaseConfig(steps=1500, share=0.3)
    method_phase: PhaseConfig = PhaseConfig(steps=4000, share=0.7)  # of the method's own phase
    # kept: the mean and deviation of latents that came with the autoencoder, in place of those of
    # the latents that are trained on
    latent_statistics: Literal["measured", "kept"] = "measured"
    root: bool = True  # learn the square root of DAPI, so that dim nuclei count
    patch: tuple[_Side, _Side, _Side] = (32, 64, 64)  # voxels (z, y, x)
    # strong: other optics, light, noise and sampling, for a model of many microscopes
    augmentation: Literal["none", "gentle", "strong"] | None = None  # None: the task's
    crops: int = Field(default=4, gt=0, le=4096)  # patches from one volume, of one for each step
    # batches of a step, for each process: their gradients are averaged
    accumulate: int = Field(default=1, gt=0, le=4096)
    kl_weight: float = 1e-6
    control_learning: ControlLearning = ControlLearning()
    vae_adversarial: float = 0.0  # weight of a PatchGAN on the autoencoder's output
    vae_perceptual: float = 0.0  # weight of the distance of local gradients
    # of foreground, distance and centre of nuclei, told from the U-Net's features; needs labels
    instance_weight: float = Field(default=0.5, ge=0)
    clip: float = Field(default=1.0, gt=0)  # norm of the gradient of each module
    ema: float = Field(default=0.999, ge=0, lt=1)  # of the weights, for inference; warmed up
    recompute: bool = False  # gradient checkpointing: less memory, more time
    mixed_precision: bool = True  # bfloat16 where the device is quicker with it
    validation_share: float = Field(default=0.1, ge=0, lt=1)  # of the pairs, at least one of four
    never_worse: bool = False  # of all weights that were validated, the start's too, keep the best
    validations: int = Field(default=10, ge=0)  # for each phase
    checkpoint_seconds: float = Field(default=60.0, ge=0)  # a killed run loses no more
    tensorboard: bool = True

    @field_validator("network", mode="before")
    @classmethod
    def _network_by_name(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in PRESETS:
            raise ValueError(f"there is no network {value!r}, choose one of {', '.join(PRESETS)}")
        return PRESETS[value]

    @field_validator("task", mode="before")
    @classmethod
    def _task_by_name(cls, value: Any) -> Any:
        return find_task(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _phase_of_method(self) -> TrainJob:
        if self.name:
            plain_name(self.name, "name of the model")
        if self.phase not in (None, *(known := ("all", *self._all_phases()))):
            raise ValueError(f"phase of {self.method} must be one of {', '.join(known)}")
        if self.autoencoder is not None and self.init is not None:
            raise ValueError("a model to start from has an autoencoder: leave one of them out")
        check_control(self)
        if self.latent_statistics == "kept" and AUTOENCODER.name in self.phases():
            raise ValueError("latent_statistics are kept of an autoencoder that is not trained")
        if self.autoencoder is not None and not METHODS[self.method].latent:
            raise ValueError(f"{self.method} has no autoencoder: leave that out")
        if self.thaw_after is not None and not METHODS[self.method].decodes:
            raise ValueError(f"from the loss of {self.method} no decoder learns: leave it out")
        least = max(METHODS[self.method].least_patch, 16 if self.vae_adversarial else 1)
        if min(self.patch) < least:
            raise ValueError(
                f"a PatchGAN needs patches of at least {least} voxels along z, y and x"
            )
        return self

    def _all_phases(self) -> tuple[PhaseName, ...]:
        learned = self.network.autoencoder.learned
        phases = METHODS[self.method].phases
        return tuple(phase.name for phase in phases if learned or phase is not AUTOENCODER)

    def phases(self) -> tuple[PhaseName, ...]:
        """Return the phases that this job runs, in order."""
        if self.phase is None and (self.init or self.autoencoder):
            return (METHODS[self.method].phase.name,)
        if self.phase is None or self.phase == "all":
            return self._all_phases()
        return (self.phase,)

    def settings(self, phase: PhaseName) -> PhaseConfig:
        """Return the settings of one phase."""
        return self.vae_phase if phase == AUTOENCODER.name else self.method_phase

    def split(self, pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
        """Return pairs to train on and pairs held out, evenly spread over the list."""
        held = round(len(pairs) * self.validation_share)
        if len(pairs) >= 4 and self.validation_share > 0:
            held = max(held, 1)
        chosen = {int((i + 0.5) * len(pairs) / held) for i in range(held)}
        training = [pair for i, pair in enumerate(pairs) if i not in chosen]
        return training, [pairs[i] for i in sorted(chosen)]

    def seconds_allowed(self, phase: PhaseName) -> float | None:
        """Return the time limit of one phase; None where the job has none."""
        if self.max_minutes is None:
            return None
        share = self.settings(phase).share if len(self.phases()) > 1 else 1.0
        return self.max_minutes * 60 * share
