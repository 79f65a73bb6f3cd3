"""Training jobs made from a preset, or read from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ..events import UserError
from ..models.bundle import read_info
from ..models.library import find_model
from ..tasks import Task, find_task
from ..tasks.registry import STAIN
from ..volumes.atomic import write_text
from .config import Preset, TrainJob

_OLD_NAMES = {"consistency_phase": "method_phase"}  # in job files of earlier versions
_BEFORE = {"instance_weight": 0.0}  # what runs did before there was such a setting
_STEPS: dict[Preset, tuple[int, int]] = {
    "quick": (300, 500),
    "standard": (1500, 4000),
    "full": (6000, 24000),
}
# What a training that starts from a model is, where nothing else is said.
FINE_TUNING: dict[str, Any] = {
    "max_minutes": 5.0,
    # few patches and many steps: minutes of a processor are short
    "crops": 2,
    # four times this rate is better where the start knows little and ruins a start that is good
    "method_phase": {"learning_rate": 1e-3, "warmup_steps": 10, "beta2": 0.99},
    "validations": 2,  # each counts nuclei, which takes some seconds of the minutes
    "never_worse": True,
    "instance_weight": 0.0,  # its head would have to be learned anew first
}


def make_job(preset: Preset = "standard", **fields: Any) -> TrainJob:
    """Return a job with a preset's steps and the task's recipe, changed by `fields`.

    From a model, with `FINE_TUNING`.

    Raises
    ------
    UserError
        If a field does not exist or its value does not fit.
    """
    vae, own = _STEPS[preset]
    recipe = _task_of(fields).recipe.fields
    base: dict[str, Any] = {
        "preset": preset,
        "vae_phase": {"steps": vae, "share": 0.3},
        **recipe,
        "method_phase": {"steps": own, "share": 0.7, **recipe.get("method_phase", {})},
    }
    if fields.get("init") is not None or fields.get("autoencoder") is not None:
        base.pop("network", None)  # that of the model
    if fields.get("init") is not None and fields.get("phase") is None:
        own = base["method_phase"]
        base |= FINE_TUNING | {"method_phase": own | FINE_TUNING["method_phase"]}
        if fields.get("max_minutes") is None:
            fields = {name: value for name, value in fields.items() if name != "max_minutes"}
    try:
        return TrainJob(**(base | {_OLD_NAMES.get(k, k): v for k, v in fields.items()}))
    except ValidationError as error:
        raise UserError(_sentence(error)) from error


def _task_of(fields: Mapping[str, Any]) -> Task:
    """Return the task that a job is of: that of the model that it starts from, if of one."""
    if fields.get("init") is not None:
        with suppress(UserError):  # told when the job begins
            return read_info(find_model(fields["init"])).task
    task = fields.get("task", STAIN)
    if isinstance(task, str):
        return find_task(task)
    try:
        return Task.model_validate(task)
    except ValidationError:
        return STAIN  # told by the job


def load_job(path: Path) -> TrainJob:
    """Read a job from YAML; `preset` is allowed beside the fields of `TrainJob`.

    Raises
    ------
    UserError
        If the file is missing, is no YAML, or a field does not fit.
    """
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"The job {path} cannot be read as YAML: check the file.") from error
    if not isinstance(fields, dict):
        raise UserError(f"The job {path} is no list of settings such as 'pairs: folder'.")
    if isinstance(fields.get("pairs"), str):
        fields["pairs"] = [fields["pairs"]]
    if "checkpoint_seconds" in fields:  # written by a run, with every setting that there was
        fields = _BEFORE | fields
    preset = fields.pop("preset", "standard")
    if preset not in _STEPS:
        raise UserError(f"Unknown preset {preset!r} in {path}: choose one of {', '.join(_STEPS)}.")
    return make_job(preset, **fields)


def save_job(job: TrainJob, path: Path) -> None:
    """Write what was said of a job as YAML, whole or not at all; the rest is found at its start."""
    fields = job.model_dump(mode="json", exclude_unset=True)
    if "task" in fields:  # whole: it is a value, and what kind of intensity it has is a default
        fields["task"] = job.task.model_dump(mode="json")
    write_text(path, yaml.safe_dump(fields, sort_keys=False))


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "job"
    return f"The training setting '{where}' does not fit: {first['msg']}."
