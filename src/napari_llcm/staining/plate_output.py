"""The result of one field of a plate: time points and channels in one image, filled in turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..events import UserError
from ..volumes import Volume, ZarrWriter, disk_errors
from ..volumes.atomic import remove
from ..volumes.zarr_metadata import Version
from .output import remembering
from .tile_record import TileRecord
from .tiling import Box, slices

_AT_ONCE = 32  # planes of an input that are copied at once: those of a chunk


class StainedField:
    """A field of a plate while its time points are stained one after another.

    As `StoredOutput`, it lies beside its place until it is finished, with a record of the tiles of
    each time point that are done, and a killed job is gone on with.

    Parameters
    ----------
    path : Path
        Where the finished field shall be.
    name : str
        What it is called.
    times : int
        How many time points it has.
    outputs : sequence of str
        Names of the task's outputs; the channel of each is called `NAME_prediction`.
    version : {"0.4", "0.5"}
        Of OME-Zarr.
    inputs : Volume, optional
        Channels that are copied before the predictions: axes "tczyx" or fewer.

    Raises
    ------
    UserError
        If the inputs cannot be kept in the result as they are.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        times: int,
        outputs: Sequence[str],
        version: Version,
        inputs: Volume | None = None,
    ) -> None:
        self.path, self.name, self.times, self.version = path, name, times, version
        self._outputs = tuple(outputs)
        self._inputs = None if inputs is None else _whole(inputs)
        self._writer: ZarrWriter | None = None
        self._told: dict[int, dict[str, Any]] = {}

    @property
    def first(self) -> int:
        """The number of the first predicted channel."""
        return 0 if self._inputs is None else self._inputs.shape[1]

    def at(self, time: int) -> TimeOutput:
        """Return what takes the stain of one time point."""
        return TimeOutput(self, time)

    def record_of(self, time: int) -> Path:
        """Return where the tiles of a time point are noted."""
        return self.path.with_name(f".{self.path.name}.t{time}.staining.jsonl")

    def writer(self, volume: Volume, shape: Sequence[int]) -> ZarrWriter:
        """Return the store, made when the first result says what it holds.

        Parameters
        ----------
        volume : Volume
            The result of one time point, but for its data.
        shape : sequence of int
            Its shape: (z, y, x), or with channels before.
        """
        if self._writer is not None:
            return self._writer
        space, count = tuple(shape[-3:]), 1 if len(shape) == 3 else shape[0]
        names = names_of(self._outputs, 1 if count == len(self._outputs) else 2)
        if self._inputs is not None:
            if self._inputs.shape[2:] != space:
                raise UserError(
                    f"The result of {self.name} has other planes than its input: it cannot be a "
                    "channel beside it."
                )
            names = [*_named(self._inputs, names), *names]
        like = volume.replace(axes="tczyx", channels=tuple(names), name=self.name)
        whole = (self.times, self.first + count, *space)
        self._writer = ZarrWriter(
            self.path, whole, np.float32, like=like, resume=True, version=self.version
        )
        if not self._writer.resumed:  # what is noted was of a store that is no longer there
            for time in range(self.times):
                self.record_of(time).unlink(missing_ok=True)
        return self._writer

    def tell(self, time: int, metadata: dict[str, Any]) -> None:
        """Keep how one time point was made."""
        self._told[time] = metadata

    def finish(self) -> None:
        """Copy the inputs, if wanted, and put the field in its place.

        Raises
        ------
        UserError
            If the disk is full; what is there is left to be resumed.
        """
        assert self._writer is not None
        with disk_errors(self.path):
            if self._inputs is not None:
                _copy(self._inputs, self._writer.array)
            made = _together([self._told[t] for t in sorted(self._told)])
            predicted = self._writer.like.channels[self.first :]
            self._writer.finish({**made, "predicted": list(predicted)})
            for time in range(self.times):
                remove(self.record_of(time))


