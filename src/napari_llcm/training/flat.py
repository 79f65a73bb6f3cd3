"""Training on pairs whose DAPI is one plane or a projection: patches are columns of the stack.

What is decoded of a column is projected along z and compared with the plane. There is no latent of
a plane, so the terms in the latent space are left to the pairs that have a volume; where nuclei lie
in depth is known from those, or from the model that the training starts from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.transforms import Transform
from torch import Tensor
from torch.utils.data import Subset

from ..events import Notice, UserError
from ..models.consistency import pure_noise
from ..models.methods import METHODS
from ..models.pix2pix import adversarial_losses
from ..models.samplers import regress
from .losses import IMAGE_LOSSES, LossInputs, Parts
from .reading import PLANES

if TYPE_CHECKING:
    from .config import TrainJob

_SOFT = 0.1  # stabilised DAPI by which a voxel is brighter than another e times as heavy
_L1_WEIGHT = 100.0  # as in Pix2Pix


def soft_max(outputs: Tensor) -> Tensor:
    """Return the projection (…, 1, Y, X) of stabilised DAPI (…, Z, Y, X).

    The mean of each column, weighted by exp(y / 0.1): nearly the maximum, which commutes with the
    square root of the stabilised scale as a mean would not, but with a gradient in every voxel that
    is nearly as bright.
    """
    outputs = outputs.float()
    weights = (outputs / _SOFT).softmax(-3)
    return (weights * outputs).sum(-3, keepdim=True)


def projected(outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Return the projection of the planes of a batch's columns that are no padding."""
    return soft_max(outputs[..., : int(batch[PLANES]), :, :])


def consistency_loss(given: LossInputs) -> Parts:
    """Return the LLCM's direct term on projections: what one step makes of pure noise."""
    denoiser, condition = given.networks.denoiser, given.networks.conditioned(given.batch["inputs"])
    noise, sigma = pure_noise(denoiser, _latent_like(given), given.generator)
    return _image_loss(given, denoiser(noise, sigma, condition))


def regression_loss(given: LossInputs) -> Parts:
    """Return the loss of the one-step regressor on projections."""
    condition = given.networks.conditioned(given.batch["inputs"])
    return _image_loss(given, regress(given.networks.denoiser, _latent_like(given), condition))


def pix2pix_loss(given: LossInputs) -> Parts:
    """Return Pix2Pix's loss, the L1 on projections; the discriminator sees them beside the stack.

    It judges volumes: the projection is repeated along z, real and fake alike.
    """
    inputs, real = given.batch["inputs"], given.batch["outputs"]
    fake = projected(given.networks.generator(inputs), given.batch)
    l1 = (fake - real).abs().mean()
    seen = inputs
    while seen.shape[2] < METHODS["pix2pix"].least_patch:
        seen = torch.cat([seen, seen.flip(2)], 2)
    deep = (v.expand(-1, -1, seen.shape[2], -1, -1) for v in (fake, real))
    fooled, judged = adversarial_losses(given.modules["discriminator"], seen, *deep)
    spread = (fake.std() / real.std().clamp_min(1e-6)).detach()
    parts = {"l1": l1, "gan": fooled, "discriminator": judged, "spread": spread}
    return _L1_WEIGHT * l1 + fooled + judged, parts


