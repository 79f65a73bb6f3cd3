"""Stain pairs and judge the result: by its nuclei first, by its voxels second."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..events import Event, Finished, Job, Notice, ShouldStop, Started, UserError, relay
from ..volumes import Pair, Volume, find_pairs, write
from ..volumes.apart import check_apart
from ..volumes.atomic import write_json, write_table
from ..volumes.sole_writer import sole_writer
from .assessment import confident
from .image_metrics import image_metrics

if TYPE_CHECKING:
    from collections.abc import Generator

    from ..models import ModelBundle
    from ..nuclei import Comparison, Segmenter


_WRITTEN = ("pairs.csv", "report.json")


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
    found = find_pairs(pairs) if isinstance(pairs, Path) else pairs
    if isinstance(pairs, Path):
        for name in _WRITTEN:
            check_apart(out / name, [pairs])
    for pair in found:
        for target in (out, out / pair.name, out / pair.name / "virtual.ome.tif"):
            check_apart(target, (pair.qpi, pair.dapi, pair.labels), replaced=False)
    with sole_writer(out, folder=True) as notice:
        yield from [Notice(text=notice, warning=False)] if notice else []
        yield from _evaluate(found, out, model, segmenter, device, seed, should_stop)


def _evaluate(
    found: list[Pair],
    out: Path,
    model: str | None,
    segmenter: Segmenter,
    device: str,
    seed: int,
    should_stop: ShouldStop | None,
) -> Job:
    from ..models import load_model
    from ..models.device import pick_device
    from ..nuclei import pool, write_report

    opened = [pair.read() for pair in found]  # what does not match is said before the work
    place = str(pick_device(device))
    bundle = load_model(model, place)
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
    write_table(path, list(plain[0]), plain)
