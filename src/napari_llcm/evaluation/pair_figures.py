"""Image figures of a pair of real and virtual DAPI, and those of many pairs together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..volumes.flat import Projection, is_flat, project
from .image_metrics import NoContrast, image_metrics

if TYPE_CHECKING:
    from ..volumes import Volume

IMAGE_FIGURES = ("psnr", "ssim", "pearson", "nrmse", "lpips")


def image_figures(dapi: Volume, virtual: Volume, projection: Projection) -> dict[str, Any]:
    """Return the image metrics; of a real image without contrast none is defined.

    Parameters
    ----------
    dapi, virtual : Volume
        On one grid.
    projection : {"max", "mean", "focus"}
        What of the virtual one is compared with a DAPI that is flat.
    """
    if is_flat(dapi):
        virtual = project(virtual, projection)
    try:
        return image_metrics(dapi, virtual)
    except NoContrast as error:
        return {**dict.fromkeys(IMAGE_FIGURES), "lpips_reason": str(error), "data_range": 0.0}


def pooled_figures(reports: list[dict[str, Any]], nuclei: dict[str, Any]) -> dict[str, Any]:
    """Return nuclei figures over all counts, image metrics as means, speed over all voxels.

    Parameters
    ----------
    reports : list of dict
        Of each pair, at least one.
    nuclei : dict
        Of all of them; see `nuclei.pool`.
    """
    pooled: dict[str, Any] = dict(nuclei)
    for key in IMAGE_FIGURES:
        values = [r[key] for r in reports if r.get(key) is not None]
        pooled[key] = sum(values) / len(values) if values else None
    pooled["seconds"] = sum(r["seconds"] for r in reports)
    voxels = sum(r["seconds"] * r["voxels_per_second"] for r in reports)
    pooled["voxels_per_second"] = voxels / pooled["seconds"]
    first = reports[0]
    return pooled | {
        key: first[key] for key in ("model", "device", "segmenter", "seed", "nucleus_um")
    }


def headline(report: dict[str, Any], number: int, count: int) -> str:
    """Return the figures of a pair in one line, with how many of all pairs are done."""
    figures = {"recall": report["recall"], "precision": report["precision"], "F1": report["f1"]}
    shown = (f"{k} {'not defined' if v is None else f'{v:.3f}'}" for k, v in figures.items())
    return f"{report['name']} ({number} of {count}): {', '.join(shown)}"
