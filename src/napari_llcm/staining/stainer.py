"""Stain a volume: the job, and the plain Python API over it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ..events import Finished, Job, Notice, ShouldStop, Started, UserError, result_of
from ..models.bundle import ModelBundle
from ..models.device import pick_device, precision
from ..models.library import load_model
from ..models.normalise import Scaling, qpi_scaling
from ..volumes import Volume, check_stack, disk_errors
from .grid import NetworkGrid, contrast_notices, spacing_ratio
from .memory import Tiling
from .output import MemoryOutput, StoredOutput, fingerprint
from .task import Centre, Stopped, Task, interruptible


def stain(
    qpi: Volume,
    model: ModelBundle,
    *,
    out: Path | None = None,
    device: str = "auto",
    seed: int = 0,
    samples: int = 1,
    steps: int | None = None,
    tiling: Tiling | None = None,
    centre: Centre | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Stain a label-free volume of any size, tile by tile; the result has no seams.

    Parameters
    ----------
    qpi : Volume
        Axes "zyx"; lazily read.
    model : ModelBundle
        The stainer; its networks are moved to `device`.
    out : Path, optional
        .ome.zarr, .ome.tif or .nii.gz; by default the result stays in memory. A job that was
        killed is resumed by the same call.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    seed : int
        Which noise field.
    samples : int
        Seeds to average. With more than one the result has two channels, "dapi" (the mean) and
        "spread" (the standard deviation over samples).
    steps : int, optional
        Steps of the sampler; by default what the method is for, one for an LLCM.
    tiling : Tiling, optional
        Tile sizes; by default planned from the free memory. The result does not depend on it.
    centre : callable, optional
        Returns the voxel (z, y, x) around which to start; asked again for each tile.
    scheduler : str, optional
        Address of a dask scheduler whose workers shall stain, each on its own fastest device.
    overwrite : bool
        Whether a result at `out` may be replaced.
    should_stop : callable, optional
        Asked before every layer; once True, the job ends and what is done is kept.

    Yields
    ------
    Event
        Started, Notice, Progress, Tile for each finished part (float32, in the units of the
        training DAPI), and Finished. Its value is the Volume on the input's grid, or None where
        the job was stopped (`result["stopped"]`).

    Raises
    ------
    UserError
        If the input is no stack that can be stained, or the output cannot be written.
    """
    if samples < 1:
        raise UserError("Staining takes at least one sample.")
    steps = model.info.steps(steps)
    began = time.monotonic()
    check_stack(qpi)
    where = pick_device(device)
    model.networks.to(where).eval()
    ratio, notices = spacing_ratio(qpi, model.info)
    scaling = _contrast(qpi)
    notices += contrast_notices(qpi, scaling, model.info)
    settings: dict[str, Any] = {
        "model": model.info.name,
        "precision": str(precision(where)).removeprefix("torch."),
        "seed": seed,
        "samples": samples,
        "steps": steps,
        "resampled_by": ratio,
    }
    output = _output(qpi, model, settings, scaling, out, overwrite)
    notices += [output.notice] if output.notice else []
    yield Started(job="stain", total=float(np.prod(qpi.shape)), unit="voxels", settings=settings)
    for text in notices:
        yield Notice(text=text)

    stopped = False
    with _scratch_folder(out) as folder:
        task = Task(
            model,
            where,
            NetworkGrid(qpi.data, ratio, model.info.network.multiple),
            scaling,
            seeds=[seed + k for k in range(samples)],
            steps=steps,
            output=output,
            folder=folder,
            tiling=tiling,
            centre=centre,
        )
        try:
            yield from _run(task, scheduler, should_stop)
        except Stopped:
            stopped = True
    value = None if stopped else output.finish()
    seconds = time.monotonic() - began
    result = {
        **settings,
        "device": str(where),
        "out": None if out is None else str(out),
        "stopped": stopped,
        "tiles": task.tiles,
        "voxels": task.voxels,
        "seconds": seconds,
        "voxels_per_second": task.voxels / seconds,
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

    def stain(
        self,
        qpi: Volume,
        *,
        out: Path | str | None = None,
        seed: int = 0,
        samples: int = 1,
        steps: int | None = None,
        overwrite: bool = False,
    ) -> Volume:
        """Return the virtual DAPI of a label-free volume, on its grid.

        Parameters
        ----------
        qpi : Volume
            Axes "zyx".
        out, seed, samples, steps, overwrite
            As in `stain`.

        Returns
        -------
        Volume
            float32, in the units of the training DAPI.

        Raises
        ------
        UserError
            If the input is no stack that can be stained, or the output cannot be written.
        """
        job = stain(
            qpi,
            self.model,
            out=None if out is None else Path(out),
            device=self.device,
            seed=seed,
            samples=samples,
            steps=steps,
            overwrite=overwrite,
        )
        stained: Volume = result_of(job)
        return stained


def _run(task: Task, scheduler: str | None, should_stop: ShouldStop | None) -> Job:
    if scheduler is not None:
        from .cluster import run_distributed

        yield from run_distributed(task, scheduler, should_stop)
        return
    with interruptible(task.model.networks, should_stop):
        if task.model.info.local:
            from .tiled import TiledRun

            yield from TiledRun(task).events()
        else:
            from .blended import run_blended

            yield from run_blended(task)


@contextmanager
def _scratch_folder(out: Path | None) -> Iterator[Path]:
    """Yield a folder that goes with the job; what a killed job left in it goes first."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="napari-llcm-") as folder:
            yield Path(folder)
        return
    beside = out.with_name(f".{out.name}.scratch")
    shutil.rmtree(beside, ignore_errors=True)
    with disk_errors(out):
        beside.mkdir()
    try:
        yield beside
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _contrast(qpi: Volume) -> Scaling:
    """Return the scaling of a volume whose contrast is enough to be scaled.

    Raises
    ------
    UserError
        If nearly all voxels are the same.
    """
    scaling = qpi_scaling(qpi.data)
    if scaling.high - scaling.low <= 1e-7 * max(abs(scaling.low), 1e-4):
        raise UserError(
            f"98 % of the voxels of {qpi.name} have the same value ({scaling.low:g}): there is "
            "too little in it to stain."
        )
    return scaling


def _output(
    qpi: Volume,
    model: ModelBundle,
    settings: dict[str, Any],
    scaling: Scaling,
    out: Path | None,
    overwrite: bool,
) -> MemoryOutput | StoredOutput:
    """Return where tiles go; the result has the input's grid, and the record of its making."""
    many = settings["samples"] > 1
    result = qpi.replace(
        data=None,
        name=f"{qpi.name} virtual DAPI",
        axes="czyx" if many else "zyx",
        channels=("dapi", "spread") if many else (),
        source=None if out is None else str(out),
        metadata={
            **settings,
            "made_by": f"napari-llcm {version('napari-llcm')}: virtual staining",
            "input": qpi.source or qpi.name,
        },
    )
    shape = (2, *qpi.shape) if many else qpi.shape
    if out is None:
        return MemoryOutput(result, shape)
    mark = fingerprint(qpi, model, {**settings, "qpi": scaling.model_dump()})
    return StoredOutput(out, result, shape, mark, overwrite)
