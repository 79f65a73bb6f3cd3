"""Stain a volume: the job, and the plain Python API over it."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..events import Finished, Job, Notice, ShouldStop, Started, UserError, noting, result_of
from ..models.bundle import ModelBundle
from ..models.device import pick_device, precision, precision_notices
from ..models.library import load_model
from ..tasks.normalise import Scaling
from ..tasks.unit import unit_notices
from ..volumes import NoData, Volume, losses
from .canvas import Canvas
from .check_input import verdict_on
from .fit import contrast_notices, spacing_ratio
from .inputs import StackInputs, empty, filled_stack, input_stacks
from .job import Focus, StainJob, Stopped, interruptible
from .options import StainOptions, stain_options
from .output import Place
from .previews import first_previews, previewed
from .setup import contrast, look_through, make_output, no_data_notices, ready, scratch_folder
from .stored import StoredOutput, claimed


def stain(
    qpi: Volume,
    model: ModelBundle,
    options: StainOptions = StainOptions(),
    *,
    out: Path | Place | None = None,
    focus: Focus = Focus(),
    scaling: Scaling | None = None,
    no_data: NoData | None = None,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Stain a label-free volume of any size, tile by tile; the result has no seams.

    Parameters
    ----------
    qpi : Volume
        Axes "zyx"; lazily read. For a model of several inputs, "czyx".
    model : ModelBundle
        The stainer; its networks are moved to the device, in eval mode and channels last.
    options : StainOptions
        Device, seed, samples, steps, memory.
    out : Path or Place, optional
        .ome.zarr, .ome.tif, .nii.gz or .dicom, which a killed job leaves to be resumed by the same
        call; or an array that somebody looks at, to be filled in small tiles, where what an earlier
        job has put stays. By default the result is an array in memory.
    focus : Focus
        What is stained first, or alone.
    scaling : Scaling, optional
        Of the one input, where it is known already: the input is not read once more to measure and
        to check it.
    no_data : NoData, optional
        With `scaling`: which voxels hold no data. They are stained as 0.
    should_stop : callable, optional
        Asked before every layer; once True, the job ends and what is done is kept.

    Yields
    ------
    Event
        Started, Notice, Progress (but not where it follows), Tile for each finished part
        (float32, in the unit of each output) and for previews, and Finished. Its value is the
        Volume on the input's grid, with more planes where that is the task, or None where the job
        was stopped (`result["stopped"]`) and has no `Canvas`. What the notices said stands in
        `result["notices"]` and in the volume's metadata.

    Raises
    ------
    UserError
        If the input is no stack that can be stained, or the output cannot be written, is the
        input, or is written by another process.
    """
    path = out if isinstance(out, Path) else None
    with claimed(path, qpi.source, options.overwrite) as notice, previewed(out):
        if isinstance(out, Canvas):
            yield from first_previews(qpi, model, options, out, focus, scaling, should_stop)
        yield from _stain(qpi, model, options, out, focus, scaling, no_data, should_stop, notice)


