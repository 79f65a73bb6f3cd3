"""Stain pairs and judge the result: by its nuclei first, by its voxels second."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..events import Event, Finished, Job, Notice, ShouldStop, Started, UserError, noting, relay
from ..volumes import Found, Pair, PairReadOptions, Volume, find_pairs, losses, notices, write
from ..volumes.apart import check_apart
from ..volumes.atomic import write_json, write_table
from ..volumes.flat import Projection
from ..volumes.pairs import inputs_of
from ..volumes.sole_writer import sole_writer
from .assessment import confident
from .pair_figures import headline, image_figures, pooled_figures

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
    diameter: float | None = None,
    nucleus_um: float | None = None,
    projection: Projection = "max",
    should_stop: ShouldStop | None = None,
) -> Generator[Event, None, Evaluation | None]:
    """Stain one volume and compare it with the real DAPI.

    Parameters
    ----------
    name : str
        Name of the pair.
    qpi, dapi : Volume
        On one grid, axes "zyx"; the DAPI may be flat.
    model : ModelBundle
        The stainer.
    segmenter : Segmenter
        Finds the nuclei of both, by the same settings.
    device : str
        Where to stain.
    seed : int
        Seed of the noise field.
    diameter : float, optional
        Typical nucleus in µm (pixels where the spacing is unknown); estimated if None.
    nucleus_um : float, optional
        Width of the nuclei, as `StainOptions` takes it.
    projection : {"max", "mean", "focus"}
        What of the stain is compared with a flat DAPI.
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
    said: list[str] = []  # the comparison says again what was said of its stain
    options = StainOptions(device=device, seed=seed, nucleus_um=nucleus_um)
    virtual: Volume | None = yield from relay(
        noting(stain(qpi, model, options, should_stop=should_stop), said), f"{name}: staining"
    )
    seconds = time.perf_counter() - began
    if virtual is None:
        return None
    job = compare_nuclei(
        dapi,
        virtual,
        segmenter=segmenter,
        diameter=diameter,
        projection=projection,
        should_stop=should_stop,
    )
    comparison: Comparison | None = yield from relay(noting(job, said), f"{name}: nuclei")
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
        **image_figures(dapi, virtual, projection),
        "seconds": seconds,
        "voxels_per_second": voxels / seconds,
        "model": model.info.name,
        "device": device,
        "segmenter": segmenter.name,
        "seed": seed,
        "nucleus_um": nucleus_um,
    }
    return Evaluation(name, qpi, dapi, virtual, comparison, report)


def evaluate(
    pairs: Path | list[Pair],
    out: Path,
    *,
    model: str | None = None,
    reading: PairReadOptions | None = None,
    segmenter: Segmenter,
    device: str = "auto",
    seed: int = 0,
    diameter: float | None = None,
    nucleus_um: float | None = None,
    projection: Projection = "max",
    should_stop: ShouldStop | None = None,
) -> Job:
    """Stain every pair and write report.json, pairs.csv, and a folder with a figure for each.

    A pair that cannot be evaluated is told and named in the report with the reason; the others
    are evaluated.

    Parameters
    ----------
    pairs : Path or list of Pair
        A folder or a list of pairs.
    out : Path
        Folder for the results.
    model : str, optional
        Name, folder or .zip; the shipped one by default.
    reading : PairReadOptions, optional
        How the files of a folder or list are read.
    segmenter : Segmenter
        Finds the nuclei of both, by the same settings.
    device : str
        Where to stain.
    seed : int
        Seed of the noise field.
    diameter : float, optional
        Typical nucleus in µm (pixels where the spacing is unknown); estimated of each pair if
        None.
    nucleus_um : float, optional
        Width of the nuclei, as `StainOptions` takes it.
    projection : {"max", "mean", "focus"}
        What of the stain is compared with the DAPI of a pair where that is one plane.
    should_stop : callable, optional
        On True the job ends after the pair in work; what is done is reported.

    Yields
    ------
    Event
        At the end `Finished` with the pooled report, in which "failed" lists name and "error" of
        each pair that could not be evaluated; `value` is the list of reports.

    Raises
    ------
    UserError
        If there are no pairs, none can be evaluated, or the model cannot be read.
    """
    yield Started(job="evaluate", unit="pairs")
    found = find_pairs(pairs, reading) if isinstance(pairs, Path) else pairs
    yield from notices(found if isinstance(found, Found) else None)
    inputs = inputs_of(pairs if isinstance(pairs, Path) else None, found)
    for name in (*_WRITTEN, *(pair.name for pair in found)):
        check_apart(out / name, inputs)
    with sole_writer(out, folder=True) as notice:
        yield from [Notice(text=notice, warning=False)] if notice else []
        yield from _evaluate(
            found,
            out,
            model,
            segmenter,
            device,
            seed,
            diameter,
            nucleus_um,
            projection,
            should_stop,
        )


