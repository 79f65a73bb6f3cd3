"""How good a stain is on stacks that the model has never seen, by several judges.

    python benchmarks/independent_specimens.py held-out --n 4
    python benchmarks/held_out.py held-out/* --model specimen-v6 universal-v1 --out held_out.json

Each FOLDER is a kind: pairs as every command reads them, with labels if there are any. Each stack
is stained with the width of its nuclei given, as a user would measure it in the plane. Segmenters
judge detection and shape apart, against the DAPI as each segments it and against the labels; rows
of the real DAPI are what a judge grants it, the most that any stain could reach, and rows against
"elsewhere" what the same nuclei reach by chance: the truth is moved by half a field. The area under
ROC needs no segmenter. The same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from napari_llcm.evaluation import judge_stain, nuclear_auc, pool_judgements
from napari_llcm.evaluation.judges import Judgement
from napari_llcm.evaluation.judging import Remembering
from napari_llcm.evaluation.statistics import interval
from napari_llcm.events import Notice, UserError, result_of
from napari_llcm.models import ModelBundle, load_model
from napari_llcm.models.device import pick_device
from napari_llcm.models.nucleus_width import in_plane
from napari_llcm.nuclei import make_segmenter, segment
from napari_llcm.nuclei.counts import Counts
from napari_llcm.specimen.truth import nucleus_width
from napari_llcm.staining import StainOptions, stain
from napari_llcm.volumes import Pair, Volume, find_pairs, labels_of
from napari_llcm.volumes.atomic import write_json

_SHOWN = ("detection_f1", "f1_30", "f1_50", "recall", "precision")


def width_in_plane(labels: np.ndarray, spacing: tuple[float, float, float] | None) -> float:
    """Return how wide nuclei are as seen from above, in µm; in pixels without a `spacing`."""
    return nucleus_width(labels) * (1.0 if spacing is None else in_plane(spacing))


def main() -> None:
    """Stain and judge what is not judged yet; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", nargs="+", required=True)
    parser.add_argument("--segmenters", nargs="+", default=["cellpose", "classical"])
    parser.add_argument("--weights", help="Cellpose weights other than those that ship")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--as-declared", action="store_true", help="match voxel sizes alone, give no nucleus width"
    )
    parser.add_argument("--out", type=Path, default=Path("held_out.json"))
    options = parser.parse_args()
    judges = [
        Remembering(
            make_segmenter(name, options.weights if name == "cellpose" else None, options.device)
        )
        for name in options.segmenters
    ]
    kept = json.loads(options.out.read_text())["fields"] if options.out.exists() else []
    done = {(f["model"], f["as_declared"], f["kind"], f["field"]) for f in kept}
    device = str(pick_device(options.device))
    models = {name: load_model(name, device) for name in options.model}
    folders = [f for f in options.folders if f.is_dir()]
    pairs = [(n, f.name, pair) for f in folders for n, pair in enumerate(find_pairs(f))]
    for _, kind, pair in sorted(pairs, key=lambda one: one[0]):  # some of every kind, soon
        for name, model in models.items():
            if (name, options.as_declared, kind, pair.name) in done:
                continue
            about = {"model": name, "as_declared": options.as_declared, "kind": kind}
            kept.append(about | {"field": pair.name} | _judge(pair, model, judges, options))
            write_json(options.out, {"fields": kept, "rows": table_of(kept)})
            last = kept[-1]
            told = [f"{j['judge']} {j['f1_50']:.2f}" for j in last["said"] if j["image"] == "stain"]
            print(name, pair.name, f"AUC {last['auc']:.2f}", *told, flush=True)
    _show(table_of(kept))


def _judge(
    pair: Pair, model: ModelBundle, judges: list[Remembering], options: argparse.Namespace
) -> dict[str, Any]:
    """Return what the judges say of the stain of one pair."""
    qpi, dapi, labels = pair.read()
    nuclei = (segment(dapi, judges[0]) if labels is None else labels_of(labels)).numpy()
    width = width_in_plane(nuclei, dapi.spacing)
    given = None if options.as_declared else width
    try:
        stained: Volume = result_of(
            stain(qpi, model, StainOptions(device=options.device, nucleus_um=given)), _warn
        )
    except UserError as error:
        raise SystemExit(f"{pair.name}: {error}") from error
    said = result_of(judge_stain(dapi, stained, labels, segmenters=judges, diameter=width))
    return {
        "width_um": width,
        "input_check": stained.metadata.get("input_check"),
        "auc": nuclear_auc(stained.numpy(), nuclei > 0),
        "said": [asdict(j) | {"f1_50": j.counts.f1_50} for j in said],
    }


def _warn(event: Any) -> None:
    if isinstance(event, Notice) and event.warning:
        print(f"  {event.text}", flush=True)


def table_of(fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each model, kind and judge, pooled over fields.

    Parameters
    ----------
    fields : list of dict
        One for each model and field, as they stand in the JSON.
    """
    rows: list[dict[str, Any]] = []
    groups = dict.fromkeys((f["kind"], f["model"], f["as_declared"]) for f in fields)
    for kind, model, declared in groups:
        own = [
            f
            for f in fields
            if (f["kind"], f["model"], f["as_declared"]) == (kind, model, declared)
        ]
        aucs = [f["auc"] for f in own]
        shared = {"kind": kind, "model": model, "as_declared": declared}
        shared |= {"width_um": float(np.median([f["width_um"] for f in own]))}
        shared |= {"auc": float(np.mean(aucs))}
        shared["auc_interval"] = interval(
            lambda drawn, aucs=aucs: float(np.mean([aucs[i] for i in drawn])), len(aucs)
        )
        rows += [shared | row for row in pool_judgements([_said(f) for f in own])]
    return rows


def _said(field: dict[str, Any]) -> list[Judgement]:
    judgements = []
    for said in field["said"]:
        counts = dict(said["counts"])
        counts["true_positives"] = tuple(counts["true_positives"])
        judgements.append(
            Judgement(said["judge"], said["image"], said["against"], Counts(**counts))
        )
    return judgements


def _show(rows: list[dict[str, Any]]) -> None:
    table = Table(
        "kind", "image", "judge", "against", "AUC", *_SHOWN, "missed", "made up", "nuclei"
    )
    for row in rows:
        of_stain = row["image"] == "stain"
        name = row["model"] + (" as declared" if row["as_declared"] else "")
        shares = []
        for key in _SHOWN:
            low_high = row[f"{key}_interval"]
            spread = f" ({low_high[0]:.2f}–{low_high[1]:.2f})" if low_high else ""
            shares.append(f"{row[key]:.3f}{spread}")
        table.add_row(
            row["kind"],
            name if of_stain else "(the real DAPI)",
            row["judge"].split()[0],
            row["against"],
            f"{row['auc']:.2f}" if of_stain else "",
            *shares,
            *(str(row[key]) for key in ("missed", "hallucinated", "truth")),
        )
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
