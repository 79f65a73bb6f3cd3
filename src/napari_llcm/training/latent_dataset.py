"""Train on a latent dataset: pairs whose latents were prepared, in place of files to encode."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..events import Event, Notice, ShouldStop, UserError
from ..models.methods import AUTOENCODER, METHODS
from ..volumes import Pair, PairReadOptions, Volume
from .data import shaping
from .fields import Fields, Files, Source
from .held_out import Part
from .latent_store import PreparedViews, Stored, folder_of
from .latents import LATENTS, VARIANTS, encoder_fingerprint
from .latents_info import EntryInfo, finished_latents, is_latent_dataset, read_entry
from .pairs import few
from .reading import PLANES, OnlyPart

if TYPE_CHECKING:
    from ..models.info import ModelInfo
    from ..models.stainer import StainerNetworks
    from .config import TrainJob


def find_source(job: TrainJob) -> Source:
    """Return where the pairs of a job come from.

    Raises
    ------
    UserError
        If there are no pairs, or a latent dataset is given beside something else.
    """
    prepared = [path for path in job.pairs if is_latent_dataset(path)]
    if not prepared:
        return Files(job)
    if len(job.pairs) > 1:
        raise UserError(f"{prepared[0]} is a latent dataset: give it as the only --pairs.")
    if job.reading != PairReadOptions():
        raise UserError(
            f"How the files of {prepared[0]} are read was said when their latents were prepared: "
            "leave the options of reading out."
        )
    return LatentDataset(prepared[0])


@dataclass(frozen=True)
class StoredPair(Pair):
    """A pair in a latent dataset, which lies in `inputs[0]`."""

    def stacks(
        self, *, flat: bool = False
    ) -> tuple[tuple[Volume, ...], tuple[Volume, ...], Volume | None]:
        """Refuse: what is there is no stack any more.

        Raises
        ------
        UserError
            Always.
        """
        raise UserError(f"{self.inputs[0]} holds latents, which only a training reads.")


class LatentDataset:
    """A latent dataset as the source of a training.

    Parameters
    ----------
    path : Path
        Its folder.

    Raises
    ------
    UserError
        If it is damaged, or not finished.
    """

    prepared = True

    def __init__(self, path: Path) -> None:
        self.path, self.info = path, finished_latents(path)

    def read(self) -> list[Path]:
        """Return the dataset's folder."""
        return [self.path]

    def check(self, job: TrainJob, networks: StainerNetworks, info: ModelInfo | None) -> None:
        """Refuse a job that they were not prepared for.

        Raises
        ------
        UserError
            If its task, autoencoder or grid is another one.
        """
        known = self.info
        if known.task.model_dump(mode="json") != job.task.model_dump(mode="json"):
            raise UserError(
                f"{self.path} was prepared for the task {known.task.name}, and this training is "
                f"for {job.task.name}: choose the same task, or prepare the latents of this one."
            )
        if not METHODS[job.method].latent:
            raise UserError(
                f"{job.method} has no autoencoder, so it cannot be trained on the latents in "
                f"{self.path}: give the pairs themselves."
            )
        if AUTOENCODER.name in job.phases():
            raise UserError(
                "This training begins with the autoencoder, whose latents cannot have been "
                f"prepared: train on top of the one of {self.path} ({known.option}), or give the "
                "pairs themselves."
            )
        if known.fingerprint != encoder_fingerprint(networks):
            raise UserError(
                f"{self.path} was prepared with another autoencoder ({known.option}) than this "
                "training has: train on top of that one, or prepare the latents of this one."
            )
        grid = (info.spacing if info is not None else None, job.nucleus_um or known.asked_um)
        if grid != (known.start_spacing, known.asked_um) or known.root != job.root:
            raise UserError(
                f"{self.path} was prepared for another start ({known.option}) or nucleus width "
                "than this training has, so its pairs have another grid or other intensities: "
                "prepare them for this one."
            )

    def fields(self, job: TrainJob, info: ModelInfo | None) -> Fields:
        """Return the pairs, on the grid that they were prepared on."""
        here, known = (self.path,), self.info
        pairs: list[Pair] = [
            StoredPair(field.name, here, here, self.path if field.labels else None)
            for field in known.fields
        ]
        shapes = [field.shape for field in known.fields]
        return Fields(pairs, shapes, known.spacing, known.nucleus_um, known.noise)

    def look(
        self, job: TrainJob, info: ModelInfo | None, should_stop: ShouldStop | None
    ) -> Generator[Event, None, Fields]:
        """Yield what was told when the latents were prepared, and which files changed since."""
        known = self.fields(job, info)
        yield Notice(
            text=f"Trained on the {len(known.pairs)} pairs of {self.path}, whose latents were "
            "prepared: none is encoded.",
            warning=False,
        )
        yield from few(Notice(text=text) for text in self.info.notices)
        files = [f for pair in known.pairs for f in self._entry(pair).files]
        yield from few(
            Notice(text=f"{f.path} was changed after its latents were prepared: prepare them anew.")
            for f in files
            if f.changed
        )
        return known

    def with_kernel(
        self, job: TrainJob, training: Sequence[Pair | Part], fields: Fields
    ) -> TrainJob:
        """Return a job with the kernel by which the inputs were made."""
        return job.model_copy(update={"task": self.info.fitted})

    def load(
        self,
        some: Sequence[Pair | Part],
        job: TrainJob,
        fields: Fields,
        cache: Path,
        held_out: bool = False,
    ) -> Any:
        """Return a dataset that reads what is needed, when it is needed.

        It keeps what it has read where all of it takes at most 40 % of the memory that is free.

        Raises
        ------
        UserError
            If a pair was prepared for another size than the job needs.
        """
        import psutil

        if held_out:
            return _HeldOut(self, some, job)
        entries = [self._entry(one) for one in some]
        for one, entry in zip(some, entries, strict=True):
            self._check_size(one, entry, job)
        arrays = job.task.seen + len(job.task.outputs)
        latents = VARIANTS * job.network.latent_channels / prod(job.network.factor)
        needed = 4 * (arrays + latents) * sum(prod(entry.padded) for entry in entries)
        held = needed <= 0.4 * psutil.virtual_memory().available
        return [
            _item(folder_of(self.path, one), entry, bool(job.instance_weight), held)
            for one, entry in zip(some, entries, strict=True)
        ]

    def _entry(self, one: Pair | Part) -> EntryInfo:
        entry = read_entry(folder_of(self.path, one))
        cut = (one.axis, one.first, one.last) if isinstance(one, Part) else None
        if entry is None and cut is None:
            raise UserError(
                f"The latents of {one.name} in {self.path} are damaged: prepare them again."
            )
        if entry is None or entry.part != cut:
            raise UserError(
                f"Another part of {one.name} is held out by this training than by the one that "
                f"{self.path} was prepared for: prepare its latents with the same job file."
            )
        return entry

    def _check_size(self, one: Pair | Part, entry: EntryInfo, job: TrainJob) -> None:
        if entry.padded != padded(entry.size, entry.planes is not None, job):
            raise UserError(
                f"{one.name} in {self.path} was prepared for patches of {self.info.patch} voxels "
                f"and sides that are multiples of {self.info.multiple}; this training needs "
                f"{job.patch} and {job.network.multiple}: prepare its latents with the same job "
                "file."
            )