def _evaluate(
    found: list[Pair],
    out: Path,
    model: str | None,
    segmenter: Segmenter,
    device: str,
    seed: int,
    diameter: float | None,
    nucleus_um: float | None,
    projection: Projection,
    should_stop: ShouldStop | None,
) -> Job:
    from ..models import load_model
    from ..models.device import pick_device
    from ..nuclei import pool, write_report

    failed: list[dict[str, str]] = []
    opened: list[tuple[Pair, Volume, Volume]] = []
    for pair in found:  # what does not match is said before the work
        try:
            opened.append((pair, *pair.read(flat=True)[:2]))
        except UserError as error:
            yield _failure(pair, error, failed)
    place = str(pick_device(device))
    bundle = load_model(model, place)
    reports: list[dict[str, Any]] = []
    comparisons: list[Comparison] = []
    stopped = False
    for pair, qpi, dapi in opened:
        try:
            done = yield from evaluate_pair(
                pair.name,
                qpi,
                dapi,
                bundle,
                segmenter=segmenter,
                device=place,
                seed=seed,
                diameter=diameter,
                nucleus_um=nucleus_um,
                projection=projection,
                should_stop=should_stop,
            )
        except Exception as error:  # one bad field does not take the others' figures away
            yield _failure(pair, error, failed)
            continue
        if done is None:
            stopped = True
            break
        target = out / pair.name / "virtual.ome.tif"
        yield from (Notice(text=text) for text in losses(target, done.stain))
        write(target, done.stain, overwrite=True)
        write_report(out / pair.name, done.comparison, qpi=qpi, truth=dapi, stain=done.stain)
        reports.append(done.report)
        comparisons.append(done.comparison)
        yield Notice(text=headline(done.report, len(reports), len(found)), warning=False)
    if stopped and not reports:
        raise UserError("Stopped before the first pair was done: there is nothing to report.")
    pooled = pooled_figures(reports, pool(comparisons)) if reports else {}
    pooled["failed"] = failed
    if 0 < pooled.get("flat", 0) < len(reports):
        yield Notice(
            text=f"{pooled['flat']} of {len(reports)} pairs have a DAPI of one plane: "
            "the pooled figures mix nuclei in 2D and 3D, those of each pair are in pairs.csv."
        )
    _write_table(out / "pairs.csv", [*reports, *failed])
    write_json(out / "report.json", pooled | {"pairs": reports})
    if not reports:
        raise UserError(f"No pair could be evaluated. {failed[0]['name']}: {failed[0]['error']}")
    yield Finished(result=pooled, value=reports)


def _failure(pair: Pair, error: Exception, failed: list[dict[str, str]]) -> Notice:
    """Note why a pair is not in the figures; return the sentence."""
    unexpected = not isinstance(error, UserError)
    text = f"{type(error).__name__}: {error}" if unexpected else str(error)
    failed.append({"name": pair.name, "error": text})
    return Notice(text=f"{pair.name} is not in the figures. {text}")


def _write_table(path: Path, reports: list[dict[str, Any]]) -> None:
    plain = [{k: v for k, v in r.items() if not isinstance(v, dict | list)} for r in reports]
    write_table(path, list(dict.fromkeys(k for row in plain for k in row)), plain)
