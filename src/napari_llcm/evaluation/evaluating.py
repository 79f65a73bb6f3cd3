"""Stain pairs and judge the result: by its nuclei first, by its voxels second."""

from __future__ import annotations

import csv
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..events import Event, Finished, Job, Notice, ShouldStop, Started, UserError, relay
from ..volumes import Pair, Volume, find_pairs, write
from .assessment import confident
from .image_metrics import image_metrics

if TYPE_CHECKING:
    from collections.abc import Generator

    from ..models import ModelBundle
    from ..nuclei import Comparison, Segmenter


@dataclass(frozen=True)
class Evaluation:
    """One stained pair: its volumes, its nuclei, its figures."""

    name: str
    qpi: Volume
    dapi: Volume
    stain: Volume
    comparison: Comparison
    report: dict[str, Any]


def evaluate_pair(
    name: str,
    qpi: Volume,
    dapi: Volume,
    model: ModelBundle,
    *,
    segmenter: Segmenter,
    device: str,
    seed: int = 0,
    should_stop: ShouldStop | None = None,
) -> Generator[Event, None, Evaluation | None]:
    """Stain one volume and compare it with the real DAPI.

    Parameters
    ----------
    name : str
        Name of the pair.
    qpi, dapi : Volume
        On one grid, axes "zyx".
    model : ModelBundle
        The stainer.
    segmenter : Segmenter
        Finds the nuclei of both, by the same settings.
    device : str
        Where to stain.
    seed : int
        Seed of the noise field.
    should_stop : callable, optional
        Asked between tiles.

    Returns
    -------
    Evaluation or None
        The volumes and their figures; keys of `report` are those of the demo's report.json.
        None where the job was stopped.

    Yields
    ------
    Event
        Progress and notices.
    """
    from ..nuclei import compare_nuclei
    from ..staining import StainOptions, stain

    began = time.perf_counter()
    virtual: Volume | None = yield from relay(
        stain(qpi, model, StainOptions(device=device, seed=seed), should_stop=should_stop),
        f"{name}: staining",
    )
    seconds = time.perf_counter() - began
    if virtual is None:
        return None
    comparison: Comparison | None = yield from relay(
        compare_nuclei(dapi, virtual, segmenter=segmenter, should_stop=should_stop),
        f"{name}: nuclei",
    )
    if comparison is None:
        return None
    comparison = yield from confident(
        comparison, qpi, virtual, model, device, name, should_stop=should_stop
    )
    if comparison is None:
        return None
    voxels = math.prod(virtual.shape)
    report = {
        "name": name,
        **comparison.figures,
        **image_metrics(dapi, virtual),
        "seconds": seconds,
        "voxels_per_second": voxels / seconds,
        "model": model.info.name,
        "device": device,
        "segmenter": segmenter.name,
        "seed": seed,
    }
    return Evaluation(name, qpi, dapi, virtual, comparison, report)


def evaluate(
    pairs: Path | list[Pair],
    out: Path,
    *,
    model: str | None = None,
    segmenter: Segmenter,
    device: str = "auto",
    seed: int = 0,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Stain every pair and write report.json, pairs.csv, and a folder with a figure for each.

    Parameters
    ----------
    pairs : Path or list of Pair
        A folder or a list of pairs.
    out : Path
        Folder for the results.
    model : str, optional
        Name, folder or .zip; the shipped one by default.
    segmenter : Segmenter
        Finds the nuclei of both, by the same settings.
    device : str
        Where to stain.
    seed : int
        Seed of the noise field.
    should_stop : callable, optional
        On True the job ends after the pair in work; what is done is reported.

    Yields
    ------
    Event
        At the end `Finished` with the pooled report; `value` is the list of reports.

    Raises
    ------
    UserError
        If pairs or model cannot be read.
    """
    from ..models import load_model
    from ..models.device import pick_device
    from ..nuclei import pool, write_report

    found = find_pairs(pairs) if isinstance(pairs, Path) else pairs
    opened = [pair.read() for pair in found]  # what does not match is said before the work
    place = str(pick_device(device))
    bundle = load_model(model, place)
    prepare_folder(out)
    yield Started(job="evaluate", total=len(found), unit="pairs")
    reports: list[dict[str, Any]] = []
    comparisons: list[Comparison] = []
    for pair, (qpi, dapi, _) in zip(found, opened, strict=True):
        done = yield from evaluate_pair(
            pair.name,
            qpi,
            dapi,
            bundle,
            segmenter=segmenter,
            device=place,
            seed=seed,
            should_stop=should_stop,
        )
        if done is None:
            break
        write(out / pair.name / "virtual.ome.tif", done.stain, overwrite=True)
        write_report(out / pair.name, done.comparison, qpi=qpi, truth=dapi, stain=done.stain)
        reports.append(done.report)
        comparisons.append(done.comparison)
        r = done.report
        yield Notice(
            text=f"{pair.name} ({len(reports)} of {len(found)}): recall {r['recall']:.3f}, "
            f"precision {r['precision']:.3f}, F1 {r['f1']:.3f}"
        )
    if not reports:
        raise UserError("Stopped before the first pair was done: there is nothing to report.")
    pooled = _pooled(reports, pool(comparisons))
    _write_table(out / "pairs.csv", reports)
    write_json(out / "report.json", pooled | {"pairs": reports})
    yield Finished(result=pooled, value=reports)


def prepare_folder(out: Path) -> None:
    """Make the folder for results.

    Raises
    ------
    UserError
        If it cannot be made.
    """
    from ..volumes import disk_errors

    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: choose a folder for the results.")
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a report, whole or not at all."""
    from ..volumes import disk_errors

    partial = path.with_name(f".{path.name}.partial")
    with disk_errors(path):
        partial.write_text(json.dumps(content, indent=2, default=float), encoding="utf-8")
        partial.replace(path)


def _pooled(reports: list[dict[str, Any]], nuclei: dict[str, Any]) -> dict[str, Any]:
    """Return nuclei figures over all counts, image metrics as means, speed over all voxels."""
    pooled: dict[str, Any] = dict(nuclei)
    for key in ("psnr", "ssim", "pearson", "nrmse", "lpips"):
        values = [r[key] for r in reports if r.get(key) is not None]
        pooled[key] = sum(values) / len(values) if values else None
    pooled["seconds"] = sum(r["seconds"] for r in reports)
    voxels = sum(r["seconds"] * r["voxels_per_second"] for r in reports)
    pooled["voxels_per_second"] = voxels / pooled["seconds"]
    first = reports[0]
    return pooled | {key: first[key] for key in ("model", "device", "segmenter", "seed")}


def _write_table(path: Path, reports: list[dict[str, Any]]) -> None:
    plain = [{k: v for k, v in r.items() if not isinstance(v, dict | list)} for r in reports]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(plain[0]))
        writer.writeheader()
        writer.writerows(plain)
