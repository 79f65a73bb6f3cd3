"""A latent dataset on disk: a Zarr group whose attributes tell of what and with what it was made.

`pairs/NAME` holds a whole pair, `parts/NAME` one of which a part is held out. In each lie `inputs`,
`outputs` and, where there are labels, `instances`, as they are trained on, and `latents/0` to
`latents/7`, as they leave the encoder. A pair is there whole or not at all.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from ..events import UserError
from ..volumes.atomic import write_text
from ..volumes.zarr_chunks import missing_chunks
from .held_out import Part
from .latents_info import (
    KEY,
    EntryInfo,
    LatentsInfo,
    Moments,
    damaged,
    is_latent_dataset,
    read_latents_info,
)

if TYPE_CHECKING:
    from ..volumes import Pair

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
            raise UserError(damaged(self._path)) from error
        if lost:
            raise UserError(damaged(self._path))
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


def write_latents_info(path: Path, info: LatentsInfo) -> None:
    """Write what a latent dataset says of itself; make it where there is none.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    for folder in ("pairs", "parts"):
        write_text(path / folder / "zarr.json", _group({}))
    write_text(path / "zarr.json", _group({KEY: info.model_dump(mode="json")}))


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
        self._group.attrs[KEY] = entry.model_dump(mode="json")


def _group(attributes: dict[str, Any]) -> str:
    """Return the metadata of a Zarr v3 group."""
    return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}, indent=2)
