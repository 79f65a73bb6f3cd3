"""Plates as iohub writes them: time, channel, z, y, x in a position, chunks of one stack."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

SPACING = (0.5, 0.25, 0.25)


def make_plate(
    path: Path,
    version: str = "0.4",
    *,
    wells: Sequence[str] = ("A/1", "B/2"),
    fields: Sequence[str] = ("0", "1"),
    channels: Sequence[str] = ("Phase3D", "GFP"),
    shape: tuple[int, ...] = (2, 8, 32, 32),
    dtype: str = "float32",
    voxels: Any = None,
) -> Path:
    """Write a plate; `voxels(well, field, time, channel)` gives its stacks, noise by default."""
    rng = np.random.default_rng(4)
    root = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    rows = sorted({well.split("/")[0] for well in wells})
    columns = sorted({well.split("/")[1] for well in wells})
    told = {
        "version": version,
        "name": path.stem,
        "rows": [{"name": row} for row in rows],
        "columns": [{"name": column} for column in columns],
        "wells": [
            {"path": w, "rowIndex": rows.index(r), "columnIndex": columns.index(c)}
            for w in wells
            for r, c in [w.split("/")]
        ],
        "acquisitions": [{"id": 0, "name": "first"}],
        "field_count": len(fields),
    }
    _describe(root, version, {"plate": told})
    for well in wells:
        root.require_group(well.split("/")[0])
        group = root.require_group(well)
        images = [{"path": field, "acquisition": 0} for field in fields]
        _describe(group, version, {"well": {"version": version, "images": images}})
        for field in fields:
            image = group.require_group(field)
            data = rng.normal(size=(shape[0], len(channels), *shape[1:]))
            if voxels is not None:
                for t, c in np.ndindex(data.shape[:2]):
                    data[t, c] = voxels(well, field, t, channels[c])
            elif dtype.startswith("u"):
                data = 100 + 50 * np.abs(data)
            keys = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
            image.create_array(
                "0",
                data=data.astype(dtype),
                chunks=(1, 1, *shape[1:]),
                **(keys if version == "0.4" else {"dimension_names": list("tczyx")}),
            )
            window = {"min": 0.0, "max": 1.0, "start": 0.0, "end": 1.0}
            omero = [{"label": c, "color": "FFFFFF", "window": window} for c in channels]
            axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
            axes += [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
            scale = [{"type": "scale", "scale": [1.0, 1.0, *SPACING]}]
            level = {"path": "0", "coordinateTransformations": scale}
            one = {"version": version, "name": field, "axes": axes, "datasets": [level]}
            _describe(image, version, {"multiscales": [one], "omero": {"channels": omero}})
    return path


def _describe(group: Any, version: str, told: dict[str, Any]) -> None:
    group.attrs.update(told if version == "0.4" else {"ome": {"version": version, **told}})


def validate(path: Path) -> None:
    """Validate a plate, its wells and its images by ome-zarr-models."""
    from ome_zarr_models.v04.hcs import HCS as HCS04
    from ome_zarr_models.v04.image import Image as Image04
    from ome_zarr_models.v04.well import Well as Well04
    from ome_zarr_models.v05.hcs import HCS as HCS05
    from ome_zarr_models.v05.image import Image as Image05
    from pydantic_zarr import v2

    for model in (Image04, Well04, HCS04):  # they name types that they do not import
        model.model_rebuild(_types_namespace=vars(v2))
    group = zarr.open_group(path, mode="r")
    old = group.metadata.zarr_format == 2
    hcs: Any = (HCS04 if old else HCS05).from_zarr(group)
    plate = hcs.attributes.plate if old else hcs.ome_attributes.plate
    for well in plate.wells:
        told: Any = group[well.path].attrs.asdict()
        for image in (told if old else told["ome"])["well"]["images"]:
            (Image04 if old else Image05).from_zarr(group[f"{well.path}/{image['path']}"])


def contents(path: Path) -> dict[str, bytes]:
    """Return all files of a store, to compare two byte by byte."""
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}
