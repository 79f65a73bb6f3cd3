"""The benchmark's report: figures with intervals as JSON and CSV, and a page to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..models.methods import LLCM
from ..nuclei.table import strata
from ..volumes import Pair
from ..volumes.atomic import write_json, write_table, write_text
from .judging import CEILING, ROUND_TRIP, Judged, load_judged
from .quality_figures import draw_precision_recall, draw_side_by_side, draw_strata
from .statistics import interval, pooled, precision_recall
from .ways import trained_before, variants

if TYPE_CHECKING:
    from ..models import ModelBundle

OURS = LLCM.name
MEANING = {
    "recall": "share of the real nuclei that the stain shows, in the right shape (IoU ≥ 0.5)",
    "precision": "share of the stain's nuclei that are real",
    "f1": "recall and precision in one figure (their harmonic mean)",
    "f1_30": "F1 that forgives a shape that is not quite right (IoU ≥ 0.3)",
    "detection_f1": "F1 of what is there at all, whatever its shape",
    "detection_recall": "share of the real nuclei that the stain shows in whatever shape",
    "ap": "as F1, but ever stricter on the shape: mean over IoU 0.5 to 0.95 (average precision)",
    "missed": "real nuclei of which the stain shows nothing",
    "hallucinated": "nuclei in the stain where there is none",
    "pr_area": "area under precision against recall as the least trusted nuclei are left out",
    "psnr": "pixel error in dB; higher is better, blur is rewarded",
    "ssim": "local similarity of the images, at most 1",
    "pearson": "correlation of the pixels, at most 1",
    "lpips": "perceptual distance by a network trained on photographs; empty where it is not there",
    "spectral_distance": "wrong share of fine detail: 0 is as sharp as the real image, "
    "0.3 is wrong by a factor of 2",
    "spectral_correlation": "how much of the detail is that of the real image, at most 1 "
    "(Fourier ring correlation); no loss asks for it",
    "seconds_per_megavoxel": "time to stain a million voxels on this machine",
    "parameters": "size of the networks that stain",
    "train_voxels": "voxels seen in training",
    "train_seconds": "time trained, the autoencoder's included",
}
_IMAGE = ("psnr", "ssim", "pearson", "lpips", "spectral_distance", "spectral_correlation")
_WITH_INTERVAL = ("recall", "precision", "f1")


def write_quality_report(
    out: Path, models: Mapping[str, ModelBundle], test: Mapping[str, list[Pair]], minutes: float
) -> dict[str, Any]:
    """Write report.json, report.csv, report.html and its figures; return the report.

    Parameters
    ----------
    out : Path
        The benchmark's folder, with everything judged.
    models : mapping of str to ModelBundle
        By method.
    test : mapping of str to list of Pair
        Held-out pairs by group.
    minutes : float
        Training time of each method.
    """
    report: dict[str, Any] = {"minutes": minutes, "meaning": MEANING, "groups": {}}
    figures: dict[str, list[str]] = {}
    for group, pairs in test.items():
        judged = _judged(out, group, pairs, models)
        rows = {name: _row(name, found, models) for name, found in judged.items()}
        report["groups"][group] = {
            "fields": len(pairs),
            "variants": rows,
            "differences": _differences(judged),
        }
        figures[group] = [
            draw_strata(out / f"{group}-strata.png", {n: r["strata"] for n, r in rows.items()}),
            draw_side_by_side(out / f"{group}-images.png", out, group, pairs, judged),
        ]
        curves = {n: _curve(found) for n, found in judged.items() if _has_confidence(found)}
        if curves:
            figures[group].append(draw_precision_recall(out / f"{group}-curves.png", curves))
    write_json(out / "report.json", report)
    _write_csv(out / "report.csv", report)
    _write_page(out / "report.html", report, figures)
    return report


def _judged(
    out: Path, group: str, pairs: list[Pair], models: Mapping[str, ModelBundle]
) -> dict[str, list[Judged]]:
    names = [CEILING, ROUND_TRIP, *variants(models)]
    found = {name: load_judged(out, name, group, pairs) for name in names}
    return {name: fields for name, fields in found.items() if fields}


def _row(name: str, fields: list[Judged], models: Mapping[str, ModelBundle]) -> dict[str, Any]:
    """Return the figures of one variant on one group."""
    counts = [f.counts for f in fields]
    row: dict[str, Any] = {}
    for key in ("recall", "precision", "f1", "f1_30", "detection_f1", "detection_recall", "ap"):
        row[key] = pooled(counts, key)
    for key in _WITH_INTERVAL:
        row[f"{key}_interval"] = interval(_of(counts, key), len(counts))
    verdicts = ("found", "misshapen", "merged", "split", "missed", "hallucinated")
    for key in ("truth", "stain", *verdicts):
        row[key] = sum(getattr(c, key) for c in counts)
    for key in _IMAGE:
        values = [f.figures[key] for f in fields if f.figures.get(key) is not None]
        row[key] = float(np.mean(values)) if values else None
    if _has_confidence(fields):
        row["pr_area"] = _curve(fields)[2]
    seconds = [f.figures["seconds"] for f in fields]
    if all(s is not None for s in seconds):
        row["seconds_per_megavoxel"] = sum(seconds) / sum(f.figures["megavoxels"] for f in fields)
    row["strata"] = strata([r for f in fields for r in f.rows])
    if name in (known := variants(models)):
        made = known[name][0]
        before = [models[other] for other in trained_before(made) if other in models]
        row |= _training(models[made], before)
    return row


def _training(model: ModelBundle, before: list[ModelBundle]) -> dict[str, Any]:
    """Return the size of a model and what it was trained with."""
    made, job = model.info.provenance, model.info.provenance.get("job", {})
    voxels = int(np.prod(job.get("patch", (0,)))) * job.get("crops", 0)
    runs = [made, *(other.info.provenance for other in before)]
    unused = ("autoencoder.encoder.", "latent_")
    steps = [v for run in runs for k, v in run.items() if k.endswith("_steps") and "skip" not in k]
    weights = model.networks.state_dict().items()
    return {
        "parameters": sum(v.numel() for k, v in weights if not k.startswith(unused)),
        "train_steps": steps[0] if steps else None,
        "train_voxels": sum(steps) * voxels,
        "train_seconds": sum(v for run in runs for k, v in run.items() if k.endswith("_seconds")),
    }


def _differences(judged: Mapping[str, list[Judged]]) -> dict[str, dict[str, Any]]:
    """Return ours minus each other variant, with intervals over the same fields drawn for both."""
    if OURS not in judged:
        return {}
    ours = {f.name: f.counts for f in judged[OURS]}
    result: dict[str, dict[str, Any]] = {}
    for name, fields in judged.items():
        if name in (OURS, CEILING, ROUND_TRIP):
            continue
        both = [(ours[f.name], f.counts) for f in fields if f.name in ours]
        a, b = [x for x, _ in both], [y for _, y in both]
        result[name] = {}
        for key in _WITH_INTERVAL:
            mine, theirs = _of(a, key), _of(b, key)
            result[name][key] = pooled(a, key) - pooled(b, key)
            result[name][f"{key}_interval"] = interval(
                lambda drawn, mine=mine, theirs=theirs: mine(drawn) - theirs(drawn),  # type: ignore[misc]
                len(both),
            )
    return result


def _of(counts: Sequence[Any], key: str) -> Callable[[list[int]], float]:
    return lambda drawn: pooled([counts[i] for i in drawn], key)


def _has_confidence(fields: Sequence[Judged]) -> bool:
    rows = [r for f in fields for r in f.rows if _is_virtual(r)]
    return bool(rows) and all(r.get("confidence") is not None for r in rows)


def _is_virtual(row: Mapping[str, Any]) -> bool:
    """Return whether a row stands for a virtual nucleus."""
    return bool(row["image"] == "stain" or row["verdict"] in ("found", "misshapen"))


def _curve(fields: Sequence[Judged]) -> tuple[np.ndarray, np.ndarray, float]:
    rows = [r for f in fields for r in f.rows if _is_virtual(r)]
    truth = sum(f.counts.truth for f in fields)
    return precision_recall(
        [r["confidence"] for r in rows], [r["verdict"] == "found" for r in rows], truth
    )


def _write_csv(path: Path, report: dict[str, Any]) -> None:
    rows = []
    for group, content in report["groups"].items():
        for name, row in content["variants"].items():
            flat = {k: v for k, v in row.items() if not isinstance(v, dict)}
            for key in [k for k in flat if k.endswith("_interval")]:
                low, high = flat.pop(key) or (None, None)
                flat |= {key.replace("interval", "low"): low, key.replace("interval", "high"): high}
            rows.append({"group": group, "method": name, **flat})
    columns = list(dict.fromkeys(k for row in rows for k in row))
    write_table(path, columns, rows)


def _write_page(path: Path, report: dict[str, Any], figures: Mapping[str, list[str]]) -> None:
    from jinja2 import Environment, PackageLoader

    # names of folders and methods are in it; jinja's own choice does not know the suffix .jinja
    pages = Environment(loader=PackageLoader("napari_llcm.evaluation", "."), autoescape=True)
    columns = [k for k in MEANING if any(_known(report, k))]
    page = pages.get_template("quality.html.jinja").render(
        report=report, figures=figures, columns=columns, ours=OURS
    )
    write_text(path, page)


def _known(report: dict[str, Any], key: str) -> list[bool]:
    return [
        row.get(key) is not None
        for content in report["groups"].values()
        for row in content["variants"].values()
    ]
