"""Thin volumes as pairs: thick slices that are made of each, and the planes that they cover."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..events import UserError
from .folders import Found, stacks_by_name
from .options import PairReadOptions
from .pairs import Pair
from .reading import read_role
from .thick_slices import ThickOptions, thick_count, thicken
from .volume import Volume


@dataclass(frozen=True)
class ThinVolume(Pair):
    """A thin volume: its own output, and as input the thick slices that are made of it.

    Parameters
    ----------
    thick : ThickOptions
        How they are made, of whole planes. Each is repeated on the planes of the output that it
        covers.
    """

    thick: ThickOptions = ThickOptions()

    @property
    def files(self) -> list[Path]:
        """All files of the field."""
        return [*self.outputs]

    def stacks(
        self, *, flat: bool = False
    ) -> tuple[tuple[Volume, ...], tuple[Volume, ...], Volume | None]:
        """Open the volume lazily; the thick slices are computed when they are first read.

        Raises
        ------
        UserError
            If it cannot be read, or has too few planes for one slice.
        """
        thin = read_role(self.outputs[0], self.reading, None)
        if thin.axes != "zyx":
            raise UserError(f"{thin.where} has axes {thin.axes}: choose one stack of planes.")
        try:
            _, covered = thick_count(thin.shape[0], self.thick.ratio)
        except UserError as error:
            raise UserError(f"{thin.where}: {error}") from error
        thin = thin.replace(data=thin.data[:covered])
        seen = thin.replace(data=_ThickSlices(thin, self.thick), name=f"{thin.name} thick slices")
        return (seen,), (thin,), None


class _ThickSlices:
    """Thick slices of a volume, each on the planes that it covers: made when they are read."""

    def __init__(self, thin: Volume, options: ThickOptions) -> None:
        self._thin, self._options = thin, options
        self.shape, self.dtype, self.ndim = thin.shape, np.dtype(np.float32), 3
        self._made: np.ndarray | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self._made is None:
            exact = self._thin.replace(data=np.asarray(self._thin.data, np.float32))
            thick, _ = thicken(exact, self._options)
            self._made = np.repeat(thick.numpy(), self.shape[0] // thick.shape[0], axis=0)
        return np.asarray(self._made, dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.asarray(np.asarray(self)[index])


def find_thin_volumes(
    source: Path | str,
    options: ThickOptions,
    reading: PairReadOptions | None = None,
    names: tuple[str, ...] = ("thin",),
) -> Found[Pair]:
    """Find thin volumes to make pairs of.

    Parameters
    ----------
    source : Path or str
        A folder of volumes, or with a folder of them that has one of the names.
    options : ThickOptions
        How thick slices are made of them.
    reading : PairReadOptions, optional
        How the files are read.
    names : tuple of str
        Of the folder.

    Raises
    ------
    UserError
        If there are none.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise UserError(f"There is no folder {source} of thin volumes.")
    inside = {f.name.lower(): f for f in folder.iterdir() if f.is_dir()}
    folder = next((inside[name] for name in names if name in inside), folder)
    found, notes = stacks_by_name(folder)
    if not found:
        raise UserError(f"{folder} holds no volumes.")
    volumes = (
        ThinVolume(name, (path,), (path,), thick=options) for name, path in sorted(found.items())
    )
    if reading is not None:
        volumes = (replace(volume, reading=reading) for volume in volumes)
    return Found(volumes, notes)
