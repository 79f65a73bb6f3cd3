"""What each objective makes of a model that is already good: all go on from the same weights.

    napari-llcm specimen train --n 40 --seed 300000 --difficulty medium
    napari-llcm specimen test --n 8 --seed 9200000 --difficulty medium
    python benchmarks/at_length.py --train train --test test --minutes 30 --out at-length

Training from nothing, a rival needs hours to be worth comparing; the networks of these methods are
the same, so each can start from those of the shipped model and train the same minutes by its own
objective. The LLCM is the shipped model itself where it is not among the methods. The same command
goes on after an interruption. Writes OUT/at_length.json and prints it as a table for
docs/benchmark.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from napari_llcm.evaluation.judging import Remembering, judge_all, load_judged
from napari_llcm.evaluation.statistics import pooled
from napari_llcm.events import Notice, result_of
from napari_llcm.models import find_model, load_bundle, save_bundle
from napari_llcm.models.library import DEFAULT_MODEL
from napari_llcm.models.methods import METHODS
from napari_llcm.nuclei import make_segmenter
from napari_llcm.training import make_job, train_or_go_on
from napari_llcm.volumes import find_pairs

_FIGURES = ("recall", "precision", "f1", "detection_recall")
_IMAGE = ("psnr", "spectral_distance", "seconds")


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, nargs="+", required=True)
    parser.add_argument("--test", type=Path, nargs="+", required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--methods", nargs="+", default=["llcm", "regression", "diffusion"])
    parser.add_argument("--out", type=Path, default=Path("at-length"))
    options = parser.parse_args()
    models = {"llcm": load_bundle(find_model(options.model))}
    for method in options.methods:
        start = options.out / "starts" / method
        if not start.exists():
            bundle = load_bundle(find_model(options.model))
            # the networks are the same; what they are trained to do is not
            save_bundle(start, bundle.info.model_copy(update={"method": method}), bundle.networks)
        job = make_job(
            "full",
            pairs=options.train,
            out=options.out / "runs" / method,
            method=method,
            phase=METHODS[method].phase.name,
            init=str(start),
            max_minutes=options.minutes,
            method_phase={"steps": 10_000_000, "learning_rate": 6e-4},
            diffusion={"prediction": "x0"},  # as these weights nearly do
            validations=1,  # by 20 steps of DDIM one takes longer than many steps of training
            tensorboard=False,
        )
        result_of(train_or_go_on(job), _say)
        models[method] = load_bundle(job.out / "model")
    test = {folder.name: find_pairs(folder) for folder in options.test}
    segmenter = Remembering(make_segmenter())
    for event in judge_all(options.out, models, test, segmenter, "auto", None):
        _say(event)
    rows = []
    for group, pairs in test.items():
        for variant in (v for method in models for v in METHODS[method].variants):
            judged = load_judged(options.out, variant, group, pairs)
            row: dict[str, Any] = {"group": group, "variant": variant}
            row |= {key: pooled([j.counts for j in judged], key) for key in _FIGURES}
            row |= {key: sum(j.figures[key] for j in judged) / len(judged) for key in _IMAGE}
            rows.append(row)
    (options.out / "at_length.json").write_text(json.dumps(rows, indent=2))
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(v if isinstance(v, str) else f"{v:.3f}" for v in row.values()))
    Console().print(table)


def _say(event: Any) -> None:
    if isinstance(event, Notice):
        print(event.text, flush=True)


if __name__ == "__main__":
    main()