def _stain(
    qpi: Volume,
    model: ModelBundle,
    options: StainOptions,
    out: Path | Place | None,
    focus: Focus,
    scaling: Scaling | None,
    no_data: NoData | None,
    should_stop: ShouldStop | None,
    notice: str | None,
) -> Job:
    """Do as `stain`, which keeps the output for this job."""
    steps = model.info.steps(options.steps)
    began = time.monotonic()
    found: list[str] = []
    task = model.info.task
    stacks = input_stacks(qpi, task)
    if scaling is not None and not scaling.usable:
        raise UserError(
            f"The scaling of {qpi.name}, {scaling.low:g} to {scaling.high:g}, is no range of "
            "intensities."
        )
    scalings: list[Scaling] = []
    holes: list[NoData] = []
    for stack, channel in zip(stacks, task.inputs, strict=True):
        if scaling is not None and len(stacks) == 1:
            holes.append(NoData() if no_data is None else no_data)
            scalings.append(scaling)
            continue
        holes.append(look_through(stack, None if focus.region is None else focus.region()))
        scalings.append(contrast(stack, channel.intensity, holes[-1]))
        found += unit_notices(stack, channel, holes[-1])
        found += no_data_notices(stack, holes[-1], scalings[-1], channel.intensity)
    scaling_given, scaling, no_data = scaling, scalings[0], holes[0]
    device = pick_device(options.device_here)
    ready(model, device)
    ratio, further = spacing_ratio(stacks[0], model.info, options.nucleus_um)
    unlike = [
        text
        for stack, own, hole, channel in zip(stacks, scalings, holes, task.inputs, strict=True)
        for text in contrast_notices(stack, own, model.info, hole, channel)
    ]
    said = [
        *(Notice(text=text) for text in (*qpi.notes, *found)),
        *further,
        *(Notice(text=text, warning=False) for text in precision_notices(device)),
        *(Notice(text=text) for text in unlike),
    ]
    settings: dict[str, Any] = {
        "model": model.info.name,
        "precision": str(precision(device)).removeprefix("torch."),
        "seed": options.seed,
        "samples": options.samples,
        "steps": steps,
        "resampled_by": ratio,
        **({} if options.nucleus_um is None else {"nucleus_um": options.nucleus_um}),
    }
    if focus.region is not None and not model.info.network.local:
        if focus.follow:
            raise UserError(
                f"Model {model.info.name} needs the whole volume at once and cannot follow you: "
                "stain the whole volume, or choose another model."
            )
        whole = f"Model {model.info.name} needs the whole volume at once: all is stained."
        said.append(Notice(text=whole, warning=False))
    inputs = {c.name: s.model_dump() for c, s in zip(task.inputs, scalings, strict=True)}
    began_with = {**settings, **inputs}
    output = make_output(qpi, model, settings, inputs, out, options.overwrite, holes)
    if isinstance(output, StoredOutput):
        said += [Notice(text=text) for text in losses(output.path, output.volume)]
    total = float(task.planes * np.prod(stacks[0].shape))
    yield Started(job="stain", total=total, unit="voxels", settings=began_with)
    for text in filter(None, (notice, output.notice)):
        yield Notice(text=text)  # of this run alone: a resumed result is the same
    notices: list[str] = []
    record: dict[str, Any] = {"notices": notices}
    yield from noting(said, notices)
    verdict = yield from verdict_on(
        stacks[0],
        model,
        options,
        output,
        scaling,
        no_data,
        quiet=focus.follow,
        should_stop=should_stop,
    )
    if verdict is not None:
        record["input_check"] = verdict.model_dump()
        if verdict.value in ("unlike", "unreadable"):
            yield from noting([Notice(text=f"{qpi.name}: {verdict.sentence}")], notices)
        elif verdict.value == "taught":
            yield Notice(text=verdict.sentence, warning=False)

    stopped = False
    path = out if isinstance(out, Path) else None
    given = zip(stacks, task.inputs, scalings, holes, strict=True)
    filled = [filled_stack(*each) for each in given]
    # every voxel was looked at, and all hold data: the input need not be read again to tell
    complete = scaling_given is None and focus.region is None and not any(holes)
    with scratch_folder(path, options.scratch) as folder:
        job = StainJob(
            model,
            device,
            StackInputs.at(model.info, filled, scalings, ratio),
            options,
            steps,
            output,
            folder,
            focus,
            should_stop,
            None if complete else partial(empty, filled, task.planes),
            qpi.source,
        )
        try:
            yield from noting(_run(job), notices)
        except Stopped:
            stopped = True
    value = output.finish(stopped, record)
    seconds = time.monotonic() - began
    result = {
        **settings,
        "device": job.where or str(device),
        "out": None if path is None else str(path),
        "stopped": stopped,
        "tiles": job.tiles,
        "voxels": job.voxels,
        "seconds": seconds,
        "voxels_per_second": job.voxels / seconds,
        **record,
    }
    yield Finished(result=result, value=value)


class Stainer:
    """A trained model, ready to stain.

    Parameters
    ----------
    model : str, Path or ModelBundle, optional
        A name, a folder, a .zip or a loaded model; the shipped one by default.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises
    ------
    UserError
        If there is no such model or device.

    Examples
    --------
    >>> from napari_llcm import Stainer, read, write
    >>> dapi = Stainer().stain(read("cells.ome.tif"))  # doctest: +SKIP
    """

    def __init__(self, model: str | Path | ModelBundle | None = None, device: str = "auto") -> None:
        self.device = str(pick_device(device))
        self.model = model if isinstance(model, ModelBundle) else load_model(model, self.device)

    def stain(self, qpi: Volume, *, out: Path | str | None = None, **options: Any) -> Volume:
        """Return the virtual DAPI of a label-free volume, on its grid.

        Parameters
        ----------
        qpi : Volume
            Axes "zyx"; "czyx" for a model of several inputs.
        out : Path or str, optional
            As in `stain`.
        **options
            Fields of `StainOptions`, such as seed, samples or overwrite.

        Returns
        -------
        Volume
            float32, in the unit of each output.

        Raises
        ------
        UserError
            If the input is no stack that can be stained, or the output cannot be written.
        """
        chosen = stain_options(**{"device": self.device, **options})
        stained: Volume = result_of(
            stain(qpi, self.model, chosen, out=None if out is None else Path(out))
        )
        return stained


def _run(job: StainJob) -> Job:
    if job.options.cluster is not None and job.focus.follow:
        yield Notice(text="What follows you is computed on this computer.", warning=False)
    elif job.options.cluster is not None:
        from .cluster import run_distributed

        yield from run_distributed(job)
        return
    with interruptible(job.model.networks, job.should_stop):
        if job.model.info.local:
            from .tiled import TiledRun

            yield from TiledRun(job).events()
        else:
            from .blended import run_blended

            yield from run_blended(job)
