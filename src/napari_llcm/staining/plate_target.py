"""Where the predictions of a plate go: a plate of their own, or channels of the plate itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..events import UserError
from ..volumes import disk_errors
from ..volumes.atomic import remove
from ..volumes.channel_writing import add_channels, check_can_add
from ..volumes.plate_writing import describe_plate, is_bare, record_of
from ..volumes.plates import Plate, PlateField
from ..volumes.sole_writer import is_written, mark_of
from ..volumes.zarr_metadata import Version


class NewPlate:
    """A plate of results, with the wells and fields of another one.

    Parameters
    ----------
    path : Path
        The plate.
    plate : Plate
        The other one.
    fields : sequence of PlateField
        Its fields that are stained, by this job or by others beside it.
    version : {"0.4", "0.5"}
        Of OME-Zarr.
    made : dict
        How the results are made; JSON. A plate that says else is not added to.
    """

    def __init__(
        self,
        path: Path,
        plate: Plate,
        fields: Sequence[PlateField],
        version: Version,
        made: dict[str, Any],
    ) -> None:
        self.path, self.plate, self.fields = path, plate, list(fields)
        self.version: Version = version
        self.made = made

    @property
    def shown(self) -> Path:
        """Where the user finds the results."""
        return self.path

    def begin(self, overwrite: bool) -> None:
        """Make the plate, or see whether it can be added to; one to be replaced is removed.

        Raises
        ------
        UserError
            If there is something else.
        """
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists() and not (self.path.is_dir() and is_bare(self.path)):
                self._check_known(overwrite)
                if overwrite:
                    remove(self.path)
        describe_plate(self.path, self.plate, self.fields, self.version, self.made)

    def place(self, field: PlateField) -> Path:
        """Return where the result of a field is written."""
        return self.path / field.well / field.image

    def is_done(self, field: PlateField) -> bool:
        """Return whether a field has its result."""
        return self.place(field).exists()

    def put(self, field: PlateField) -> None:
        """Do what is left to be done with the result of a field that was stained."""

    def end(self) -> None:
        """Name the fields that are there, where all that could be stained were."""
        there = [field for field in self.fields if self.place(field).exists()]
        for field in there:
            self._tidy(self.place(field))
        if there and len(there) < len(self.fields):
            describe_plate(self.path, self.plate, there, self.version, self.made)

    @staticmethod
    def _tidy(place: Path) -> None:
        """Remove what a job leaves that is killed between its field's rename and its own end."""
        with disk_errors(place):
            for record in place.parent.glob(f".{place.name}.t*.staining.jsonl"):
                record.unlink()
            if not is_written(place):
                mark_of(place).unlink(missing_ok=True)

    def _check_known(self, overwrite: bool) -> None:
        known = record_of(self.path) if self.path.is_dir() else None
        if known is None:
            raise UserError(
                f"{self.path} exists already, and is no plate of results: choose another."
            )
        if not overwrite and known != self.made:
            differs = ", ".join(sorted(k for k in self.made if known.get(k) != self.made[k]))
            raise UserError(
                f"{self.path} was made in another way ({differs}): choose another output, or pass "
                "overwrite to begin it anew."
            )


class InputPlate(NewPlate):
    """The plate that is stained: its fields get the predictions as further channels.

    They are stained into a hidden plate beside it, and each field is added when all of it is done.

    Parameters
    ----------
    plate : Plate
        The plate.
    fields : sequence of PlateField
        Its fields that are stained.
    made : dict
        How the results are made; JSON.
    names : sequence of str
        The channels.
    """

    def __init__(
        self,
        plate: Plate,
        fields: Sequence[PlateField],
        made: dict[str, Any],
        names: Sequence[str],
    ) -> None:
        hidden = plate.path.with_name(f".{plate.path.name}.predictions.zarr")
        super().__init__(hidden, plate, fields, plate.version, made)
        self._names = tuple(names)

    @property
    def shown(self) -> Path:
        """Where the user finds the results."""
        return self.plate.path

    def begin(self, overwrite: bool) -> None:
        """Make the hidden plate, unless all fields have their channels.

        Raises
        ------
        UserError
            If a field cannot take them: before any of the work.
        """
        if overwrite:
            raise UserError(
                f"Channels of {self.plate.path} are not replaced: leave overwrite out, or give the "
                "prediction another name."
            )
        left = [field for field in self.fields if not self.is_done(field)]
        if left:
            super().begin(overwrite)

    def is_done(self, field: PlateField) -> bool:
        """Return whether a field has its channels."""
        return check_can_add(field.path, self._names)

    def put(self, field: PlateField) -> None:
        """Add the channels to the field."""
        place = self.place(field)
        add_channels(field.path, place)
        with disk_errors(place):
            remove(place)

    def end(self) -> None:
        """Remove the hidden plate once it is of no more use."""
        if all(self.is_done(field) for field in self.fields):
            with disk_errors(self.path):
                remove(self.path)
