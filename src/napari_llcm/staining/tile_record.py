"""Which tiles of a result are done: a file beside it, which a killed job leaves to the next one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, PositiveInt, TypeAdapter

from ..volumes.atomic import open_log, write_text
from .tiling import Box, covered


class TileRecord:
    """The tiles of a result that are done, one line each, under a fingerprint.

    Parameters
    ----------
    path : Path
        The record.
    result : Path
        The result, for sentences.
    fingerprint : str
        Of everything that the result depends on: a record of another one is no use.

    Attributes
    ----------
    known : bool
        Whether an earlier job of this fingerprint has left its record.
    tile : tuple of int or None
        The tile size of that job.
    region : tuple of int or None
        The size of the parts that it gave to other machines.
    notice : str or None
        What the user should know of what was found.
    """

    def __init__(self, path: Path, result: Path, fingerprint: str) -> None:
        self.path, self.result = path, result
        self._fingerprint = fingerprint
        self._done: list[Box] = []
        self.tile: tuple[int, ...] | None = None
        self.region: tuple[int, ...] | None = None
        self.notice: str | None = None
        self.known = self._read()

    def take_over(self, resumed: bool) -> None:
        """Go on with what the record says, if its store was sound, or begin anew.

        Parameters
        ----------
        resumed : bool
            Whether the store of the earlier job is gone on with.
        """
        if self.known and resumed:
            count = len(self._done)
            self.notice = f"Going on with {self.result}: {count} tiles are done already."
            return
        if self.known:
            self.notice = (
                f"What an earlier job has left of {self.result} is damaged: it is begun anew."
            )
        self.known = False
        self.remove()
        self._done, self.tile, self.region = [], None, None

    def is_done(self, box: Box) -> bool:
        """Return whether all voxels of a box (z, y, x) are done."""
        return covered(box, self._done)

    def start(self, tile: Sequence[int], region: Sequence[int] | None = None) -> None:
        """Note the sizes of tiles and regions, by which a later job goes on."""
        if self.tile is None:
            self.tile, self.region = tuple(tile), None if region is None else tuple(region)
            header = {
                "fingerprint": self._fingerprint,
                "tile": self.tile,
                **({} if region is None else {"region": self.region}),
            }
            write_text(self.path, json.dumps(header) + "\n")

    def note(self, box: Box) -> None:
        """Note that a box (z, y, x) is done."""
        with open_log(self.path) as record:
            record.write(json.dumps(box) + "\n")

    def remove(self) -> None:
        """Remove the record: the result is finished, or begun anew."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> bool:
        """Return whether a record of the same job is there, and take over what it says."""
        if not self.path.exists():
            return False
        try:
            lines = self.path.read_text(encoding="utf-8").split("\n")
            header = _Header.model_validate_json(lines[0])
            # a job killed while it wrote leaves half a line
            self._done = [_BOX.validate_json(line) for line in lines[1:-1]]
        except (OSError, ValueError):
            self.notice = (
                f"The record of an earlier job, {self.path}, is damaged: {self.result} is begun "
                "anew."
            )
            return False
        if header.fingerprint != self._fingerprint:
            self.notice = f"{self.result} was begun with another input, model or settings: anew."
            return False
        self.tile, self.region = header.tile, header.region
        return True


class _Header(BaseModel):
    """The first line of a record."""

    fingerprint: str
    tile: tuple[PositiveInt, PositiveInt, PositiveInt]
    region: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None


_BOX: TypeAdapter[Box] = TypeAdapter(tuple[tuple[int, int], tuple[int, int], tuple[int, int]])
