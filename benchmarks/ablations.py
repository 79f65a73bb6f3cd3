"""What each choice of the model is worth: one thing changed, everything else alike.

    napari-llcm specimen train --n 36 --size 32,128,128 --seed 400000 --difficulty medium
    napari-llcm specimen test --n 6 --size 32,128,128 --seed 9300000 --difficulty medium
    python benchmarks/ablations.py --train train --test test --minutes 4 --autoencoder specimen-v6

Every variant has the same minutes: of the processor, with --shared, so that other programs on the
machine take nothing from them. All start from the autoencoder of a model, or have a share of the
minutes for one of their own. The same command goes on after an interruption. Steps are small (one
patch), so that a short time holds many. Stains are judged against the true labels.
Writes OUT/ablations.json and prints it as a table for docs/model.md.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib import import_module
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from napari_llcm.evaluation.image_metrics import image_metrics
from napari_llcm.evaluation.judging import round_trip
from napari_llcm.evaluation.sharpness import spectral_distance
from napari_llcm.evaluation.statistics import pooled
from napari_llcm.evaluation.ways import VAE_SHARE
from napari_llcm.events import Notice, result_of
from napari_llcm.models import (
    PRESETS,
    ConsistencyConfig,
    ModelBundle,
    NetworkConfig,
    load_bundle,
    save_bundle,
)
from napari_llcm.models.library import find_model
from napari_llcm.models.stainer import StainerNetworks
from napari_llcm.nuclei import Segmenter, compare_nuclei, make_segmenter
from napari_llcm.nuclei.counts import Counts
from napari_llcm.nuclei.features import width_of
from napari_llcm.staining import Stainer
from napari_llcm.training import TrainJob, make_job, train_or_go_on
from napari_llcm.volumes import Pair, Volume, find_pairs, labels_of

# Small ones of each kind that has sizes of its own: how much smaller the latent is, as published.
# They learn from nothing in the minutes that all have, so --autoencoder does not go with them.
KINDS: dict[str, dict[str, Any]] = {
    "mri": {"channels": (16, 32, 32, 32), "norm_groups": 8},
    "maisi": {"channels": (16, 32, 32), "norm_groups": 8},
    "medvae": {"channels": (16, 32, 32), "norm_groups": 8, "strides": ((1, 2, 2), (2, 2, 2)),
               "attention_levels": (False, False, False)},
    "planes": {"channels": (16, 32, 32), "norm_groups": 8, "res_blocks": 1},
    "cogvideox": {"channels": (16, 16, 32, 32), "norm_groups": 8, "res_blocks": 1},
}  # fmt: skip
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
    "attention to spatial tokens (MONAI's U-Net)": {
        "network": NetworkConfig(unet="monai", condition="attention")
    },
    "MONAI's U-Net, concatenated": {"network": NetworkConfig(unet="monai")},
    "adjacent MSE, no direct term": {
        "consistency": {"objective": "adjacent", "direct_weight": 0.0}
    },
    "ECT, direct term 0": {"consistency": {"direct_weight": 0.0}},
    "ECT, direct term 0.1": {"consistency": {"direct_weight": 0.1}},
    "ECT from the first step on": {"consistency": {"consistency_start": 0.0}},
    # the direct term gives the mean, and what the consistency term adds to it is learned at small
    # noise alone (PMRF, Ohayon et al. 2025; CorrDiff, Mardani et al. 2024)
    "mean, and ECT at small noise alone": {
        "consistency": {"log_sigma_mean": -2.5, "log_sigma_std": 1.0}
    },
    "decoder with a skip from the phase": {"network": NetworkConfig(decoder_skip=True)},
    "linear intensity": {"root": False},
    "no head that tells nuclei": {"instance_weight": 0.0},
    "a head that tells nuclei, weight 0.5": {"instance_weight": 0.5},
    "a head that tells nuclei, weight 2": {"instance_weight": 2.0},
    "wider at the finest level (128, 96, 128)": {
        "network": NetworkConfig(unet_widths=(128, 96, 128))
    },
    "two blocks for each level": {"network": NetworkConfig(unet_blocks=2)},
    **{
        f"autoencoder of the kind {kind}": {
            "network": NetworkConfig(autoencoder={"kind": kind, **sizes})  # type: ignore[arg-type]
        }
        for kind, sizes in KINDS.items()
    },
}
_COUNTS = ("recall", "precision", "f1", "detection_recall")


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--autoencoder", help="A model whose autoencoder all start from.")
    parser.add_argument("--shared", action="store_true", help="Count the processor's minutes.")
    parser.add_argument("--only", nargs="*", help="Names of variants.")
    parser.add_argument("--out", type=Path, default=Path("ablations"))
    options = parser.parse_args()
    if options.shared:
        loop = import_module("napari_llcm.training.trainer")
        loop.time = SimpleNamespace(monotonic=time.process_time)
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / "ablations.json"
    rows: dict[str, dict[str, float]] = json.loads(table.read_text()) if table.exists() else {}
    pairs, segmenter = find_pairs(options.test), make_segmenter()
    for name, changes in VARIANTS.items():
        if name in rows or (options.only and name not in options.only):
            continue
        job = _job(options, options.out / name.replace(" ", "-"), changes)
        result_of(train_or_go_on(job), _say)
        model = load_bundle(job.out / "model")
        rows[name] = {
            "steps": model.info.provenance["consistency_steps"],
            **_judged(model, pairs, segmenter),
        }
        print(name, json.dumps(rows[name]), flush=True)
        table.write_text(json.dumps(rows, indent=2))
    shown = Table("variant", *next(iter(rows.values())))
    for name, row in rows.items():
        shown.add_row(name, *(f"{v:.3f}" for v in row.values()))
    Console().print(shown)


def _job(options: argparse.Namespace, folder: Path, changes: dict[str, Any]) -> TrainJob:
    """Return the job of the second phase, after its autoencoder is there."""
    steps = {"steps": 10_000_000}  # the minutes end them
    fields = {
        "pairs": [options.train],
        "max_minutes": options.minutes,
        "vae_phase": steps,
        "method_phase": steps,
        "crops": 1,
        "validations": 0,
        "tensorboard": False,
        **changes,
    }
    network = changes.get("network", NetworkConfig())
    if options.autoencoder is None:
        vae, job = (
            make_job("full", **fields | {"out": folder / phase, "phase": phase, "max_minutes": m})
            for phase, m in (
                ("vae", VAE_SHARE * options.minutes),
                ("consistency", (1 - VAE_SHARE) * options.minutes),
            )
        )
        result_of(train_or_go_on(vae), _say)
        return job.model_copy(update={"init": str(vae.out)})
    start = folder / "start"
    if not start.exists():
        known = load_bundle(find_model(options.autoencoder))
        networks = StainerNetworks(network, ConsistencyConfig())
        networks.autoencoder.load_state_dict(known.networks.autoencoder.state_dict())
        start.parent.mkdir(parents=True, exist_ok=True)
        save_bundle(start, known.info.model_copy(update={"network": network}), networks)
    return make_job(
        "full", **fields, out=folder / "consistency", phase="consistency", init=str(start)
    )


def _judged(model: ModelBundle, pairs: list[Pair], segmenter: Segmenter) -> dict[str, float]:
    """Return the nuclei of one-step stains against the true labels, and metrics of the images."""
    counts, images, autoencoded = [], [], []
    for pair in pairs:
        qpi, dapi, labels = pair.read()
        assert labels is not None
        truth = labels_of(labels)
        stained = Stainer(model, "cpu").stain(qpi)
        counts.append(_nuclei(truth, stained, segmenter))
        distance = spectral_distance(*(v.numpy().astype(np.float32) for v in (dapi, stained)))
        images.append({**image_metrics(dapi, stained), "spectral_distance": distance})
        autoencoded.append(image_metrics(dapi, round_trip(model, dapi))["psnr"])
    return {
        **{key: pooled(counts, key) for key in _COUNTS},
        **{key: fmean(i[key] for i in images) for key in ("psnr", "spectral_distance")},
        "round_trip_psnr": fmean(autoencoded),
    }


def _nuclei(truth: Volume, stained: Volume, segmenter: Segmenter) -> Counts:
    compared = compare_nuclei(
        truth,
        stained,
        segmenter=segmenter,
        diameter=width_of(truth.numpy(), truth.spacing),
        truth_is_labels=True,
        stain_is_labels=False,
    )
    return result_of(compared).counts


def _say(event: Any) -> None:
    if isinstance(event, Notice):
        print(event.text, flush=True)


if __name__ == "__main__":
    main()
