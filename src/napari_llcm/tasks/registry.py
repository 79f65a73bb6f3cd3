"""The tasks that come with the package, found by name; others are YAML files."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from ..events import UserError
from ..volumes.thick_slices import ThickOptions
from .intensity import Contrast, Counts, Window
from .task import Channel, Recipe, Task

# Wavelets need no phase of their own, which an autoencoder of so faint a residual takes long to get
# through: in 200 steps it learned nothing. 24 planes show four slices of six planes. At three times
# the rate 260 steps learn as much, but in 700 the output dies: it is then the slice kernel's.
_FINER = Recipe(
    network={
        "autoencoder": "wavelet",
        "condition_widths": [24],
        "unet_widths": [24, 40, 64],
    },
    patch=(24, 48, 48),
    crops=2,
    method_phase={"learning_rate": 1e-3, "warmup_steps": 10, "beta2": 0.99},
)
STAIN = Task(
    name="stain",
    title="Virtual staining",
    result="virtual DAPI",
    inputs=(
        Channel(name="qpi", title="label-free", intensity=Contrast(), folders=("phase",)),
    ),
    outputs=(
        Channel(name="dapi", title="DAPI", intensity=Counts(), colormap="bop blue"),
    ),
)  # fmt: skip
SUPERRES = Task(
    name="superres",
    title="Finer slices (microscopy)",
    verb="Restore z",
    result="finer slices",
    inputs=(Channel(name="thick", title="thick slices", intensity=Counts()),),
    outputs=(
        Channel(name="thin", title="thin slices", intensity=Counts(), scaled_as="thick"),
    ),
    planes=4,
    thick=ThickOptions(ratio=4, profile="gaussian"),
    augmentation="none",
    loss="edges",
    judge="restoration",
    recipe=_FINER,
)  # fmt: skip
SUPERRES_CT = SUPERRES.model_copy(
    update={
        "name": "superres-ct",
        "title": "Finer slices (CT)",
        "inputs": (Channel(name="thick", title="thick slices", intensity=Window()),),
        "outputs": (
            Channel(name="thin", title="thin slices", intensity=Window(), scaled_as="thick"),
        ),
        "planes": 6,
        "thick": ThickOptions(ratio=6, profile="slab"),
    }
)
TASKS: dict[str, Task] = {task.name: task for task in (STAIN, SUPERRES, SUPERRES_CT)}


def find_task(name: str) -> Task:
    """Return a task by its name, or from a YAML file.

    Parameters
    ----------
    name : str
        One of `TASKS`, or a path.

    Raises
    ------
    UserError
        If there is none, or a field of it does not fit.
    """
    if name in TASKS:
        return TASKS[name]
    path = Path(name).expanduser()
    if path.suffix.lower() not in (".yaml", ".yml"):
        known = ", ".join(TASKS)
        raise UserError(f"There is no task {name}: choose {known}, or give a YAML file.")
    try:
        return Task(**yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
        raise UserError(f"The task {path} cannot be read as YAML: check the file.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"The task {path} does not fit: {where} {first['msg']}.") from error
