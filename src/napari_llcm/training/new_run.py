"""A new training from a form: its job, and a name that is free for model and run folder."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..events import UserError
from ..models.bundle import read_info
from ..models.config import MethodName
from ..models.library import DEFAULT_MODEL, list_models
from ..models.methods import METHODS
from ..tasks import Task
from .config import Preset, TrainJob, TrainOptions
from .jobs import make_job
from .runs import runs_folder

PRESETS: dict[Preset, str] = {
    "quick": "Quick look",
    "standard": "Standard",
    "full": "Full",
}


def free_name(wanted: str = "my-model") -> str:
    """Return a name that neither a model nor a run has yet: the wanted one, or with a number."""
    taken = set(list_models()) | {p.name for p in _folders()}
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    return name


def starts(method: MethodName) -> dict[str, Task]:
    """Return the models that a method can start from, the shipped one first, and their tasks."""
    found, known = {}, list_models()
    for name in sorted(known, key=lambda n: n != DEFAULT_MODEL):
        with suppress(UserError):
            info = read_info(known[name])
            if METHODS[method].can_start_from(METHODS[info.method]):
                found[name] = info.task
    return found


def new_run(options: TrainOptions, pairs: Path | None, **further: Any) -> TrainJob:
    """Return the job that a form asks for.

    Parameters
    ----------
    options : TrainOptions
        What the user has chosen; the name is that of the run folder too.
    pairs : Path, optional
        Folder or list of pairs; the run folder's own `pairs`, into which open volumes are
        written, if None.
    **further
        Other fields of the job.

    Raises
    ------
    UserError
        If the name is taken, or cannot be that of a file.
    """
    name = options.name
    if not re.fullmatch(r"[\w][\w .+-]{0,79}", name):
        raise UserError("Give the model a name of letters, digits, dots, dashes and blanks.")
    if name in list_models():
        raise UserError(f"There is a model named {name} already: choose another name.")
    out = runs_folder() / name
    if out.exists() and any(out.iterdir()):
        raise UserError(
            f"There is a training named {name} already: open it below to go on with it, or choose "
            "another name."
        )
    fields = {
        **options.model_dump(exclude={"preset"}),
        "pairs": [(pairs or out / "pairs").absolute()],
        "out": out,
    }
    return make_job(options.preset, **fields | further)


def _folders() -> list[Path]:
    try:
        return list(runs_folder().iterdir())
    except OSError:
        return []
