"""What a staining job needs before its first tile: a place for its result, scratch, contrast."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..events import UserError
from ..models.bundle import ModelBundle
from ..models.device import channels_last
from ..tasks import Task
from ..tasks.intensity import Intensity, Window
from ..tasks.normalise import Scaling, no_data_of_sample, share_beyond
from ..volumes import NoData, Volume, check_stack, disk_errors
from ..volumes.atomic import remove
from ..volumes.thick_slices import with_planes
from .inputs import input_stacks
from .output import MemoryOutput, Output, Place
from .stored import StoredOutput, fingerprint
from .tiling import Box

if TYPE_CHECKING:
    import torch

_FEW_CLIPPED = 1e-4  # share of clipped voxels that is not worth a word
_AT_ONCE = 2**28  # voxels that are looked through within a second or two


@contextmanager
def scratch_folder(out: Path | None, scratch: Path | None) -> Iterator[Path]:
    """Yield a folder that goes with the job; what a killed job left in it goes first."""
    if out is None or scratch is not None:
        with ExitStack() as kept:
            with disk_errors(scratch or Path(tempfile.gettempdir())):
                if scratch is not None:
                    scratch.mkdir(parents=True, exist_ok=True)
                made = tempfile.TemporaryDirectory(prefix="napari-llcm-", dir=scratch)
            yield Path(kept.enter_context(made))
        return
    beside = out.with_name(f".{out.name}.scratch")
    with disk_errors(out):
        remove(beside)
        beside.mkdir(parents=True)
    try:
        yield beside
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def look_through(qpi: Volume, region: Box | None) -> NoData:
    """Check a stack and return which of its voxels hold no data.

    Of a very large one of which a region is wanted, the region is checked, and what holds no data
    is told from a few planes over the whole depth.

    Raises
    ------
    UserError
        If it is no stack that can be stained.
    """
    if region is None or np.prod(qpi.shape, dtype=float) <= _AT_ONCE:
        return check_stack(qpi)
    check_stack(qpi, part=region)
    return no_data_of_sample(qpi.data)


def ready(model: ModelBundle, device: torch.device) -> None:
    """Move the model's networks to a device, in eval mode, channels last.

    So the norm over channels moves no voxel: 1.4 times faster, measured.
    """
    channels_last(model.networks.to(device).eval())


def contrast(qpi: Volume, intensity: Intensity, no_data: NoData) -> Scaling:
    """Return the scaling of a volume whose contrast is enough to be scaled.

    Raises
    ------
    UserError
        If nearly all voxels are the same.
    """
    scaling = intensity.measure(qpi.data, no_data)
    if scaling.high - scaling.low <= 1e-7 * max(abs(scaling.low), 1e-4):
        raise UserError(
            f"98 % of the voxels of {qpi.name} have the same value ({scaling.low:g}): there is "
            "too little in it to see."
        )
    return scaling


def no_data_notices(
    qpi: Volume, no_data: NoData, scaling: Scaling, intensity: Intensity
) -> list[str]:
    """Return what a user should know of voxels without data, and of hot ones."""
    notices = [no_data.sentence(qpi.name)] if no_data else []
    if no_data.masked:
        notices.append(
            f"About {100 * no_data.masked:.0f} % of the voxels of {qpi.name} have one exact value, "
            "as if the background had been masked: it is taken as it is."
        )
    clipped = share_beyond(qpi.data, intensity.limits(scaling), no_data)
    if clipped > _FEW_CLIPPED:
        percent = f"{100 * clipped:.0f}" if clipped > 0.1 else f"{100 * clipped:.1g}"
        notices.append(
            f"{percent} % of the voxels of {qpi.name} {intensity.clips(scaling)}: they "
            "are clipped. Do not trust the result there."
        )
    return notices


def _for_a_check(task: Task) -> dict[str, Any]:
    """Return what a check of the result has to know: what it is judged by, and in what range."""
    known: dict[str, Any] = {"judge": task.judge}
    first = task.outputs[0]
    if isinstance(first.intensity, Window):
        known["window"] = first.intensity.model_dump(include={"centre", "width"})
    return known


def make_output(
    qpi: Volume,
    model: ModelBundle,
    settings: dict[str, Any],
    inputs: dict[str, Any],
    where: Place | Path | None,
    overwrite: bool,
    holes: Sequence[NoData],
) -> Output:
    """Return where tiles go; the result has the task's grid, and the record of its making."""
    task = model.info.task
    channels = tuple(channel.name for channel in task.outputs)
    if settings["samples"] > 1:
        spread = ("spread",) if len(channels) == 1 else tuple(f"{c} spread" for c in channels)
        channels = (*channels, *spread)
    many = len(channels) > 1
    first = input_stacks(qpi, task)[0]
    no_data = next((found for found in holes if found), NoData())
    planes, *plane = first.shape
    finer = with_planes(first, task.planes)
    result = finer.replace(
        data=None,
        name=f"{qpi.name} {task.result}",
        axes="czyx" if many else "zyx",
        channels=channels if many else (),
        source=str(where) if isinstance(where, Path) else None,
        chosen={},
        metadata={
            **settings,
            **({"no_data": no_data.where, "no_data_share": no_data.share} if no_data else {}),
            "made_by": f"napari-llcm {version('napari-llcm')}: {task.title.lower()}",
            **_for_a_check(task),
            "input": qpi.source or qpi.name,
            **({"input_chosen": qpi.chosen} if qpi.chosen else {}),
            **_what_it_shows(task, first, finer),
        },
    )
    shape = (*([len(channels)] if many else []), task.planes * planes, *plane)
    if where is None:
        return MemoryOutput(result, shape)
    mark = fingerprint(qpi, model, {**settings, **inputs, **no_data.key})
    if isinstance(where, Path):
        return StoredOutput(where, result, shape, mark, overwrite)
    where.take(result, shape, mark)
    return where


def _what_it_shows(task: Task, source: Volume, result: Volume) -> dict[str, Any]:
    """Return what the metadata of a result tell of its voxels: unit, and the slices of a scan."""
    channels = task.outputs
    units = {c.intensity.unit for c in channels}
    unit = units.pop() if len(units) == 1 else None
    if unit is None and all(c.scaled_as is not None for c in channels):
        unit = source.metadata.get("unit")
    kept: dict[str, Any] = {}
    for name in ("modality", "kernel"):
        if name in source.metadata:
            kept[name] = source.metadata[name]
    if task.planes > 1 and result.spacing is not None:
        kept["slice_thickness"] = result.spacing[0]
    return kept | ({} if unit is None else {"unit": unit})