def _latent_like(given: LossInputs) -> Tensor:
    """Return zeros of the shape of the latents of a batch's columns."""
    inputs, network = given.batch["inputs"], given.networks.network
    sites = [n // f for n, f in zip(inputs.shape[2:], network.factor, strict=True)]
    return torch.zeros((len(inputs), network.latent_channels, *sites), device=inputs.device)


def _image_loss(given: LossInputs, output: Tensor) -> Parts:
    """Return the image loss of the projection of a standardised latent."""
    batch = given.batch
    shown = projected(given.networks.decode(output, batch["inputs"]), batch)
    loss = IMAGE_LOSSES[given.job.task.loss].distance(shown, batch["outputs"])
    spread = (shown.std() / batch["outputs"].std().clamp_min(1e-6)).detach()
    return given.job.consistency.image_weight * loss, {"image": loss, "spread": spread}


class PadColumns(Transform):
    """Pad a flat pair to what the networks take; any other pair is padded as a volume.

    Along z by reflection, as a stack is padded when it is stained: a stack of 3 planes is seen as
    0 1 2 1 0 1 2 1.

    Parameters
    ----------
    job : TrainJob
        Its patch and the multiple of its network.
    whole : callable
        Pads volumes.
    """

    def __init__(self, job: TrainJob, whole: Any) -> None:
        self.patch, self.multiple, self.whole = job.patch, job.network.multiple, whole

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the pair, padded."""
        if PLANES not in data:
            return dict(self.whole(data))
        arrays = {key: np.asarray(data[key]) for key in ("inputs", "outputs")}
        planes = int(data[PLANES])
        order = _reflected(-(-planes // self.multiple[0]) * self.multiple[0], planes)
        arrays["inputs"] = arrays["inputs"][:, order]
        sides = zip(arrays["inputs"].shape[2:], self.patch[1:], self.multiple[1:], strict=True)
        pad = [(0, -(-max(n, least) // m) * m - n) for n, least, m in sides]
        for key, array in arrays.items():
            arrays[key] = np.pad(array, [(0, 0), (0, 0), *pad], mode="edge")
        return {**data, **arrays}


def _reflected(count: int, planes: int) -> np.ndarray:
    """Return which plane each of `count` shows where `planes` are there and the others mirror."""
    if planes == 1:
        return np.zeros(count, int)
    index = np.arange(count) % (2 * (planes - 1))
    return np.where(index < planes, index, 2 * (planes - 1) - index)


def columns(
    inputs: Tensor, outputs: Tensor, planes: int, job: TrainJob, rng: np.random.Generator
) -> dict[str, Tensor]:
    """Return random columns of the whole depth of a flat pair, as many as make a step's voxels.

    Parameters
    ----------
    inputs, outputs : Tensor
        (1, Z, Y, X) and (1, 1, Y, X).
    planes : int
        Of Z, how many are no padding.
    job : TrainJob
        Patch size and crops.
    rng : numpy.random.Generator
        Source of their places; centres may lie anywhere, as those of other patches.
    """
    depth, *sides = inputs.shape[1:]
    count = max(1, round(job.crops * job.patch[0] / depth))
    crops = []
    for _ in range(count):
        places = zip(sides, job.patch[1:], strict=True)
        starts = [int(np.clip(int(rng.integers(n)) - p // 2, 0, n - p)) for n, p in places]
        inside = (slice(s, s + p) for s, p in zip(starts, job.patch[1:], strict=True))
        crops.append((slice(None), slice(None), *inside))
    both = {"inputs": inputs, "outputs": outputs}
    patches = {key: torch.stack([x[c] for c in crops]) for key, x in both.items()}
    return {**patches, PLANES: torch.tensor(planes)}


def with_volumes(data: Any) -> Any:
    """Return the pairs of a dataset, from `load_pairs`, that have a DAPI volume."""
    chosen = [i for i in range(len(data)) if PLANES not in data[i]]
    return data if len(chosen) == len(data) else Subset(data, chosen)


def of_planes(job: TrainJob, data: Any) -> tuple[TrainJob, list[Notice]]:
    """Return a job as its pairs with a DAPI of one plane allow it, and what is to be told of that.

    Parameters
    ----------
    job : TrainJob
        What is asked for.
    data : sequence
        Pairs from `load_pairs` to train on.

    Raises
    ------
    UserError
        If the method learns from volumes alone.
    """
    volumes = len(with_volumes(data))
    count = len(data) - volumes
    if not count:
        return job, []
    own = METHODS[job.method].phase.name
    if own not in _LEARN_FROM_PLANES:
        known = ", ".join(m.name for m in METHODS.values() if m.phase.name in _LEARN_FROM_PLANES)
        raise UserError(
            f"The DAPI of {count} of {len(data)} pairs is one plane, from which {job.method} "
            f"cannot learn: choose one of the methods {known}, or leave these pairs out."
        )
    text = (
        f"The DAPI of {count} of {len(data)} pairs is one plane: the maximum projection of the "
        "stain is trained to be like it."
    )
    notices = [Notice(text=text, warning=False)]
    if volumes:
        return job, notices
    if job.init is None:
        notices.append(
            Notice(
                text="No pair has a DAPI volume, and the training starts from nothing: at which "
                "depth a nucleus lies is not learned, only projections of the stains will tell "
                "something. Start from a model (--init) if you can."
            )
        )
    return job.model_copy(update={"phase": own}), notices


_LEARN_FROM_PLANES = ("consistency", "regression", "pix2pix")
