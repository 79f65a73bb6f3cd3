"""What each choice of the model is worth: one thing changed, everything else alike.

    napari-llcm specimen train --n 40 --size 32,128,128 --seed 400000 --difficulty easy
    napari-llcm specimen test --n 6 --size 32,128,128 --seed 9300000 --difficulty easy
    python benchmarks/ablations.py --train train --test test --minutes 20 --out ablations

Every variant has the same time for both phases; those whose autoencoder is the same share it. The
same command goes on after an interruption. Steps are small (one patch), so that a short time holds
many.
Writes OUT/ablations.json and prints it as a table for docs/model.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from napari_llcm.evaluation.judging import Remembering, judge_all, load_judged
from napari_llcm.evaluation.quality import VAE_SHARE
from napari_llcm.evaluation.statistics import pooled
from napari_llcm.events import Notice, result_of
from napari_llcm.models import PRESETS, NetworkConfig, load_bundle
from napari_llcm.nuclei import make_segmenter
from napari_llcm.training import TrainJob, make_job, train_or_go_on
from napari_llcm.volumes import Pair, find_pairs

VARIANTS: dict[str, dict[str, Any]] = {
    "as shipped (8x)": {},
    "16x smaller latent": {"network": NetworkConfig(latent_channels=2)},
    "64x smaller latent": {
        "network": NetworkConfig(
            factor=(4, 8, 8),
            encoder_widths=(32, 48, 64),
            decoder_widths=(32, 64, 80),
            condition_widths=(32, 48, 64),
        )
    },
    "512x smaller latent (plan)": {"network": PRESETS["plan"]},
    "one flat context vector": {"network": NetworkConfig(condition="vector")},
    "adjacent MSE, no direct term": {
        "consistency": {"objective": "adjacent", "direct_weight": 0.0}
    },
    "ECT, direct term 0": {"consistency": {"direct_weight": 0.0}},
    "ECT, direct term 0.1": {"consistency": {"direct_weight": 0.1}},
    "ECT from the first step on": {"consistency": {"consistency_start": 0.0}},
    "decoder with a skip from the phase": {"network": NetworkConfig(decoder_skip=True)},
    "linear intensity": {"root": False},
}
_FIGURES = ("recall", "precision", "f1", "detection_recall")
_IMAGE = ("psnr", "spectral_distance")


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--only", nargs="*", help="Names of variants.")
    parser.add_argument("--out", type=Path, default=Path("ablations"))
    options = parser.parse_args()
    pairs, segmenter = find_pairs(options.test), Remembering(make_segmenter())
    rows: dict[str, dict[str, float]] = {}
    for name, changes in VARIANTS.items():
        if options.only and name not in options.only:
            continue
        folder = options.out / name.replace(" ", "-")
        # the objective alone is changed: the autoencoder is that of the model as shipped
        own = {"network", "root"} & set(changes)
        vae_folder = folder if own else options.out
        vae = _job(options, vae_folder / "vae", "vae", VAE_SHARE, changes if own else {})
        job = _job(options, folder / "run", "consistency", 1 - VAE_SHARE, changes)
        job.init = str(vae.out)
        for part in (vae, job):
            result_of(train_or_go_on(part), _say)
        model = load_bundle(job.out / "model")
        judging = judge_all(
            folder, {"vae": model, "llcm": model}, {"test": pairs}, segmenter, "auto", None
        )
        for event in judging:
            _say(event)
        rows[name] = _figures(folder, pairs)
        print(name, json.dumps(rows[name]), flush=True)
        (options.out / "ablations.json").write_text(json.dumps(rows, indent=2))
    table = Table("variant", "round trip F1", *_FIGURES, "F1 2 steps", "F1 4 steps", *_IMAGE)
    for name, row in rows.items():
        table.add_row(name, *(f"{v:.3f}" for v in row.values()))
    Console().print(table)


def _job(
    options: argparse.Namespace, out: Path, phase: str, share: float, changes: dict[str, Any]
) -> TrainJob:
    steps = {"steps": 10_000_000}  # the minutes end them
    return make_job(
        "full",
        pairs=[options.train],
        out=out,
        phase=phase,
        max_minutes=options.minutes * share,
        vae_phase=steps,
        method_phase=steps,
        crops=1,
        validations=1,
        tensorboard=False,
        **changes,
    )


def _figures(folder: Path, pairs: list[Pair]) -> dict[str, float]:
    def of(variant: str, key: str) -> float:
        return pooled([j.counts for j in load_judged(folder, variant, "test", pairs)], key)

    judged = [j.figures for j in load_judged(folder, "llcm", "test", pairs)]
    return {
        "round_trip_f1": of("VAE round trip", "f1"),
        **{key: of("llcm", key) for key in _FIGURES},
        "f1_2_steps": of("llcm 2 steps", "f1"),
        "f1_4_steps": of("llcm 4 steps", "f1"),
        **{key: sum(figures[key] for figures in judged) / len(judged) for key in _IMAGE},
    }


def _say(event: Any) -> None:
    if isinstance(event, Notice):
        print(event.text, flush=True)


if __name__ == "__main__":
    main()
