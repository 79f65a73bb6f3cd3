"""What a staining job needs before its first tile: a place for its result, scratch, contrast."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..events import UserError
from ..models.bundle import ModelBundle
from ..models.normalise import Scaling, qpi_scaling
from ..volumes import Volume, disk_errors
from .output import Canvas, MemoryOutput, Output
from .stored import StoredOutput, fingerprint


@contextmanager
def scratch_folder(out: Path | None, scratch: Path | None) -> Iterator[Path]:
    """Yield a folder that goes with the job; what a killed job left in it goes first."""
    if out is None or scratch is not None:
        with tempfile.TemporaryDirectory(prefix="napari-llcm-", dir=scratch) as folder:
            yield Path(folder)
        return
    beside = out.with_name(f".{out.name}.scratch")
    shutil.rmtree(beside, ignore_errors=True)
    with disk_errors(out):
        beside.mkdir()
    try:
        yield beside
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def contrast(qpi: Volume) -> Scaling:
    """Return the scaling of a volume whose contrast is enough to be scaled.

    Raises
    ------
    UserError
        If nearly all voxels are the same.
    """
    scaling = qpi_scaling(qpi.data)
    if scaling.high - scaling.low <= 1e-7 * max(abs(scaling.low), 1e-4):
        raise UserError(
            f"98 % of the voxels of {qpi.name} have the same value ({scaling.low:g}): there is "
            "too little in it to stain."
        )
    return scaling


def make_output(
    qpi: Volume,
    model: ModelBundle,
    settings: dict[str, Any],
    scaling: Scaling,
    where: Canvas | Path | None,
    overwrite: bool,
) -> Output:
    """Return where tiles go; the result has the input's grid, and the record of its making."""
    many = settings["samples"] > 1
    result = qpi.replace(
        data=None,
        name=f"{qpi.name} virtual DAPI",
        axes="czyx" if many else "zyx",
        channels=("dapi", "spread") if many else (),
        source=str(where) if isinstance(where, Path) else None,
        metadata={
            **settings,
            "made_by": f"napari-llcm {version('napari-llcm')}: virtual staining",
            "input": qpi.source or qpi.name,
        },
    )
    shape = (2, *qpi.shape) if many else qpi.shape
    if where is None:
        return MemoryOutput(result, shape)
    mark = fingerprint(qpi, model, {**settings, "qpi": scaling.model_dump()})
    if isinstance(where, Path):
        return StoredOutput(where, result, shape, mark, overwrite)
    if where.array.shape != shape:
        raise UserError(f"The result of {qpi.name} has changed its shape: stain it anew.")
    where.take(result, mark)
    return where
