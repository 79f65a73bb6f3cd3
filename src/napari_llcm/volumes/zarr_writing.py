"""Write OME-Zarr 0.4 or 0.5, tile by tile if need be, with its pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..events import UserError
from .atomic import check_target, linked, put_in_place, remove
from .disk_errors import disk_errors
from .orientation import mirrored_axes
from .sole_writer import sole_writer
from .volume import Volume
from .zarr_metadata import Version, describe_image, layout_of_array, open_group

if TYPE_CHECKING:
    import dask.array as da
    import zarr

_SMALLEST = 256  # the pyramid ends with a plane no larger than this
_WHOLE: Any = {"write_empty_chunks": True}  # so that a chunk which is not there is a lost one


class ZarrWriter:
    """An OME-Zarr image that is filled tile by tile, then finished or resumed.

    Until `finish`, the store lies in the sibling `PATH.partial`, where a killed job leaves it for
    the next one to resume. Wrap assignments to `array` in `disk_errors(path)` to report a full
    disk.

    Parameters
    ----------
    path : Path
        Where the finished store shall be.
    shape : sequence of int
        One size for each axis.
    dtype : dtype
        Type of the voxels.
    like : Volume
        What the store holds, but for its data: axes, grid, name and channels.
    labels : bool
        Whether the voxels are instance labels, which a pyramid must not average.
    chunks : tuple of int, optional
        Chunk size; by default up to (32, 128, 128) along z, y, x and 1 along t and c.
    resume : bool
        Go on with a store that an earlier writer of the same shape left behind, if it is sound.
    overwrite : bool
        Whether a finished store at `path` may be replaced.
    version : {"0.4", "0.5"}
        Of OME-Zarr.

    Attributes
    ----------
    array : zarr.Array
        Level 0, to assign slices to; tiles aligned with its chunks are safe to write in parallel.
    partial : Path
        The store while it is being filled.
    resumed : bool
        Whether `array` already holds an earlier writer's work.

    Raises
    ------
    UserError
        If the target exists, or the disk is full.
    """

    def __init__(
        self,
        path: Path | str,
        shape: Sequence[int],
        dtype: np.dtype | str | type,
        *,
        like: Volume,
        labels: bool = False,
        chunks: tuple[int, ...] | None = None,
        resume: bool = False,
        overwrite: bool = False,
        version: Version = "0.5",
    ) -> None:
        self.path = linked(Path(path))
        self.partial = self.path.with_name(f"{self.path.name}.partial")
        self.like, self.axes, self.labels, self.version = like, like.axes, labels, version
        check_target(self.path, overwrite)
        self.resumed = resume and self._resume(tuple(shape), np.dtype(dtype))
        if self.resumed:
            return
        try:
            with disk_errors(self.path):
                remove(self.partial)
                self._group = open_group(self.partial, version, "w")
                self.array = self._create("0", shape, np.dtype(dtype), chunks)
        except UserError:
            self.discard()
            raise

    def _resume(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Open the store of an earlier writer; return False where it is none, or damaged."""
        import zarr

        try:
            with zarr.config.set({f"array.{k}": v for k, v in _WHOLE.items()}):
                self._group = open_group(self.partial, self.version, "r+")
                array = self._group["0"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if not isinstance(array, zarr.Array) or (array.shape, array.dtype) != (shape, dtype):
            return False
        self.array = array
        return True

    def _create(
        self, key: str, shape: Sequence[int], dtype: np.dtype, chunks: tuple[int, ...] | None
    ) -> zarr.Array:
        if chunks is None:
            largest = {"z": 32, "y": 128, "x": 128}
            chunks = tuple(largest.get(a, 1) for a in self.axes)
        return self._group.create_array(
            key,
            shape=tuple(shape),
            dtype=dtype,
            chunks=tuple(min(c, n) for c, n in zip(chunks, shape, strict=True)),
            overwrite=True,
            config=_WHOLE,
            **layout_of_array(self.version, self.axes),
        )

    def finish(self, metadata: dict[str, Any] | None = None) -> Path:
        """Build the pyramid, write the metadata and rename the store into place.

        Parameters
        ----------
        metadata : dict, optional
            How the volume was made; JSON.

        Returns
        -------
        Path
            The finished store.

        Raises
        ------
        UserError
            If the disk is full.
        """
        with disk_errors(self.path):
            datasets = self._pyramid()
            describe_image(
                self._group, datasets, self.like, labels=self.labels, version=self.version
            )
            if metadata:
                self._group.attrs["napari_llcm"] = metadata
            put_in_place(self.partial, self.path)
        return self.path

    def discard(self) -> None:
        """Remove the unfinished store."""
        remove(self.partial)

    def _pyramid(self) -> list[dict[str, Any]]:
        """Write levels 1, 2, … and return the entry of every level; chunk by chunk."""
        import dask.array as da

        spatial = [i for i, a in enumerate(self.axes) if a in "zyx"]
        step, start = np.ones(len(self.axes)), np.zeros(len(self.axes))
        for i in spatial:
            axis = "zyx".index(self.axes[i])
            step[i], start[i] = self.like.step[axis], self.like.origin[axis]
            step[i] *= -1 if self.axes[i] in mirrored_axes(self.like) else 1
        level, datasets = self.array, [_dataset("0", step, start)]
        while max(level.shape[-2:]) > _SMALLEST:
            # Halve the finest axes only, so that voxels become cubes on the way up.
            finest = min(abs(step[i]) for i in spatial if level.shape[i] > 1)
            factors = np.ones(len(self.axes), int)
            for i in spatial:
                factors[i] += level.shape[i] > 1 and abs(step[i]) < 1.5 * finest
            smaller = _halved(da.from_zarr(level), factors, self.labels)
            level = self._create(str(len(datasets)), smaller.shape, self.array.dtype, None)
            _store(smaller, level)
            if not self.labels:  # a mean lies in the middle of the voxels it was made of
                start = start + step * (factors - 1) / 2
            step = step * factors
            datasets.append(_dataset(str(len(datasets)), step, start))
        return datasets


def _halved(data: da.Array, factors: np.ndarray, labels: bool) -> da.Array:
    import dask.array as da

    if labels:
        return data[tuple(slice(None, None, int(f)) for f in factors)]
    even = {i: _even(data.chunks[i]) for i, f in enumerate(factors) if f > 1}
    mean = da.coarsen(
        np.mean, data.rechunk(even), dict(enumerate(factors.tolist())), trim_excess=True
    )
    return mean.astype(data.dtype)


def _store(data: da.Array, array: Any) -> None:
    """Write with one task to each stored chunk, or two threads would write the same file."""
    import dask.array as da

    da.store(data.rechunk(array.chunks), array, lock=False)


def _even(chunks: tuple[int, ...]) -> tuple[int, ...]:
    """Return chunks of even size but for the last, as coarsening by 2 needs."""
    size = chunks[0] + chunks[0] % 2
    total = sum(chunks)
    return tuple(min(size, total - s) for s in range(0, total, size))


def _dataset(path: str, step: np.ndarray, start: np.ndarray) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"type": "scale", "scale": step.tolist()}]
    if start.any():
        steps.append({"type": "translation", "translation": start.tolist()})
    return {"path": path, "coordinateTransformations": steps}


def write_zarr(
    path: Path, volume: Volume, *, overwrite: bool = False, labels: bool = False
) -> None:
    """Write a volume as chunked, multiscale OME-Zarr 0.5.

    Raises
    ------
    UserError
        If the target exists, the disk is full, or another process writes there.
    """
    with sole_writer(path):
        _write_zarr(path, volume, overwrite, labels)


def _write_zarr(path: Path, volume: Volume, overwrite: bool, labels: bool) -> None:
    import dask.array as da

    writer = ZarrWriter(
        path,
        volume.shape,
        volume.dtype,
        like=volume,
        labels=labels,
        overwrite=overwrite,
    )
    try:
        with disk_errors(path):
            _store(da.asarray(volume.data), writer.array)
        writer.finish(volume.metadata)
    except BaseException:
        writer.discard()
        raise
