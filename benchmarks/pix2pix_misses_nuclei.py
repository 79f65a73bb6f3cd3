"""Does a Pix2Pix trained for the same time miss nuclei that the specimens hold?

Trains a 3D Pix2Pix (U-Net behind the same space-to-depth stem, PatchGAN, L1 x 100) on pairs and
compares, on held-out pairs, its nuclei with those of a model of ours, by the same segmenter.

    napari-llcm specimen hard-train --n 40 --seed 100000 --difficulty hard
    napari-llcm specimen hard-test --n 4 --seed 9000000 --difficulty hard
    python benchmarks/pix2pix_misses_nuclei.py --train hard-train --test hard-test --model RUN
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from monai.losses import PatchAdversarialLoss
from monai.networks.nets import PatchDiscriminator, UNet
from torch import nn

from napari_llcm.evaluation import evaluate
from napari_llcm.events import Notice, result_of
from napari_llcm.models.blocks import DepthToSpace, SpaceToDepth
from napari_llcm.models.device import autocast, pick_device
from napari_llcm.models.normalise import qpi_scaling, unstabilise
from napari_llcm.nuclei import compare_nuclei, make_segmenter, pool
from napari_llcm.training import make_job
from napari_llcm.training.data import Batches, load_pairs, median_scalings
from napari_llcm.volumes import find_pairs


def generator() -> nn.Module:
    """Return the U-Net of the cGAN: 8 channels behind the stem, three levels, skips."""
    unet = UNet(
        spatial_dims=3,
        in_channels=8,
        out_channels=8,
        channels=(48, 96, 160),
        strides=(2, 2),
        num_res_units=1,
        norm="instance",
    )
    return nn.Sequential(SpaceToDepth((2, 2, 2)), unet, DepthToSpace((2, 2, 2)))


def train(batches: Batches, minutes: float, device: torch.device) -> tuple[nn.Module, int]:
    """Train for `minutes`; return the generator and its steps. lr_D = lr_G / 10, or D wins."""
    g = generator().to(device)
    d = PatchDiscriminator(spatial_dims=3, channels=32, in_channels=2, num_layers_d=2).to(device)
    adversarial = PatchAdversarialLoss(criterion="least_squares")
    optimise_g = torch.optim.Adam(g.parameters(), 2e-4, betas=(0.5, 0.999))
    optimise_d = torch.optim.Adam(d.parameters(), 2e-5, betas=(0.5, 0.999))
    # on a CPU that others use too, the seconds that count are those spent working
    clock = time.process_time if device.type == "cpu" else time.monotonic
    end, step = clock() + 60 * minutes, 0
    while clock() < end:
        batch = {k: v.to(device) for k, v in batches.at(step).items()}
        with autocast(device):
            fake = g(batch["qpi"]).float()
            real_pair = torch.cat([batch["qpi"], batch["dapi"]], 1)
            verdict = [d(torch.cat([batch["qpi"], fake.detach()], 1))[-1], d(real_pair)[-1]]
            loss_d = adversarial(verdict[0].float(), False, for_discriminator=True)
            loss_d = (loss_d + adversarial(verdict[1].float(), True, for_discriminator=True)) / 2
        optimise_d.zero_grad()
        loss_d.backward()
        optimise_d.step()
        with autocast(device):
            fooled = d(torch.cat([batch["qpi"], fake], 1))[-1].float()
            l1 = (fake - batch["dapi"]).abs().mean()
            loss_g = 100 * l1 + adversarial(fooled, True, for_discriminator=False)
        optimise_g.zero_grad()
        loss_g.backward()
        optimise_g.step()
        step += 1
        if step % 50 == 0:
            print(f"step {step}: L1 {float(l1):.4f}, D {float(loss_d):.3f}", flush=True)
    return g, step  # kept in train mode: instance norm has no other


def main() -> None:
    """Train, stain, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, nargs="+", required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--model", help="a model of ours, trained on the same pairs and time")
    parser.add_argument("--out", type=Path, default=Path("pix2pix-benchmark"))
    options = parser.parse_args()
    device, segmenter = pick_device(), make_segmenter()
    job = make_job(pairs=options.train, out=options.out)
    pairs = [pair for folder in options.train for pair in find_pairs(folder)]
    data = load_pairs(pairs, job, None, 0, options.out / "cache")
    _, dapi_scale = median_scalings(data)
    options.out.mkdir(parents=True, exist_ok=True)
    gan, steps = train(Batches(data, job), options.minutes, device)
    comparisons = []
    for pair in find_pairs(options.test):
        qpi, dapi, _ = pair.read()
        x = torch.from_numpy(qpi_scaling(qpi.data).apply(qpi.numpy()).astype(np.float32))
        with torch.no_grad(), autocast(device):
            y = gan(x[None, None].to(device)).float().cpu().numpy()[0, 0]
        virtual = dapi.replace(data=unstabilise(y, dapi_scale), name=f"{pair.name} Pix2Pix")
        comparisons.append(result_of(compare_nuclei(dapi, virtual, segmenter=segmenter)))
    figures = {"pix2pix": pool(comparisons) | {"steps": steps}}
    if options.model:
        job_of_ours = evaluate(
            options.test, options.out / "ours", model=options.model, segmenter=segmenter
        )
        result_of(job_of_ours, lambda e: print(e.text) if isinstance(e, Notice) else None)
        figures["llcm"] = json.loads((options.out / "ours" / "report.json").read_text())
    for name, f in figures.items():
        print(
            f"{name:8} recall {f['recall']:.3f}  precision {f['precision']:.3f}  F1 {f['f1']:.3f}"
        )
        print(f"{'':8} {json.dumps(f.get('strata', {}), default=float)[:600]}")
    (options.out / "figures.json").write_text(json.dumps(figures, indent=2, default=float))


if __name__ == "__main__":
    main()
