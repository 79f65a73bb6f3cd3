"""What a training is made on: pairs of stacks, found, looked at and loaded."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..events import Event, ShouldStop
from ..volumes import Pair, Spacing, notices, resampled_shape
from ..volumes.pairs import inputs_of
from .data import load_pairs, median_noise
from .grid import model_grid
from .pairs import registration_notices, spacing_notices
from .reading import trained_spacing
from .thick_inputs import with_kernel

if TYPE_CHECKING:
    from ..models.info import ModelInfo
    from ..models.stainer import StainerNetworks
    from .config import TrainJob
    from .held_out import Part


@dataclass(frozen=True)
class Fields:
    """All pairs of a job, before one of them is loaded.

    Parameters
    ----------
    pairs : list of Pair
        To train on and to hold out.
    shapes : list of tuple of int
        (z, y, x) on the grid that is trained on.
    spacing : tuple of float or None
        Voxel size (z, y, x) in µm that is trained at.
    nucleus_um : float or None
        Width of the nuclei at it.
    noise : float or None
        Of the first inputs; see `data.median_noise`.
    """

    pairs: list[Pair]
    shapes: list[tuple[int, ...]]
    spacing: Spacing | None
    nucleus_um: float | None = None
    noise: float | None = None

    @property
    def voxels(self) -> int:
        """Of all pairs."""
        return sum(prod(shape) for shape in self.shapes)


class Source(Protocol):
    """Where the pairs of a job come from: files, or latents that were prepared of them."""

    prepared: bool  # whether nothing is left to encode

    def read(self) -> list[Path]:
        """Return what is read: no output may lie in it."""

    def check(self, job: TrainJob, networks: StainerNetworks, info: ModelInfo | None) -> None:
        """Refuse a job that cannot be trained on them, before anything is made of it."""

    def fields(self, job: TrainJob, info: ModelInfo | None) -> Fields:
        """Return the pairs, unlooked at, on the grid of a job that starts from the model `info`."""

    def look(
        self, job: TrainJob, info: ModelInfo | None, should_stop: ShouldStop | None
    ) -> Generator[Event, None, Fields]:
        """Yield what is to be told of the pairs; return them as `fields` does, with their noise."""

    def with_kernel(
        self, job: TrainJob, training: Sequence[Pair | Part], fields: Fields
    ) -> TrainJob:
        """Return a job whose task has its slice kernel, if it needs one."""

    def load(
        self,
        some: Sequence[Pair | Part],
        job: TrainJob,
        fields: Fields,
        cache: Path,
        held_out: bool = False,
    ) -> Any:
        """Return a dataset of some of the pairs; of what is held out, no latent is needed."""


class Files:
    """Pairs of files in folders, or in lists.

    Parameters
    ----------
    job : TrainJob
        Its pairs and how they are read.

    Raises
    ------
    UserError
        If there are none.
    """

    prepared = False

    def __init__(self, job: TrainJob) -> None:
        self._found = [job.task.find_pairs(source, job.reading) for source in job.pairs]
        self._sources = job.pairs

    def read(self) -> list[Path]:
        """Return the files, their lists, and folders that hold nothing else."""
        given = zip(self._sources, self._found, strict=True)
        return [path for source, some in given for path in inputs_of(source, some)]

    def check(self, job: TrainJob, networks: StainerNetworks, info: ModelInfo | None) -> None:
        """Refuse nothing: files can be trained on by any job."""

    def fields(self, job: TrainJob, info: ModelInfo | None) -> Fields:
        """Return the pairs, unlooked at.

        Raises
        ------
        UserError
            If the stacks of a pair do not fit each other, or the nucleus width fits none.
        """
        found = [pair for some in self._found for pair in some]
        pairs, spacing, nucleus_um = model_grid(found, info, job.nucleus_um)
        opened = [pair.read(flat=True)[0] for pair in pairs]
        sizes = [trained_spacing(one, spacing, job.task) for one in opened]
        shapes = [resampled_shape(*each) for each in zip(opened, sizes, strict=True)]
        return Fields(pairs, shapes, spacing, nucleus_um)

    def look(
        self, job: TrainJob, info: ModelInfo | None, should_stop: ShouldStop | None
    ) -> Generator[Event, None, Fields]:
        """Yield what is to be told of grids and registration.

        Raises
        ------
        UserError
            As `fields`.
        """
        yield from notices(*self._found)
        known = self.fields(job, info)
        opened = [(pair.name, *pair.read(flat=True)[:2]) for pair in known.pairs]
        yield from spacing_notices(opened, known.spacing, info.spacing if info else None)
        if job.task.thick is None:  # what is made of the output lies on it
            yield from registration_notices(known.pairs, should_stop)
        noise = median_noise([one for _, one, _ in opened], job.task)
        return Fields(known.pairs, known.shapes, known.spacing, known.nucleus_um, noise)

    def with_kernel(
        self, job: TrainJob, training: Sequence[Pair | Part], fields: Fields
    ) -> TrainJob:
        """Return a job with a kernel that is fitted to what is trained on."""
        return with_kernel(job, training, fields.spacing)

    def load(
        self,
        some: Sequence[Pair | Part],
        job: TrainJob,
        fields: Fields,
        cache: Path,
        held_out: bool = False,
    ) -> Any:
        """Return a dataset, see `load_pairs`."""
        return load_pairs(some, job, fields.spacing, fields.voxels, cache)
