"""Take a published autoencoder in: read its weights, measure what survives it, keep it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..events import Event, Finished, Job, Notice, ShouldStop, Started, UserError
from ..models.autoencoders.checkpoint import (
    Fit,
    fit,
    fitting,
    read_checkpoint,
    scale_factor_of,
)
from ..models.autoencoders.published import published, read_sizes
from ..models.autoencoders.saved import (
    AUTOENCODER_JSON,
    AutoencoderInfo,
    autoencoder_folder,
    save_autoencoder,
    with_weights,
)
from ..models.config import NetworkConfig
from ..volumes import Volume, notices
from ..volumes.apart import check_apart
from ..volumes.names import plain_name
from ..volumes.options import ReadOptions
from ..volumes.reading import read_role
from ..volumes.sole_writer import sole_writer
from .round_trip import LatentSums, through
from .survival import Hounsfield, Judge, JudgeName, make_judge

if TYPE_CHECKING:
    from ..models.autoencoders.networks import Published
    from ..nuclei.segmenting import Segmenter


@dataclass(frozen=True)
class AutoencoderImport:
    """What is imported, and how it is measured.

    Parameters
    ----------
    file : Path
        The weights: `.safetensors`, or of torch (tensors alone).
    published : str
        Which published autoencoder: a key of `PUBLISHED`.
    name : str
        Its name from now on; as `published` if empty.
    out : Path, optional
        Folder to write; among the user's autoencoders if none.
    sizes : Path, optional
        YAML or JSON with sizes other than the published ones, or diffusers' `config.json`.
    volumes : sequence of Path
        DAPI, or CT, that goes through it and back; nothing is measured without any.
    reading : ReadOptions
        How the volumes are read.
    judge : {"nuclei", "hu"}
        What must survive.
    window : Hounsfield
        Of CT.
    scale : float, optional
        What latents are multiplied by; measured on the volumes if none, else as the file says.
    device : str
        Where to compute.
    overwrite : bool
        Replace one of that name.
    """

    file: Path
    published: str
    name: str = ""
    out: Path | None = None
    sizes: Path | None = None
    volumes: Sequence[Path] = ()
    reading: ReadOptions = field(default_factory=ReadOptions)
    judge: JudgeName = "nuclei"
    window: Hounsfield = field(default_factory=Hounsfield)
    scale: float | None = None
    device: str = "auto"
    overwrite: bool = False

    @property
    def folder(self) -> Path:
        """The folder to write."""
        if self.out is not None:
            return self.out
        return autoencoder_folder() / plain_name(self.name or self.published, "name")


def import_autoencoder(
    job: AutoencoderImport,
    make_segmenter: Callable[[], Segmenter],
    should_stop: ShouldStop | None = None,
) -> Job:
    """Import a published autoencoder, and say what survives it.

    Parameters
    ----------
    job : AutoencoderImport
        What and how.
    make_segmenter : callable
        Returns what finds nuclei; called where they are looked for.
    should_stop : callable, optional
        Asked between the steps; nothing is written when it returns True.

    Yields
    ------
    Event
        `Notice` with every tensor matched, missing and left over; at the end `Finished` with
        "folder", "kind", "keys", "scale_factor", "round_trip" and "verdict".

    Raises
    ------
    UserError
        If the weights do not fit, the volumes cannot be read, or the folder cannot be written.
    """
    yield Started(job="import-vae", total=max(len(job.volumes), 1))
    folder = job.folder
    _check_folder(job, folder)
    content = read_checkpoint(job.file)
    kind, fitted, told = _best(job, content)
    yield Notice(text="\n".join(fitted.lines()), warning=False)
    if not fitted.complete:
        raise UserError(_unfit(job, fitted))
    network = with_weights(kind, fitting(content, fitted))
    del content
    sums = LatentSums()
    trips: list[dict[str, Any]] = []
    if job.volumes:
        found = yield from _measured(job, network, make_segmenter, sums, trips, should_stop)
        if found is None:
            return
        figures, verdict = found
    else:
        figures, verdict = None, _UNMEASURED
    scale, mean, std = _statistics(job, told, sums, kind.latents)
    info = AutoencoderInfo(
        name=folder.name,
        autoencoder=kind,
        latent_mean=mean,
        latent_std=std,
        scale_factor=scale,
        round_trip=figures and {**figures, "verdict": verdict, "volumes": trips},
        provenance={
            "napari_llcm": version("napari-llcm"),
            "file": job.file.name,
            "published": job.published,
        },
    )
    with sole_writer(folder):
        save_autoencoder(folder, info, network)
    yield Finished(
        result={
            "folder": str(folder),
            "kind": kind.kind,
            "keys": {
                "matched": len(fitted.matched),
                "missing": fitted.missing,
                "left_over": fitted.left_over,
            },
            "scale_factor": scale,
            "round_trip": info.round_trip,
            "verdict": verdict,
        },
        value=folder,
    )


_UNMEASURED = "Whether anything survives it was not measured: give volumes of yours with --volumes."


def _check_folder(job: AutoencoderImport, folder: Path) -> None:
    check_apart(folder, [job.file, *job.volumes])
    if not folder.exists():
        return
    if not (folder / AUTOENCODER_JSON).is_file():
        raise UserError(f"{folder} is there and holds no autoencoder: choose another name.")
    if not job.overwrite:
        raise UserError(f"{folder} exists: choose another --name, or add --overwrite.")


def _best(job: AutoencoderImport, content: dict[str, Any]) -> tuple[Any, Fit, float | None]:
    """Return the sizes that the weights fit best, how they do, and the factor that is told."""
    import torch

    from ..models.autoencoders.networks import make_published

    kinds, told = published(job.published).kinds, scale_factor_of(content)
    if job.sizes is not None:
        sizes, factor = read_sizes(job.sizes, job.published)
        kinds, told = (sizes,), told or factor
    tried = []
    for kind in kinds:
        with torch.device("meta"):  # names and shapes alone
            tried.append((kind, fit(content, make_published(kind).net)))
    kind, fitted = max(tried, key=lambda pair: pair[1].share)
    return kind, fitted, told


def _unfit(job: AutoencoderImport, fitted: Fit) -> str:
    first = fitted.missing[0]
    shapes = f" ({fitted.misshapen[first]})" if first in fitted.misshapen else ""
    return (
        f"{job.file} lacks {len(fitted.missing)} of the weights of {job.published}, the first "
        f"{first}{shapes}: give another --kind, or its sizes with --sizes FILE."
    )


def _statistics(
    job: AutoencoderImport, told: float | None, sums: LatentSums, channels: int
) -> tuple[float | None, list[float] | None, list[float] | None]:
    """Return factor, mean and deviation of the latents: as asked for, as measured, or as told."""
    taken = job.scale if job.scale is not None or sums.count else told
    if taken is not None:
        return taken, [0.0] * channels, [1 / taken] * channels
    if not sums.count:
        return None, None, None
    return float(1 / np.mean(sums.std)), sums.mean, sums.std


def _measured(
    job: AutoencoderImport,
    network: Published,
    make_segmenter: Callable[[], Segmenter],
    sums: LatentSums,
    trips: list[dict[str, Any]],
    should_stop: ShouldStop | None,
) -> Generator[Event, None, tuple[dict[str, Any], str] | None]:
    """Send volumes through and back; return what is left of them, None where it was stopped."""
    judge = make_judge(job.judge, job.window, make_segmenter, should_stop)
    for path in job.volumes:
        if should_stop is not None and should_stop():
            return None
        volume = read_role(path, job.reading, None, judge.shows)
        yield from notices(volume)
        back = _sent(job, network, volume, judge, sums)
        figures = yield from judge.compare(volume, back)
        if figures is None:
            return None
        trips.append({"volume": volume.name, **figures})
    return judge.total(trips)


def _sent(
    job: AutoencoderImport, network: Published, volume: Volume, judge: Judge, sums: LatentSums
) -> Volume:
    from ..models.device import pick_device, precision
    from ..staining.memory import blended_window, working_memory
    from ..tasks.normalise import stabilise, unstabilise

    device = pick_device(job.device)
    config = NetworkConfig(autoencoder=network.kind)
    scaling = judge.scaling(volume)
    x = stabilise(volume.numpy(), scaling)
    if not scaling.root:
        x = np.clip(x, 0, 1)
    depth, height, width = (n + -n % m for n, m in zip(x.shape, config.multiple, strict=True))
    itemsize, memory = precision(device).itemsize, working_memory(device)
    window = blended_window(config, (depth, height, width), itemsize, memory)
    y = through(network.to(device), x, config.multiple, device, window, sums)
    data = unstabilise(y, scaling) if scaling.root else scaling.undo(y)
    return volume.replace(data=data, name=f"{volume.name} and back")
