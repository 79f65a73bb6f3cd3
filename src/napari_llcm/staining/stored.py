"""The result of a staining job as a file, which a killed job leaves to be resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..events import UserError
from ..models.bundle import ModelBundle
from ..volumes import Volume, ZarrWriter, disk_errors, read, write
from ..volumes.apart import check_apart
from ..volumes.atomic import check_target
from ..volumes.sole_writer import sole_writer
from ..volumes.writing import check_writable
from .output import remembering
from .tile_record import TileRecord
from .tiling import Box, slices

_FORMATS = (".zarr", ".tif", ".tiff", ".nii", ".nii.gz", ".dicom")


def check_output(path: Path, source: str | Path | None, overwrite: bool) -> None:
    """Refuse a result that cannot be written where it shall be, before any work.

    Parameters
    ----------
    path : Path
        Where the result shall be.
    source : str or Path, optional
        The file that is stained.
    overwrite : bool
        Whether a result at `path` may be replaced.

    Raises
    ------
    UserError
        If the format is unknown, the result is the input, exists, or is being written.
    """
    if not path.name.lower().endswith(_FORMATS):
        raise UserError(f"{path} must end with .ome.zarr, .ome.tif, .nii.gz or .dicom.")
    check_apart(path, [source])
    with sole_writer(path):
        check_target(path, overwrite)


@contextmanager
def claimed(path: Path | None, source: str | None, overwrite: bool) -> Iterator[str | None]:
    """Keep an output for one job: `check_output`, and no other job writes it meanwhile.

    Yields
    ------
    str or None
        What the user should know.
    """
    if path is None:
        yield None
        return
    check_output(path, source, overwrite)
    with sole_writer(path) as notice:
        yield notice


class StoredOutput:
    """The result as a file, filled through a chunked store beside it.

    The tiles that are done are noted, one line each, beside the store, with a fingerprint of
    everything that the result depends on: a later job with the same fingerprint goes on.

    Parameters
    ----------
    path : Path
        The result: .ome.zarr, .ome.tif, .nii.gz or .dicom.
    volume : Volume
        What the result is, but for its data.
    shape : sequence of int
        Its shape.
    fingerprint : str
        Of input, model and settings.
    overwrite : bool
        Whether a result at `path` may be replaced.

    Attributes
    ----------
    notice : str or None
        What the user should know about resuming.

    Raises
    ------
    UserError
        If the format is unknown or cannot hold the result, it exists, or the disk is full.
    """

    watched = False

    def __init__(
        self, path: Path, volume: Volume, shape: Sequence[int], fingerprint: str, overwrite: bool
    ) -> None:
        self.path, self.volume, self.overwrite = path, volume, overwrite
        check_writable(path, volume)  # a result that no file can hold is refused before the work
        self._is_zarr = path.name.lower().endswith(".zarr")
        store = path if self._is_zarr else path.with_name(f".{path.name}.zarr")
        record = path.with_name(f".{path.name}.staining.jsonl")
        self._record = TileRecord(record, path, fingerprint)
        self._writer = ZarrWriter(
            store,
            shape,
            np.float32,
            like=volume,
            resume=self._record.known,
            overwrite=overwrite,
        )
        self._record.take_over(self._writer.resumed)
        self.notice = self._record.notice

    @property
    def tile(self) -> tuple[int, ...] | None:
        """The tile size of the job that is resumed."""
        return self._record.tile

    @property
    def region(self) -> tuple[int, ...] | None:
        """The size of the parts that it gave to other machines."""
        return self._record.region

    def is_done(self, box: Box) -> bool:
        """Return whether an earlier job has put all voxels of a box (z, y, x)."""
        return self._record.is_done(box)

    def start(self, tile: Sequence[int], region: Sequence[int] | None = None) -> None:
        """Note the sizes of tiles and regions, by which a later job goes on."""
        self._record.start(tile, region)

    def put(self, box: Box, data: np.ndarray, part: bool = False) -> None:
        """Write the voxels of a box (one span for each axis of the result), then note it."""
        with disk_errors(self.path):
            self._writer.array[slices(box)] = data
            self._record.note(box[-3:])

    def finish(self, stopped: bool, metadata: dict[str, Any]) -> Volume | None:
        """Put the result in place and return it, read lazily; None where the job was stopped.

        Raises
        ------
        UserError
            If the disk is full; the store is left to be resumed.
        """
        if stopped:
            return None
        self.volume = remembering(self.volume, metadata)
        if self._is_zarr:
            self._writer.finish(self.volume.metadata)
        else:
            import dask.array as da

            data = da.from_zarr(self._writer.array)
            write(self.path, self.volume.replace(data=data), overwrite=self.overwrite)
            self._writer.discard()
        self._record.remove()
        return read(self.path).replace(metadata=self.volume.metadata)


def fingerprint(qpi: Volume, model: ModelBundle, settings: dict[str, Any]) -> str:
    """Return a hash of everything that a stain depends on, but for the tile size.

    Of the input's voxels the middle plane stands for all, beside the percentiles in `settings`.
    """
    known = {
        "shape": qpi.shape,
        "dtype": str(qpi.dtype),
        "spacing": qpi.spacing,
        "model": model.info.model_dump(mode="json"),
        **settings,
    }
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(qpi.data[qpi.shape[0] // 2]).tobytes())
    _add_weights(digest, model)
    return digest.hexdigest()


def digest_of(model: ModelBundle) -> str:
    """Return a hash of the weights of a model."""
    digest = hashlib.sha256()
    _add_weights(digest, model)
    return digest.hexdigest()


def _add_weights(digest: Any, model: ModelBundle) -> None:
    for weights in model.networks.state_dict().values():
        digest.update(weights.float().cpu().contiguous().numpy().tobytes())
