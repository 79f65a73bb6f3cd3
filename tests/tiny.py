"""Networks and training jobs so small that a test trains one in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_llcm.models import NetworkConfig
from napari_llcm.training import TrainJob, make_job

NETWORK = NetworkConfig(
    encoder_widths=(8, 8),
    decoder_widths=(8, 8),
    condition_widths=(8, 8),
    unet_widths=(8, 16),
    generator_widths=(8, 16),
)
# a small one of each kind that has sizes of its own
AUTOENCODERS: dict[str, dict[str, Any]] = {
    "mri": {"kind": "mri", "channels": (8, 8, 16, 16), "norm_groups": 4},
    "maisi": {"kind": "maisi", "channels": (8, 8, 16), "norm_groups": 4},
    "medvae": {
        "kind": "medvae",
        "channels": (8, 8, 16),
        "norm_groups": 4,
        "strides": ((1, 2, 2), (2, 2, 2)),
        "attention_levels": (False, False, True),
        "heads": 2,
    },
    "planes": {"kind": "planes", "channels": (8, 8, 16), "norm_groups": 4, "res_blocks": 1},
    "cogvideox": {
        "kind": "cogvideox",
        "channels": (8, 8, 8, 16),
        "norm_groups": 4,
        "res_blocks": 1,
    },
}


def job(pairs: Path, out: Path, **changes: Any) -> TrainJob:
    """Return a job of a few steps, with `changes`."""
    fields: dict[str, Any] = {
        "pairs": [pairs],
        "out": out,
        "network": NETWORK,
        "patch": (8, 32, 32),
        "crops": 2,
        "device": "cpu",
        "mixed_precision": False,
        "validations": 1,
        "vae_phase": {"steps": 6, "warmup_steps": 2},
        "method_phase": {"steps": 6, "warmup_steps": 2},
        "tensorboard": False,
    }
    return make_job("quick", **(fields | changes))


# a task of two inputs and two outputs
TWO: dict[str, Any] = {
    "name": "two",
    "title": "Two phases to nuclei and membrane",
    "result": "nuclei and membrane",
    "inputs": [
        {"name": "phase", "title": "phase", "intensity": {"kind": "contrast"}},
        {"name": "bright", "title": "brightfield", "intensity": {"kind": "contrast"}},
    ],
    "outputs": [
        {"name": "nuclei", "title": "nuclei", "intensity": {"kind": "counts"}},
        {"name": "membrane", "title": "membrane", "intensity": {"kind": "counts"}},
    ],
}
