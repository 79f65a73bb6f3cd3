"""The one type that flows through every stage: an array that knows its axes and its size in µm."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..events import Notice, UserError
from .options import ChoiceNeeded

if TYPE_CHECKING:
    from .units import FileGrid

ORDER = "tczyx"
Spacing = tuple[float, float, float]
Orientation = tuple[Spacing, Spacing, Spacing]
# What is called so may be the planes of a stack: microscopes and ImageJ often save them thus.
_PLANES = {"t": "time points of one plane", "c": "channels of one plane"}


@dataclass(frozen=True)
class Volume:
    """A lazily read stack with its calibration.

    Parameters
    ----------
    data : array-like
        numpy, zarr or dask array; one axis for each letter of `axes`.
    spacing : tuple of float, optional
        Voxel size (z, y, x) in µm; None where the file does not tell.
    axes : str
        Letters from "tczyx", in that order.
    name : str
        Name for layers, reports and file names.
    origin : tuple of float
        Position (z, y, x) of the first voxel in µm; in the unit of `scale` where the spacing is
        not known.
    scale : tuple of float
        Voxel size (z, y, x) as the file has it, where `spacing` is None because the file names no
        unit of length.
    orientation : tuple of tuple, optional
        Directions (z, y, x), of length 1, in which the axes z, y and x of the array run;
        (-1, 0, 0) as the first is a z axis that runs backwards. None where the file does not tell,
        and each is taken to run along its own.
    channels : tuple of str
        Channel names, one for each entry of axis "c".
    source : str, optional
        Where the data came from: a path.
    metadata : dict
        How the volume was made; saved beside it.
    chosen : dict
        What was taken of a file that holds more: "image", "channel", "time", "axes".
    notes : tuple of str
        Sentences that a user must read before trusting the volume: what a reader left out, chose
        among several, or could not tell. A job that takes the volume yields each as a `Notice`.
    unit : str
        Unit of length of the file, in which a format is written whose readers look at no unit.
    file_axes : str
        The letters of the axes as the file has them, in its order ("?" of one entry that was left
        out); empty where there is no file.
    file_grid : FileGrid, optional
        What the file says of its grid; only until `read` has made spacing and origin of it.
    """

    data: Any
    spacing: Spacing | None = None
    axes: str = "zyx"
    name: str = "volume"
    origin: Spacing = (0.0, 0.0, 0.0)
    scale: Spacing = (1.0, 1.0, 1.0)
    orientation: Orientation | None = None
    channels: tuple[str, ...] = ()
    source: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    chosen: dict[str, int | str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unit: str = "µm"
    file_axes: str = ""
    file_grid: FileGrid | None = None

    @property
    def where(self) -> str:
        """What to call it in a sentence: the file, or the name where it comes from none."""
        return self.source or self.name

    @property
    def step(self) -> Spacing:
        """Voxel size (z, y, x) in µm, or without a unit where the spacing is not known."""
        return self.spacing or self.scale

    @property
    def steps(self) -> np.ndarray:
        """Where one voxel further along z, y and x lies: a row (z, y, x) for each, as `step`."""
        turned = np.eye(3) if self.orientation is None else np.asarray(self.orientation)
        return turned * np.asarray(self.step)[:, None]

    def place(self, voxel: Any) -> np.ndarray:
        """Return the position in µm of voxels (…, z y x); the voxels where there is no spacing."""
        voxel = np.asarray(voxel, float)
        return voxel if self.spacing is None else voxel @ self.steps + self.origin

    def voxel(self, place: Any) -> np.ndarray:
        """Return the voxels (…, z y x), not rounded, at positions as `place` gives them."""
        place = np.asarray(place, float)
        return place if self.spacing is None else (place - self.origin) @ np.linalg.inv(self.steps)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data, one number for each axis."""
        return tuple(int(n) for n in self.data.shape)

    @property
    def dtype(self) -> np.dtype:
        """Type of the voxels."""
        return np.dtype(self.data.dtype)

    def replace(self, **changes: Any) -> Volume:
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    def noted(self, *sentences: str) -> Volume:
        """Return a copy that says these sentences too, each once."""
        return self.replace(notes=tuple(dict.fromkeys((*self.notes, *sentences))))

    def numpy(self) -> np.ndarray:
        """Return the data in memory."""
        return np.asarray(self.data)

    def only(self, channel: int | str | None = None, time: int | None = None) -> Volume:
        """Return the volume of one channel, or of one time point; all where none is given.

        Raises
        ------
        UserError
            If the choice does not exist.
        """
        volume = self
        for axis, choice, what in (("c", channel, "channel"), ("t", time, "time point")):
            if choice is not None and axis in volume.axes:
                at = volume.axes.index(axis)
                number = volume._pick(choice, volume.shape[at], what)
                name = (
                    volume.channels[number]
                    if axis == "c" and volume.channels
                    else f"{axis}{number}"
                )
                volume = volume.replace(
                    data=volume.data[(slice(None),) * at + (number,)],
                    axes=volume.axes.replace(axis, ""),
                    name=f"{volume.name} {name}",
                    channels=() if axis == "c" else volume.channels,
                )
        return volume

    def select(
        self,
        channel: int | str | None = None,
        time: int | None = None,
        known: Sequence[str] = (),
    ) -> Volume:
        """Return the z-y-x volume of one channel and one time point.

        Parameters
        ----------
        channel : int or str, optional
            Number or name; needed where there are several.
        time : int, optional
            Number; needed where there are several.
        known : sequence of str
            Words: without a choice, the one channel with one of them in its name is taken, with
            a note.

        Raises
        ------
        UserError
            If a choice is needed and missing, or does not exist.
        """
        given = {"t": time, "c": channel}
        if self._depth < 2:
            for axis, words in _PLANES.items():
                count = self._entries(axis)
                if count > 1 and self.file_axes.endswith("c"):
                    raise UserError(f"{self.where} is a colour image of one plane, and no stack.")
                if count > 1 and given[axis] is None:
                    raise ChoiceNeeded(
                        f"{self.where} is no stack: it has {count} {words}. If these are the "
                        "planes of a stack, say so",
                        "axes",
                        self._with_planes_along(axis),
                    )
        notes = [
            f"{self.where} has one {words}: the choice of {given[axis]!r} changes nothing."
            for axis, words in (("c", "channel"), ("t", "time point"))
            if given[axis] not in (None, 0, "0") and axis not in self.axes
        ]
        if channel is None and self._entries("c") > 1:
            named = [name for name in self.channels if set(_words(name)) & set(known)]
            if len(named) == 1:
                channel = named[0]
                names = ", ".join(self.channels)
                notes.append(f"{self.where} has the channels {names}: {channel} is taken.")
        index: list[Any] = []
        chosen = dict(self.chosen)
        for axis, size in zip(self.axes, self.shape, strict=True):
            if axis == "c":
                index.append(self._pick(channel, size, "channel"))
                chosen["channel"] = self.channels[index[-1]] if self.channels else index[-1]
            elif axis == "t":
                index.append(self._pick(time, size, "time point"))
                chosen["time"] = index[-1]
            else:
                index.append(slice(None))
        if all(i == slice(None) for i in index):
            return self.noted(*notes)
        data = self.data[tuple(index)]
        axes = "".join(a for a in self.axes if a not in "tc")
        return self.replace(data=data, axes=axes, channels=(), chosen=chosen).noted(*notes)

    @property
    def _depth(self) -> int:
        return self._entries("z")

    def _entries(self, axis: str) -> int:
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1

    def _with_planes_along(self, axis: str) -> str:
        """Return the file's axes with z in the place of another one."""
        swapped = {axis: "z", "z": axis}
        return "".join(swapped.get(a, a) for a in self.file_axes or self.axes)

    def _pick(self, choice: int | str | None, size: int, what: str) -> int:
        if choice is None:
            if size == 1:
                return 0
            channel = what == "channel" and self.channels
            names = ", ".join(self.channels) if channel else f"0 to {size - 1}"
            raise ChoiceNeeded(
                f"{self.where} has {size} {what}s ({names}), of which one is needed",
                what.split()[0],
                self.channels[0] if channel else 0,
            )
        if isinstance(choice, str) and what == "channel" and choice in self.channels:
            return self.channels.index(choice)
        if isinstance(choice, str) and not choice.lstrip("-").isdigit():
            raise UserError(
                f"{self.where} has no {what} named {choice!r}; "
                f"it has {', '.join(self.channels) or size}."
            )
        number = int(choice)
        if not -size <= number < size:
            raise UserError(f"{self.where} has {what}s 0 to {size - 1}, not {number}.")
        return number % size


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name.casefold())


class HasNotes(Protocol):
    """A volume, or a list of what was found in a folder."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that the user should read."""
        ...


def notices(*noted: HasNotes | None) -> Iterator[Notice]:
    """Yield what volumes have to say, each sentence once: for the start of a job."""
    for text in dict.fromkeys(note for one in noted if one is not None for note in one.notes):
        yield Notice(text=text)


def planes(volume: Volume) -> Iterator[np.ndarray]:
    """Yield the y-x planes of a volume in order, reading whole chunks along z.

    Parameters
    ----------
    volume : Volume
        Axes "yx" or more.

    Yields
    ------
    numpy.ndarray
        One plane (y, x), of the volume's dtype.
    """
    if "z" not in volume.axes:
        for index in np.ndindex(volume.shape[:-2]):
            yield np.asarray(volume.data[index])
        return
    chunks = getattr(volume.data, "chunks", None)
    depth: Any = chunks[-3] if chunks else 1
    depth = depth[0] if isinstance(depth, tuple) else depth  # dask lists each chunk, zarr one
    for index in np.ndindex(volume.shape[:-3]):
        for start in range(0, volume.shape[-3], depth):
            yield from np.asarray(volume.data[(*index, slice(start, start + depth))])
