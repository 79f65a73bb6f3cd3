"""Whether label-free stacks without any stain teach the phase encoder what few pairs cannot.

    napari-llcm specimen stacks --n 36 --size 32,128,128 --seed 400000 --difficulty medium
    napari-llcm specimen pairs --n 2 --size 32,128,128 --seed 500000 --difficulty medium
    napari-llcm specimen test --n 6 --size 32,128,128 --seed 9300000 --difficulty medium
    python benchmarks/masked_pretraining.py --stacks stacks --train pairs --test test --minutes 3

Half of the blocks of a patch are hidden, and the encoder, behind which a pixel shuffle stands,
tells what was in them (masked autoencoding, He et al. 2022). Then it is trained with the rest on
the few pairs. Rows: the pairs alone for all minutes; a third of the minutes masked; and as many
masked minutes on top. Minutes are the processor's.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from ablations import _job, _judged, _say
from torch import nn
from torch.nn import functional as F

from napari_llcm.events import result_of
from napari_llcm.models import load_bundle, save_bundle
from napari_llcm.models.blocks import DepthToSpace
from napari_llcm.models.device import autocast
from napari_llcm.models.stainer import StainerNetworks
from napari_llcm.nuclei import make_segmenter
from napari_llcm.tasks.normalise import HOT, qpi_scaling
from napari_llcm.training import train_or_go_on
from napari_llcm.volumes import find_pairs
from napari_llcm.volumes.atomic import write_json

PATCH = (32, 64, 64)
BLOCK = (4, 8, 8)  # voxels that are hidden together
HIDDEN = 0.5


def pretrain(networks: StainerNetworks, folder: Path, seconds: float) -> dict[str, float]:
    """Train the phase encoder on masked stacks; return steps, and the share that is told."""
    stacks = [pair.read()[0].numpy() for pair in find_pairs(folder)]
    stacks = [np.clip(qpi_scaling(s).apply(s), -HOT, HOT).astype(np.float32) for s in stacks]
    encoder, config = networks.condition, networks.network
    count = int(np.prod(config.factor))
    head = nn.Sequential(
        nn.Conv3d(config.condition_widths[-1], count, 3, padding=1), DepthToSpace(config.factor)
    )
    parameters = [*encoder.parameters(), *head.parameters()]
    optimiser = torch.optim.RAdam(parameters, 1e-3, betas=(0.9, 0.99))
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    began, steps, told = time.process_time(), 0, 0.0
    while time.process_time() - began < seconds:
        stack = stacks[int(rng.integers(len(stacks)))]
        starts = [int(rng.integers(n - p + 1)) for n, p in zip(stack.shape, PATCH, strict=True)]
        box = tuple(slice(a, a + p) for a, p in zip(starts, PATCH, strict=True))
        x = torch.from_numpy(np.ascontiguousarray(stack[box]))[None, None]
        blocks = [p // b for p, b in zip(PATCH, BLOCK, strict=True)]
        hidden = (torch.rand((1, 1, *blocks), generator=generator) < HIDDEN).float()
        hidden = F.interpolate(hidden, size=PATCH, mode="nearest")
        with autocast(torch.device("cpu")):
            made = head(encoder(x * (1 - hidden))).float()
        error = (hidden * (made - x).square()).sum() / hidden.sum().clamp_min(1)
        optimiser.zero_grad(set_to_none=True)
        error.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        steps += 1
        power = float((hidden * x.square()).sum() / hidden.sum().clamp_min(1))
        told += 0.05 * (1 - float(error.detach()) / max(power, 1e-6) - told)
    return {"masked_steps": steps, "told": told}


def main() -> None:
    """Pretrain, train, judge; write a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stacks", type=Path, required=True, help="folder of pairs: qpi is used")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--autoencoder", default="specimen-v6")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--out", type=Path, default=Path("masked"))
    options = parser.parse_args()
    from importlib import import_module
    from types import SimpleNamespace

    loop = import_module("napari_llcm.training.trainer")
    loop.time = SimpleNamespace(monotonic=time.process_time)
    path = options.out / "masked.json"
    rows = json.loads(path.read_text()) if path.exists() else {}
    minutes = options.minutes
    plan = {"pairs alone": (0.0, minutes), "a third masked": (minutes / 3, minutes * 2 / 3),
            "masked on top": (minutes, minutes)}  # fmt: skip
    for name, (masked, paired) in plan.items():
        if name in rows or (options.only and name not in options.only):
            continue
        folder = options.out / name.replace(" ", "-")
        options.minutes = paired
        job = _job(options, folder, {})
        bundle = load_bundle(Path(str(job.init)))
        new = pretrain(bundle.networks, options.stacks, 60 * masked) if masked else {}
        save_bundle(folder / "masked", bundle.info, bundle.networks)
        job = job.model_copy(update={"init": str(folder / "masked")})
        result_of(train_or_go_on(job), _say)
        model = load_bundle(job.out / "model")
        steps = {"steps": model.info.provenance["consistency_steps"]}
        rows[name] = steps | new | _judged(model, find_pairs(options.test), make_segmenter())
        print(name, json.dumps(rows[name]), flush=True)
        write_json(path, rows)


if __name__ == "__main__":
    main()
