"""What a latent dataset tells of itself, without reading a latent: by whom, of what, for what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ..events import Finished, Job, Notice, Started, UserError
from ..models.autoencoders.config import AutoencoderKind
from ..tasks import Task
from ..volumes import PairReadOptions, Spacing
from .pairs import few

if TYPE_CHECKING:
    from torch import Tensor

_FORMAT = 1
KEY = "napari_llcm_latents"
_CONFIG = ConfigDict(extra="ignore")
_Size = tuple[int, int, int]
T = TypeVar("T", bound=BaseModel)


class Moments(NamedTuple):
    """Sums over the sites of a latent, for each channel, in double precision."""

    sites: int
    total: list[float]
    squares: list[float]

    @classmethod
    def of(cls, latent: Tensor) -> Moments:
        """Return those of a latent (C, z, y, x)."""
        flat = latent.flatten(1).double()
        return cls(flat.shape[1], flat.sum(1).tolist(), flat.square().sum(1).tolist())


class SourceFile(BaseModel):
    """A file that a pair was made of; of a folder, the sum and the latest of what is in it."""

    path: str
    bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> SourceFile:
        """Return what a file is now."""
        inside = [p.stat() for p in path.rglob("*") if p.is_file()] if path.is_dir() else []
        found = inside or [path.stat()]
        size, mtime = sum(s.st_size for s in found), max(s.st_mtime_ns for s in found)
        return cls(path=str(path.absolute()), bytes=size, mtime_ns=mtime)

    @property
    def changed(self) -> bool:
        """Whether the file is there and another one by now."""
        try:
            return SourceFile.of(Path(self.path)) != self
        except OSError:  # latents are taken to where the files are not
            return False


class EntryInfo(BaseModel):
    """What is known of one pair, or of a part of one."""

    model_config = _CONFIG

    name: str
    size: _Size  # voxels (z, y, x), without padding; of a DAPI of one plane, those of the stack
    padded: _Size
    planes: int | None = None  # of a pair whose DAPI is one plane
    part: tuple[int, int, int] | None = None  # axis, first and last of a `Part`
    labels: bool = False
    scalings: dict[str, tuple[float, float]]
    told: list[str]
    files: list[SourceFile]
    moments: Moments | None = None  # of the first view


class FieldInfo(BaseModel):
    """A pair as it is known before it is loaded."""

    name: str
    shape: tuple[int, ...]  # (z, y, x) on the grid that is trained on
    labels: bool


class LatentsInfo(BaseModel):
    """Everything about a latent dataset that all its pairs have in common."""

    model_config = _CONFIG

    format: int = _FORMAT
    finished: bool = False
    # what every pair depends on
    task: Task
    fingerprint: str  # of the encoder, see `latents.encoder_fingerprint`
    root: bool
    start_spacing: Spacing | None  # of the model that was started from
    asked_um: float | None  # the nucleus width that was given
    spacing: Spacing | None
    reading: PairReadOptions
    fitted: Task  # with its slice kernel, if it has one: what the inputs were made by
    # for people
    given: dict[str, str]  # "autoencoder" or "init", and its name
    kind: AutoencoderKind
    patch: _Size
    multiple: _Size
    nucleus_um: float | None
    noise: float | None
    fields: list[FieldInfo]
    notices: list[str] = []
    latent_mean: list[float] = []  # over the first views of all pairs
    latent_std: list[float] = []
    provenance: dict[str, Any] = {}

    @property
    def option(self) -> str:
        """What names its autoencoder: an option or, of one that has no weights, the kind."""
        named = " ".join(f"--{option} {name}" for option, name in self.given.items())
        return named or self.kind.kind


def is_latent_dataset(path: Path) -> bool:
    """Tell whether a folder is a latent dataset, finished or not."""
    try:
        return KEY in json.loads((path / "zarr.json").read_bytes())["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_latents_info(path: Path) -> LatentsInfo:
    """Return what a latent dataset says of itself.

    Raises
    ------
    UserError
        If it is damaged, or comes from a newer version.
    """
    info = _attributes(path, LatentsInfo)
    if info is None:
        raise UserError(damaged(path))
    if info.format > _FORMAT:
        raise UserError(f"{path} was made by a newer napari-llcm: update napari-llcm.")
    return info


def finished_latents(path: Path) -> LatentsInfo:
    """Return what a latent dataset says of itself, once it is whole.

    Raises
    ------
    UserError
        If it is damaged, or not finished.
    """
    info = read_latents_info(path)
    if not info.finished:
        raise UserError(
            f"{path} is not finished: run the same napari-llcm prepare-latents again, which "
            "goes on where it ended."
        )
    return info


def check_latents(path: Path, task: Task) -> Job:
    """Look at a latent dataset before a minute is trained.

    Parameters
    ----------
    path : Path
        Its folder.
    task : Task
        What is to be trained.

    Yields
    ------
    Event
        `Started`, and `Finished` with "pairs" (how many there are) and "sentence".

    Raises
    ------
    UserError
        If it is damaged or not finished, or was prepared for something else.
    """
    yield Started(job="pairs")
    info = finished_latents(path)
    fitted = {"kernel": task.kernel}  # by a training, or not yet
    if info.task.model_copy(update=fitted) != task:
        raise UserError(
            f"{path} was prepared for the task {info.task.name}, and this training is for "
            f"{task.name}: choose the same task, or prepare the latents of this one."
        )
    if "autoencoder" in info.given:
        raise UserError(
            f"{path} was prepared on top of the autoencoder {info.given['autoencoder']}, which is "
            f"done on the command line: napari-llcm train --pairs {path} {info.option}"
        )
    yield from few(Notice(text=text) for text in info.notices)
    count = "1 pair" if len(info.fields) == 1 else f"{len(info.fields)} pairs"
    start = f": start from {info.given['init']}" if "init" in info.given else ""
    sentence = f"{count} whose latents were prepared{start}."
    result: dict[str, Any] = {"pairs": len(info.fields), "sentence": sentence}
    yield Finished(result=result, value=result)


def refuse_latents(path: Path) -> None:
    """Refuse a latent dataset where the stacks themselves are needed.

    Raises
    ------
    UserError
        If it is one.
    """
    if not is_latent_dataset(path):
        return
    entries = (read_entry(folder) for folder in sorted((path / "pairs").iterdir()))
    files = [file.path for entry in entries if entry is not None for file in entry.files]
    such = f", such as {files[0]}" if files else ""
    raise UserError(
        f"{path} holds prepared latents, which do not tell whether stacks lie on each other: "
        f"check the pairs that they were made of{such}."
    )


def read_entry(folder: Path) -> EntryInfo | None:
    """Return what is known of a pair in a latent dataset; None where it is not there."""
    return _attributes(folder, EntryInfo)


def _attributes(folder: Path, model: type[T]) -> T | None:
    try:
        content = json.loads((folder / "zarr.json").read_bytes())
        return model.model_validate(content["attributes"][KEY])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None


def damaged(path: Path) -> str:
    """Return the sentence on a latent dataset, or an array of it, that cannot be read."""
    return f"{path} is damaged: remove that folder and prepare the latents again."