class TimeOutput:
    """Takes the tiles of one time point of a field; an `Output`.

    Parameters
    ----------
    field : StainedField
        The field.
    time : int
        The time point in the result.
    """

    watched = False

    def __init__(self, field: StainedField, time: int) -> None:
        self._field, self._time = field, time
        self.notice: str | None = None
        self.volume: Volume | None = None
        self._record: TileRecord | None = None
        self._array: Any = None

    @property
    def tile(self) -> tuple[int, ...] | None:
        """The tile size of the job that is resumed."""
        return None if self._record is None else self._record.tile

    @property
    def region(self) -> tuple[int, ...] | None:
        """The size of the parts that it gave to other machines."""
        return None if self._record is None else self._record.region

    def take(self, volume: Volume, shape: Sequence[int], fingerprint: str) -> None:
        """Go on with what an earlier job has left, or begin anew.

        Parameters
        ----------
        volume : Volume
            What the result is, but for its data.
        shape : sequence of int
            Its shape.
        fingerprint : str
            Of input, model and settings.
        """
        field = self._field
        writer = field.writer(volume, shape)
        self.volume, self._array = volume, writer.array
        self._record = TileRecord(field.record_of(self._time), field.path, fingerprint)
        self._record.take_over(writer.resumed)
        self.notice = self._record.notice

    def is_done(self, box: Box) -> bool:
        """Return whether an earlier job has put all voxels of a box (z, y, x)."""
        return self._record is not None and self._record.is_done(box)

    def start(self, tile: Sequence[int], region: Sequence[int] | None = None) -> None:
        """Note the sizes of tiles and regions, by which a later job goes on."""
        assert self._record is not None
        self._record.start(tile, region)

    def put(self, box: Box, data: np.ndarray, part: bool = False) -> None:
        """Write the voxels of a box (one span for each axis of the result), then note it."""
        assert self._record is not None
        first = self._field.first
        low, high = box[0] if len(box) == 4 else (0, 1)
        region = (self._time, slice(first + low, first + high), *slices(box[-3:]))
        with disk_errors(self._field.path):
            self._array[region] = data.reshape(high - low, *data.shape[-3:])
            self._record.note(box[-3:])

    def finish(self, stopped: bool, metadata: dict[str, Any]) -> Volume | None:
        """Keep how it was made; the field is finished once all its time points are."""
        if not stopped and self.volume is not None:
            self._field.tell(self._time, remembering(self.volume, metadata).metadata)
        return None


def names_of(outputs: Sequence[str], samples: int) -> list[str]:
    """Return the names of the channels of a prediction.

    Parameters
    ----------
    outputs : sequence of str
        Names of the task's outputs.
    samples : int
        How many are averaged; of several, the spread has a channel too.
    """
    names = [f"{name}_prediction" for name in outputs]
    return names + ([f"{name}_spread" for name in names] if samples > 1 else [])


def _whole(volume: Volume) -> Volume:
    """Return a volume with all five axes."""
    if not np.can_cast(volume.dtype, np.float32, "safe"):
        raise UserError(
            f"{volume.where} holds {volume.dtype}, which float32 cannot keep beside a prediction: "
            "let the predictions be a plate of their own."
        )
    at = tuple(slice(None) if axis in volume.axes else None for axis in "tczyx")
    return volume.replace(data=volume.data[at], axes="tczyx")


def _named(inputs: Volume, predicted: Sequence[str]) -> list[str]:
    """Return names of the input's channels."""
    names = list(inputs.channels) or [f"channel {i}" for i in range(inputs.shape[1])]
    twice = set(names) & set(predicted)
    if twice:
        raise UserError(
            f"{inputs.where} has a channel {min(twice)} already: let the predictions be a plate of "
            "their own."
        )
    return names


def _copy(inputs: Volume, array: Any) -> None:
    times, channels, planes = inputs.shape[:3]
    for time, channel in np.ndindex(times, channels):
        for start in range(0, planes, _AT_ONCE):
            part = (time, channel, slice(start, min(start + _AT_ONCE, planes)))
            array[part] = np.asarray(inputs.data[part], np.float32)


def _together(told: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the metadata of a field: what its time points share, and what is of each alone."""
    if len(told) == 1:
        return told[0]
    notices = list(dict.fromkeys(text for one in told for text in one.get("notices", ())))
    shared = {k: v for k, v in told[0].items() if all(one.get(k) == v for one in told)}
    own = [{k: v for k, v in one.items() if k not in shared} for one in told]
    return {**shared, "notices": notices, "time_points": own}
