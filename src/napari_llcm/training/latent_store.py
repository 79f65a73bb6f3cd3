"""A latent dataset on disk: a Zarr group whose attributes tell of what and with what it was made.

`pairs/NAME` holds a whole pair, `parts/NAME` one of which a part is held out. In each lie `inputs`,
`outputs` and, where there are labels, `instances`, as they are trained on, and `latents/0` to
`latents/7`, as they leave the encoder. A pair is there whole or not at all.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from ..events import UserError
from ..models.autoencoders.config import AutoencoderKind
from ..tasks import Task
from ..volumes import PairReadOptions, Spacing
from ..volumes.atomic import write_text
from ..volumes.zarr_chunks import missing_chunks
from .held_out import Part
from .latents import Moments

if TYPE_CHECKING:
    from ..volumes import Pair

_FORMAT = 1
_KEY = "napari_llcm_latents"
_CONFIG = ConfigDict(extra="ignore")
_Size = tuple[int, int, int]
T = TypeVar("T", bound=BaseModel)


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


_DEPEND = ("task", "fingerprint", "root", "start_spacing", "asked_um", "spacing", "reading")


class Stored:
    """An array on disk that is read by boxes, as tensors.

    Parameters
    ----------
    path : Path
        Of the array.
    held : bool
        Whether it is read as a whole, once, when it is first needed.
    """

    def __init__(self, path: Path, held: bool) -> None:
        self._path, self._held = path, held

    @cached_property
    def _array(self) -> Any:
        import zarr

        try:
            array = zarr.open_array(self._path, mode="r")
            lost = missing_chunks(array, "", self._path)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(_damaged(self._path)) from error
        if lost:
            raise UserError(_damaged(self._path))
        return array

    @cached_property
    def _whole(self) -> torch.Tensor:
        return torch.from_numpy(self._array[:])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        return tuple(self._array.shape)

    def __getitem__(self, box: Any) -> torch.Tensor:
        if self._held:
            return self._whole[box]
        return torch.from_numpy(self._array[box])


class PreparedViews(NamedTuple):
    """The latents of one pair: each view, and the moments of the first."""

    views: list[Stored]
    moments: Moments


def is_latent_dataset(path: Path) -> bool:
    """Tell whether a folder is a latent dataset, finished or not."""
    try:
        return _KEY in json.loads((path / "zarr.json").read_bytes())["attributes"]
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
        raise UserError(_damaged(path))
    if info.format > _FORMAT:
        raise UserError(f"{path} was made by a newer napari-llcm: update napari-llcm.")
    return info


def write_latents_info(path: Path, info: LatentsInfo) -> None:
    """Write what a latent dataset says of itself; make it where there is none.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    for folder in ("pairs", "parts"):
        write_text(path / folder / "zarr.json", _group({}))
    write_text(path / "zarr.json", _group({_KEY: info.model_dump(mode="json")}))


def begin(path: Path, wanted: LatentsInfo) -> LatentsInfo:
    """Make a latent dataset, or go on with one; return what it says of itself.

    Raises
    ------
    UserError
        If the pairs that are there depend on something else, or it cannot be written.
    """
    if is_latent_dataset(path):
        known = read_latents_info(path)
        if other := _other(known, wanted):
            sentence = f"{path} holds latents that were prepared {other}: choose another --out."
            raise UserError(sentence)
        # what is there was made by its kernel
        wanted = wanted.model_copy(update={"fitted": known.fitted})
    write_latents_info(path, wanted)
    return wanted


def _other(known: LatentsInfo, wanted: LatentsInfo) -> str | None:
    """Return by what a latent dataset differs from the one that is wanted, in words."""
    words = {
        "task": f"for the task {known.task.name}",
        "fingerprint": f"with another autoencoder ({known.option})",
        "root": "with other intensities",
        "reading": "of files that were read in another way",
    }
    a, b = (info.model_dump(mode="json") for info in (known, wanted))  # tuples come back as lists
    differs = [name for name in _DEPEND if a[name] != b[name]]
    return words.get(differs[0], "on another grid") if differs else None


def folder_of(path: Path, one: Pair | Part) -> Path:
    """Return where a pair, or a part of one, lies in a latent dataset."""
    return path / ("parts" if isinstance(one, Part) else "pairs") / one.name


def read_entry(folder: Path) -> EntryInfo | None:
    """Return what is known of a pair in a latent dataset; None where it is not there."""
    return _attributes(folder, EntryInfo)


class EntryWriter:
    """Writes a pair into a folder, array by array.

    Parameters
    ----------
    partial : Path
        The folder, which does not exist yet.
    """

    def __init__(self, partial: Path) -> None:
        import zarr

        self._group = zarr.open_group(partial, mode="w", zarr_format=3)

    def put(self, name: str, values: torch.Tensor, *, packed: bool = True) -> None:
        """Write an array (C, z, y, x); what is like noise, as latents are, is not worth packing."""
        (count, *size), sides = values.shape, (32, 64, 64) if packed else (32, 32, 32)
        array = self._group.create_array(
            name,
            shape=tuple(values.shape),
            dtype=str(values.dtype).removeprefix("torch."),
            chunks=(count, *(min(n, side) for n, side in zip(size, sides, strict=True))),
            compressors="auto" if packed else None,
            dimension_names=["c", "z", "y", "x"],
            config={"write_empty_chunks": True},  # so that a chunk which is not there is a lost one
        )
        array[:] = values.numpy()

    def finish(self, entry: EntryInfo) -> None:
        """Write what is known of the pair."""
        self._group.attrs[_KEY] = entry.model_dump(mode="json")


def _group(attributes: dict[str, Any]) -> str:
    """Return the metadata of a Zarr v3 group."""
    return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}, indent=2)


def _attributes(folder: Path, model: type[T]) -> T | None:
    try:
        content = json.loads((folder / "zarr.json").read_bytes())
        return model.model_validate(content["attributes"][_KEY])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None


def _damaged(path: Path) -> str:
    return f"{path} is damaged: remove that folder and prepare the latents again."
