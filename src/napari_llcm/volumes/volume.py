"""The one type that flows through every stage: an array that knows its axes and its size in µm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..events import Notice
from .selecting import narrowed, selected

if TYPE_CHECKING:
    from .units import FileGrid

ORDER = "tczyx"
Spacing = tuple[float, float, float]
Orientation = tuple[Spacing, Spacing, Spacing]


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
        return narrowed(self, channel, time)

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
        return selected(self, channel, time, known)


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
