"""Prepare a latent dataset: the latents of the 8 views of every pair, encoded once for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..events import Finished, Job, Meter, Notice, ShouldStop, Started, UserError
from ..models.device import autocast, channels_last, pick_device, precision_notices
from ..models.methods import AUTOENCODER, METHODS
from ..volumes import Pair, PairReadOptions
from ..volumes.apart import check_apart
from ..volumes.atomic import replacing
from ..volumes.disk_errors import disk_errors
from ..volumes.sole_writer import MARK, sole_writer
from .data import reading, shaping
from .fields import Fields, Files
from .held_out import Part, fitting_patch, split
from .latent_dataset import find_source, padded
from .latent_store import EntryWriter, begin, folder_of, write_latents_info
from .latents import LATENTS, VARIANTS, encoded, encoder_fingerprint, mean_and_std
from .latents_info import (
    EntryInfo,
    FieldInfo,
    LatentsInfo,
    Moments,
    SourceFile,
    is_latent_dataset,
    read_entry,
)
from .pairs import few
from .reading import PLANES
from .start import initial_networks, settled, with_task

if TYPE_CHECKING:
    from ..models.info import ModelInfo
    from ..models.stainer import StainerNetworks
    from .config import TrainJob


def prepare_latents(job: TrainJob, should_stop: ShouldStop | None = None) -> Job:
    """Write the latents of all views of every pair, for trainings with the same autoencoder.

    Finished pairs stay: the same call goes on after it was stopped or killed.

    Parameters
    ----------
    job : TrainJob
        Pairs, autoencoder (or the model to start from) and task, as they will be trained; its
        `out` is the folder of the dataset. Of its steps nothing is needed.
    should_stop : callable, optional
        Asked after every view; on True the finished pairs are kept, and the job ends without
        `Finished`.

    Yields
    ------
    Event
        `Started`, `Notice`, `Progress`, and `Finished` with "latents" (the folder), "pairs",
        "encoded" (of them, by this call), "mean", "std" and "notices".

    Raises
    ------
    UserError
        If pairs are missing or do not match, the job has no autoencoder yet, the folder holds
        something else, or the disk is full.
    """
    job = with_task(job)
    _check_job(job)
    source = find_source(job)
    if not isinstance(source, Files):
        raise UserError(f"{job.pairs[0]} holds latents already: give the pairs themselves.")
    _check_folder(job.out)
    check_apart(job.out, source.read(), replaced=False)
    yield Started(job="prepare-latents", unit="views", settings=job.model_dump(mode="json"))
    device = pick_device(job.device)
    with sole_writer(job.out, folder=True) as notice:
        if notice:
            yield Notice(text=notice, warning=False)
        for text in precision_notices(device) if job.mixed_precision else ():
            yield Notice(text=text, warning=False)
        networks, info = initial_networks(job)
        job = settled(job, networks, info)
        networks.to(device)
        channels_last(networks)  # as in training
        told: list[str] = []
        for event in _run(job, source, networks, info, device, told, should_stop):
            if isinstance(event, Notice) and event.warning:
                told.append(event.text)
            yield event


def _run(
    job: TrainJob,
    source: Files,
    networks: StainerNetworks,
    info: ModelInfo | None,
    device: torch.device,
    told: list[str],
    should_stop: ShouldStop | None,
) -> Job:
    fields = yield from source.look(job, info, should_stop)
    training, _, _ = split(job, fields.pairs, fields.shapes, networks)
    patch = fitting_patch(job, training, fields.pairs, fields.shapes)
    job = job.model_copy(update={"patch": patch})
    parts = [one for one in training if isinstance(one, Part)]
    fitted = source.with_kernel(job, training, fields).task
    described = _described(job, fields, networks, info, str(device)).model_copy(
        update={"notices": list(told), "fitted": fitted}
    )
    described = begin(job.out, described)
    job = job.model_copy(update={"task": described.fitted})
    amp = partial(autocast, device) if job.mixed_precision else nullcontext
    everything: list[Pair | Part] = [*fields.pairs, *parts]
    meter, done = Meter(len(everything) * VARIANTS), 0
    known: dict[str, EntryInfo] = {}
    encoded_now = 0
    for one in everything:
        entry = read_entry(folder_of(job.out, one))
        if entry is None or not _is_current(entry, one, job):
            if entry is not None and any(file.changed for file in entry.files):
                text = f"The files of {one.name} were changed: its latents are prepared anew."
                yield Notice(text=text, warning=False)
            try:
                writing = _write(one, job, fields, networks, device, amp, should_stop)
                for view in writing:
                    yield meter.at(done + view, f"{one.name}, view {view + 1} of {VARIANTS}")
            except _Stopped:
                return
            entry = read_entry(folder_of(job.out, one))
            assert entry is not None
            encoded_now += not isinstance(one, Part)
        done += VARIANTS
        yield meter.at(done, one.name)
        if not isinstance(one, Part):
            known[one.name] = entry
        if should_stop is not None and should_stop() and one is not everything[-1]:
            return
    yield from few(Notice(text=text) for entry in known.values() for text in entry.told)
    moments = [entry.moments for entry in known.values() if entry.moments is not None]
    mean, std = (x.tolist() for x in mean_and_std(moments)) if moments else ([], [])
    update = {"finished": True, "latent_mean": mean, "latent_std": std}
    write_latents_info(job.out, described.model_copy(update=update))
    yield Finished(
        result={
            "latents": str(job.out),
            "pairs": len(fields.pairs),
            "encoded": encoded_now,
            "mean": mean,
            "std": std,
            "notices": told,
        },
        value=job.out,
    )


class _Stopped(Exception):
    """Ends a pair that is being written, of which nothing stays."""


def _check_job(job: TrainJob) -> None:
    if not METHODS[job.method].latent:
        raise UserError(f"{job.method} has no autoencoder, so there are no latents to prepare.")
    if AUTOENCODER.name in job.phases():
        raise UserError(
            "Latents are those of an autoencoder that is not trained any more, but this job begins "
            "with it: give --autoencoder, or the model to start from as --init, and no phase."
        )


def _check_folder(path: Path) -> None:
    """Refuse a folder that holds something else."""
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file: choose another --out for the latents.")
    with disk_errors(path):
        there = {p.name for p in path.iterdir()} if path.is_dir() else set()
    if there - {MARK, "pairs", "parts"} and not is_latent_dataset(path):
        raise UserError(f"{path} holds other files: choose an empty folder as --out.")


def _described(
    job: TrainJob,
    fields: Fields,
    networks: StainerNetworks,
    info: ModelInfo | None,
    device: str,
) -> LatentsInfo:
    given = {"init": job.init, "autoencoder": job.autoencoder}
    return LatentsInfo(
        task=job.task,
        fitted=job.task,
        fingerprint=encoder_fingerprint(networks),
        root=job.root,
        start_spacing=info.spacing if info is not None else None,
        asked_um=job.nucleus_um,
        spacing=fields.spacing,
        reading=PairReadOptions.model_validate(job.reading.model_dump()),
        given={name: value for name, value in given.items() if value is not None},
        kind=networks.network.autoencoder,
        patch=job.patch,
        multiple=job.network.multiple,
        nucleus_um=fields.nucleus_um,
        noise=fields.noise,
        fields=[
            FieldInfo(name=pair.name, shape=shape, labels=pair.labels is not None)
            for pair, shape in zip(fields.pairs, fields.shapes, strict=True)
        ],
        provenance={
            "napari_llcm": version("napari-llcm"),
            "torch": torch.__version__,
            "pairs": [str(path.absolute()) for path in job.pairs],
            "device": device,
            "mixed_precision": job.mixed_precision,
        },
    )


def _files(one: Pair | Part) -> list[SourceFile]:
    pair = one.pair if isinstance(one, Part) else one
    return [SourceFile.of(path) for path in pair.files]


def _cut(one: Pair | Part) -> tuple[int, int, int] | None:
    return (one.axis, one.first, one.last) if isinstance(one, Part) else None


def _is_current(entry: EntryInfo, one: Pair | Part, job: TrainJob) -> bool:
    """Tell whether a pair was prepared of the same files, to the same size."""
    same = (entry.part, entry.files) == (_cut(one), _files(one))
    labels = entry.planes is not None or entry.labels == (one.labels is not None)
    return same and labels and entry.padded == padded(entry.size, entry.planes is not None, job)


def _write(
    one: Pair | Part,
    job: TrainJob,
    fields: Fields,
    networks: StainerNetworks,
    device: torch.device,
    amp: Callable[[], Any],
    should_stop: ShouldStop | None,
) -> Iterator[int]:
    """Write one pair, whole or not at all; yield the number of each view before it is encoded."""
    files = _files(one)
    normalised = reading(job, fields.spacing, nuclei=True)(one)
    flat = PLANES in normalised
    size = _size(normalised["inputs"].shape)
    item = shaping(job, fields.spacing)(normalised)
    entry = EntryInfo(
        name=one.name,
        size=size,
        padded=_size(item["inputs"].shape),
        planes=int(item[PLANES]) if flat else None,
        part=_cut(one),
        labels="instances" in item,
        scalings={name: tuple(both.tolist()) for name, both in item["scalings"].items()},
        told=item["told"],
        files=files,
    )
    target = folder_of(job.out, one)
    with replacing(target) as partial:
        writer = EntryWriter(partial)
        for key in ("inputs", "outputs", "instances"):
            if key in item:
                writer.put(key, item[key])
        for view in range(0 if flat else VARIANTS):
            yield view
            latent = encoded(item, view, networks, device, amp)
            writer.put(f"{LATENTS}/{view}", latent, packed=False)
            if view == 0:
                entry.moments = Moments.of(latent)
            if should_stop is not None and should_stop() and view < VARIANTS - 1:
                raise _Stopped
        writer.finish(entry)


def _size(shape: Sequence[int]) -> tuple[int, int, int]:
    z, y, x = (int(n) for n in shape[-3:])
    return (z, y, x)
