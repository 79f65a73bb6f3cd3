"""Training a control branch alone, on inputs that are degraded on purpose.

As DiffBIR (Lin et al. 2023): what steers is restored first, and learns that from inputs whose clean
form is known. There a restoration network is trained on its own, for days, and then frozen. Here it
has 35 000 weights and minutes, so it learns beside the branch: a share of the patches is degraded,
the cleaned ones are compared with the patches as they were recorded (the only clean ones there
are: the noise of the recording itself stays), and the stain of all with the true DAPI.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from ..models.control import ControlEncoder
from .augment import Augmentation, augmented
from .losses import LossInputs, Parts

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..models.stainer import StainerNetworks
    from .config import TrainJob
    from .objectives import Loss

# What thick samples and dim light do to an image: scatter blurs it and adds haze, few photons are
# noise, coarse steps lose planes. Contrast and its sign stay: they are no degradation.
DEGRADED = Augmentation(noise=0.4, coloured=0.4, striped=0.2, band=0.5, background=0.5, coarse_z=2)
# of a task whose outputs have the unit of their inputs, which blur and haze would change
NOISY = Augmentation(noise=0.4, coloured=0.4, striped=0.2)
# Learning rates, as shares of the job's. Features of the levels are large (deviation 40 to 240),
# so zero convolutions soon add as much as is there. Until they tell what is of use, the gradient
# behind them has little to say, which an adaptive optimiser follows as fast all the same. What it
# is worth stands in docs/model.md: copies drift less, and the stain is no better within a minute.
_RATES = {"cleaner": 4.0, "encoder": 0.25, "copied": 0.25}


def branch_of(networks: StainerNetworks) -> tuple[dict[str, nn.Module], dict[str, float]]:
    """Freeze everything but the branch and its phase encoder; return these by name, and rates."""
    networks.requires_grad_(False)
    branch: Any = networks.denoiser.network.get_submodule("branch")
    zeros, copied = branch.parts()
    modules: dict[str, nn.Module] = {
        "cleaner": networks.control.get_submodule("cleaner"),
        "encoder": networks.control.get_submodule("encoder"),
        "zeros": zeros,
        "copied": copied,
    }
    for module in modules.values():
        module.requires_grad_(True)
    return modules, dict(_RATES)


def with_cleaning(loss: Loss) -> Loss:
    """Return a loss of degraded patches, with how far they are from clean once they are cleaned."""

    def both(given: LossInputs) -> Parts:
        """Return the loss of degraded patches and its parts."""
        clean = given.batch["inputs"]
        seen = clean
        if not given.networks.network.residual:  # which adds its input to the result as it is
            seen = degraded(clean, given.job, given.generator)
        stain, parts = loss(replace(given, batch={**given.batch, "inputs": seen}))
        control = given.networks.control
        assert isinstance(control, ControlEncoder)
        parts["cleaning"] = (control.cleaner(seen).float() - clean).abs().mean()
        return stain + given.job.control_learning.cleaning_weight * parts["cleaning"], parts

    return both


def degraded(inputs: Tensor, job: TrainJob, generator: torch.Generator) -> Tensor:
    """Return patches (B, C, Z, Y, X) of which a share, on average, is degraded."""
    share = job.control_learning.degraded
    how = NOISY if job.task.augmentation == "none" else DEGRADED
    images, beside = inputs.tensor_split([len(job.task.inputs)], 1)
    worse = [augmented(one, how, generator) for one in images.split(1, 1)]
    chosen = torch.rand((len(inputs), 1, 1, 1, 1), generator=generator) < share
    return torch.where(chosen.to(inputs.device), torch.cat([*worse, beside], 1), inputs)
