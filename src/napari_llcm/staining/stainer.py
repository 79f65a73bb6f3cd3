"""Stain a volume: the job, and the plain Python API over it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from ..events import Finished, Job, Notice, ShouldStop, Started, UserError, noting, result_of
from ..models.bundle import ModelBundle
from ..models.device import pick_device, precision
from ..models.library import load_model
from ..models.normalise import Scaling
from ..volumes import Volume, check_stack
from .grid import NetworkGrid, contrast_notices, spacing_ratio
from .job import Centre, Region, StainJob, Stopped, interruptible
from .memory import Tiling
from .output import Canvas
from .setup import contrast, make_output, scratch_folder


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
    canvas: Canvas | None = None,
    centre: Centre | None = None,
    region: Region | None = None,
    follow: bool = False,
    scaling: Scaling | None = None,
    memory_share: float | None = None,
    scratch: Path | None = None,
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
    canvas : Canvas, optional
        An array that somebody looks at, to be filled in small tiles; what an earlier job has
        put there stays.
    centre : callable, optional
        Returns the voxel (z, y, x) around which to start; asked again for each tile.
    region : callable, optional
        Returns the box of voxels that is wanted; the tiles that share none of it are left out.
    follow : bool
        Go on staining whatever `region` returns, until stopped.
    scaling : Scaling, optional
        `qpi_scaling` of the input, where it is known already: the input is not read once more
        to measure and to check it.
    memory_share : float, optional
        Share of the free memory to take; planned if not given.
    scratch : Path, optional
        Folder for temporary files.
    scheduler : str, optional
        Address of a dask scheduler whose workers shall stain, each on its own fastest device.
    overwrite : bool
        Whether a result at `out` may be replaced.
    should_stop : callable, optional
        Asked before every layer; once True, the job ends and what is done is kept.

    Yields
    ------
    Event
        Started, Notice, Progress (but not where it follows), Tile for each finished part
        (float32, in the units of the training DAPI), and Finished. Its value is the Volume on the
        input's grid, or None where the job was stopped (`result["stopped"]`) and has no canvas.
        What the notices said stands in `result["notices"]` and in the volume's metadata.

    Raises
    ------
    UserError
        If the input is no stack that can be stained, or the output cannot be written.
    """
    if samples < 1:
        raise UserError("Staining takes at least one sample.")
    steps = model.info.steps(steps)
    began = time.monotonic()
    if scaling is None:
        check_stack(qpi, part=None if region is None else region())
    where = pick_device(device)
    model.networks.to(where).eval()
    ratio, further = spacing_ratio(qpi, model.info)
    scaling = scaling or contrast(qpi)
    warned = [*qpi.notes, *further, *contrast_notices(qpi, scaling, model.info)]
    settings: dict[str, Any] = {
        "model": model.info.name,
        "precision": str(precision(where)).removeprefix("torch."),
        "seed": seed,
        "samples": samples,
        "steps": steps,
        "resampled_by": ratio,
    }
    if region is not None and not model.info.network.local:
        if follow:
            raise UserError(
                f"Model {model.info.name} needs the whole volume at once and cannot follow you: "
                "stain the whole volume, or choose another model."
            )
        warned.append(f"Model {model.info.name} needs the whole volume at once: all is stained.")
    output = make_output(qpi, model, settings, scaling, canvas or out, overwrite)
    began_with = {**settings, "qpi": scaling.model_dump()}
    yield Started(job="stain", total=float(np.prod(qpi.shape)), unit="voxels", settings=began_with)
    if output.notice:
        yield Notice(text=output.notice)  # of this run alone: a resumed result is the same
    notices: list[str] = []
    yield from noting((Notice(text=text) for text in warned), notices)

    stopped = False
    with scratch_folder(out, scratch) as folder:
        job = StainJob(
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
            region=region,
            follow=follow,
            should_stop=should_stop,
            memory_share=memory_share,
        )
        try:
            yield from noting(_run(job, scheduler, should_stop), notices)
        except Stopped:
            stopped = True
    output.volume = output.volume.replace(metadata={**output.volume.metadata, "notices": notices})
    value = None
    if isinstance(output, Canvas):
        value = output.volume.replace(data=output.array)
    elif not stopped:
        value = output.finish()
    seconds = time.monotonic() - began
    result = {
        **settings,
        "device": str(where),
        "out": None if out is None else str(out),
        "stopped": stopped,
        "tiles": job.tiles,
        "voxels": job.voxels,
        "seconds": seconds,
        "voxels_per_second": job.voxels / seconds,
        "notices": notices,
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


def _run(job: StainJob, scheduler: str | None, should_stop: ShouldStop | None) -> Job:
    if scheduler is not None:
        from .cluster import run_distributed

        yield from run_distributed(job, scheduler, should_stop)
        return
    with interruptible(job.model.networks, should_stop):
        if job.model.info.local:
            from .tiled import TiledRun

            yield from TiledRun(job).events()
        else:
            from .blended import run_blended

            yield from run_blended(job)