def padded(size: Sequence[int], flat: bool, job: TrainJob) -> tuple[int, int, int]:
    """Return the size (z, y, x) that `data.shaping` makes of a normalised pair."""
    least = (1, *job.patch[1:]) if flat else job.patch
    sides = zip(size, least, job.network.multiple, strict=True)
    z, y, x = (-(-max(n, p) // m) * m for n, p, m in sides)
    return (z, y, x)


def _item(folder: Path, entry: EntryInfo, nuclei: bool, held: bool) -> dict[str, Any]:
    """Return a pair as `data.load_pairs` would, of arrays on disk."""
    keys = ["inputs", "outputs", *(["instances"] if nuclei and entry.labels else [])]
    item: dict[str, Any] = {key: Stored(folder / key, held) for key in keys}
    item |= {"told": entry.told, "scalings": _scalings(entry)}
    if entry.planes is not None:
        item[PLANES] = entry.planes
    if entry.moments is not None:
        views = [Stored(folder / LATENTS / str(view), held) for view in range(VARIANTS)]
        item[LATENTS] = PreparedViews(views, entry.moments)
    return item


def _scalings(entry: EntryInfo) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(both).double() for name, both in entry.scalings.items()}


class _HeldOut:
    """Pairs, or parts of them, as they are stained: padded by what the networks take alone."""

    def __init__(self, source: LatentDataset, some: Sequence[Pair | Part], job: TrainJob) -> None:
        self._source, self._some, self._job = source, some, job

    def __len__(self) -> int:
        return len(self._some)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= len(self._some):
            raise IndexError(index)
        one, task = self._some[index], self._job.task
        whole = one.pair if isinstance(one, Part) else one
        entry = self._source._entry(whole)
        folder = folder_of(self._source.path, whole)
        z, y, x = (slice(n) for n in entry.size)
        inputs = Stored(folder / "inputs", held=False)[: len(task.inputs), z, y, x]
        outputs = Stored(folder / "outputs", held=False)[:, z, y, x]
        data: dict[str, Any] = {"inputs": inputs.numpy(), "outputs": outputs.numpy(), "of": one}
        if entry.planes is not None:
            data[PLANES] = entry.planes
        cut = OnlyPart(("inputs", "outputs"))(data)
        shaped: dict[str, Any] = shaping(self._job, self._source.info.spacing)(cut)
        return shaped | {"told": entry.told, "scalings": _scalings(entry)}
