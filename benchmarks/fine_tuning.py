"""How soon a fine-tuned model is good on a new kind of sample, against one trained from scratch.

    python benchmarks/fine_tuning.py --minutes 2 5 --scratch-minutes 5 20 --out fine-tuning

Specimens of another kind (other spacing, smaller nuclei on the grid, other contrast): 1, 2 and 4
volumes to train on, 3 held out. For each number and each time a fine-tune of the shipped model, and
a training from scratch on the most volumes. The same command goes on after an interruption. Writes
OUT/fine_tuning.json and fine_tuning.png.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from napari_llcm.evaluation import evaluate
from napari_llcm.events import result_of
from napari_llcm.models.library import DEFAULT_MODEL
from napari_llcm.nuclei import make_segmenter
from napari_llcm.specimen import write_specimens
from napari_llcm.training import make_job, train_or_go_on
from napari_llcm.volumes import find_pairs

SPACING = (1.1, 0.65, 0.65)  # µm; the shipped model knows 0.8, 0.5, 0.5
SIZE = (40, 160, 160)
_TRAIN_SEED, _TEST_SEED = 500_000, 9_400_000


def main() -> None:
    """Train, judge, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[2, 5])
    parser.add_argument("--scratch-minutes", type=float, nargs="+", default=[5, 20])
    parser.add_argument("--volumes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--modality", default="transmission")
    parser.add_argument("--out", type=Path, default=Path("fine-tuning"))
    options = parser.parse_args()
    test = options.out / "data" / "test"
    _specimens(test, 3, _TEST_SEED, options.modality)
    figures: list[dict[str, Any]] = []
    segmenter = make_segmenter()
    before = _judge(options.out / "as-it-is", test, options.model, segmenter)
    figures.append({"volumes": 0, "minutes": 0.0, "start": options.model, **before})
    plan = [(options.model, n, m) for n in options.volumes for m in options.minutes]
    plan += [("scratch", max(options.volumes), m) for m in options.scratch_minutes]
    for start, count, minutes in plan:
        pairs = options.out / "data" / f"train-{count}"
        _specimens(pairs, count, _TRAIN_SEED, options.modality)
        folder = options.out / f"{start}-{count}-{minutes:g}"
        job = make_job(
            "full",
            pairs=[pairs],
            out=folder / "run",
            init=None if start == "scratch" else start,
            # the latent space is kept: what maps to it is what a new sample changes
            phase="all" if start == "scratch" else "consistency",
            max_minutes=minutes,
            validation_share=0.0,
        )
        result_of(train_or_go_on(job))
        row = _judge(folder, test, str(job.out), segmenter)
        figures.append({"volumes": count, "minutes": minutes, "start": start, **row})
        print(json.dumps(figures[-1]), flush=True)
        (options.out / "fine_tuning.json").write_text(json.dumps(figures, indent=2))
    _draw(options.out / "fine_tuning.png", figures)


def _specimens(folder: Path, count: int, seed: int, modality: Any) -> None:
    if not folder.exists():
        result_of(
            write_specimens(folder, count, SIZE, seed, "medium", spacing=SPACING, modality=modality)
        )


def _judge(out: Path, test: Path, model: str, segmenter: Any) -> dict[str, float]:
    report = out / "evaluation" / "report.json"
    if not report.exists():
        result_of(evaluate(find_pairs(test), out / "evaluation", model=model, segmenter=segmenter))
    found = json.loads(report.read_text())
    return {key: found[key] for key in ("recall", "precision", "f1", "detection_recall")}


def _draw(path: Path, figures: list[dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axis = figure.subplots()
    before, rest = figures[0], figures[1:]
    for start, count in dict.fromkeys((f["start"], f["volumes"]) for f in rest):
        rows = [f for f in rest if (f["start"], f["volumes"]) == (start, count)]
        rows = rows if start == "scratch" else [before, *rows]
        name = f"{start}, {count} volume{'s' * (count > 1)}"
        style = "s--" if start == "scratch" else "o-"
        axis.plot([f["minutes"] for f in rows], [f["f1"] for f in rows], style, label=name)
    axis.set(xlabel="minutes of training", ylabel="F1 on held-out volumes", ylim=(0, 1))
    axis.legend(frameon=False, title="start from")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
