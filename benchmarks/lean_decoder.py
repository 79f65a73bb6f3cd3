"""How good a decoder is whose convolutions all run on the latent grid, at less arithmetic.

    python benchmarks/train_universal.py make POOL --processes 14 &
    python benchmarks/lean_decoder.py POOL --init universal-v1 --seconds 90 --out lean.json

The decoder is the dearest of the three networks: after its growth each convolution runs at four
times as many sites. One pixel shuffle from the latent grid to voxels needs none there. All decoders
begin anew and learn from the same batches, the encoder being frozen; beside them stands the one
that the model has. Writes for each its multiplications for a latent site, and the image loss, mean
error and PSNR of the round trip of specimens that are not trained on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from train_universal import PATCH, Pool

from napari_llcm.models import load_bundle
from napari_llcm.models.blocks import ChannelNorm, DepthToSpace, ResBlock
from napari_llcm.models.device import autocast
from napari_llcm.models.library import find_model
from napari_llcm.models.networks import Decoder
from napari_llcm.training.losses import image_loss


class ShuffleDecoder(nn.Sequential):
    """Residual blocks on the latent grid and one pixel shuffle."""

    def __init__(self, width: int, blocks: int, factor: tuple[int, int, int], inputs: int) -> None:
        z, y, x = factor
        last = nn.Conv3d(width, z * y * x, 3, padding=1)
        super().__init__(
            nn.Conv3d(inputs, width, 3, padding=1),
            *(ResBlock(width, width) for _ in range(blocks)),
            ChannelNorm(width), nn.SiLU(), last, DepthToSpace(factor),
        )  # fmt: skip


def multiplications(decoder: nn.Module, patch: Tensor) -> float:
    """Return the multiplications of a decoder for each latent site, in thousands."""
    total = 0.0

    def count(module: nn.Module, _: object, out: Tensor) -> None:
        nonlocal total
        weight = module.weight
        total += weight.numel() * out[0, 0].numel()  # type: ignore[union-attr, operator]

    hooks = [m.register_forward_hook(count) for m in decoder.modules() if isinstance(m, nn.Conv3d)]
    with torch.no_grad():
        decoder(patch[:1])
    for hook in hooks:
        hook.remove()
    return total / patch[0, 0].numel() / 1e3


def main() -> None:
    """Train all decoders side by side; write their figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", type=Path)
    parser.add_argument("--init", default="universal-v1")
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--least", type=int, default=60)
    parser.add_argument("--held", type=int, default=32)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path("lean.json"))
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    device = torch.device(options.device)
    networks = load_bundle(find_model(options.init), str(device)).networks
    config = networks.network
    factor, inputs = config.factor, config.latent_channels
    decoders: dict[str, nn.Module] = {
        "as it is, anew": Decoder(config.decoder_widths, factor, inputs),
        **{f"shuffle, {w} x {n}": ShuffleDecoder(w, n, factor, inputs)
           for w, n in ((64, 2), (80, 2), (96, 1), (96, 2), (64, 3))},
    }  # fmt: skip
    for decoder in decoders.values():
        decoder.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    pool = Pool(options.pool, device, factor, [], options.held)
    while len(pool.items) < options.least:
        pool.grow()
        time.sleep(1)
    optimisers = {n: torch.optim.RAdam(d.parameters(), 2e-3) for n, d in decoders.items()}
    began = time.monotonic()
    steps = 0

    def latents(outputs: Tensor) -> Tensor:
        with torch.no_grad():
            mean, _ = networks.autoencoder.encode(outputs)
        return mean.float()

    while (done := (time.monotonic() - began) / options.seconds) < 1:
        outputs = pool.batch(options.batch)["outputs"]
        with autocast(device):
            z = latents(outputs)
            for name, decoder in decoders.items():
                optimiser = optimisers[name]
                optimiser.param_groups[0]["lr"] = 2e-3 * min(1, steps / 50, 0.02 + 2 * (1 - done))
                loss = image_loss(decoder(z), outputs)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
                optimiser.step()
        steps += 1
        if steps % 8 == 0:
            pool.grow(8)
    rows = []
    own = SimpleNamespace(**{"as shipped": networks.autoencoder.decoding()})
    for name, decoder in (*vars(own).items(), *decoders.items()):
        torch.manual_seed(0)
        outputs = pool.batch(4 * options.batch, held=True)["outputs"]
        with torch.no_grad(), autocast(device):
            z = latents(outputs)
            made = decoder(z).float()
        error = made - outputs
        rows.append(
            {
                "decoder": name,
                "thousand_multiplications": round(multiplications(decoder, z), 1),
                "image_loss": round(float(image_loss(made, outputs)), 4),
                "mean_error": round(float(error.abs().mean()), 4),
                "psnr": round(float(-10 * error.square().mean().log10()), 3),
                "steps": 0 if name == "as shipped" else steps,
                "patch": PATCH,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    options.out.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
