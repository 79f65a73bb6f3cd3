"""Staining with a control branch: local, so without seams; spatial tokens: in blended windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from napari_llcm.events import Notice
from napari_llcm.models import ModelBundle, NetworkConfig
from napari_llcm.models.control import Cleaner
from napari_llcm.staining import Focus, Tiling
from stains import SMALL, difference, make_model, make_volume, run, stained, staining


def awake(config: NetworkConfig) -> ModelBundle:
    """Return a model whose branch does something."""
    model = make_model(config)  # which draws the weights of all convolutions, zero ones too
    assert all(bool(w.any()) for w in model.networks.parameters() if w.ndim == 5)
    return model


@pytest.fixture(scope="module")
def controlled() -> ModelBundle:
    return awake(SMALL.model_copy(update={"control": True}))


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2])
def test_tiles_of_a_controlled_model_have_no_seams(controlled: ModelBundle, steps: int) -> None:
    volume = make_volume((10, 100, 110))
    whole = stained(volume, controlled, steps=steps)
    tiling = Tiling((4, 16, 16), (4, 32, 32))
    finished, _ = run(staining(volume, controlled, tiling=tiling, steps=steps))
    assert finished.result["tiles"] > 50
    assert difference(finished.value.numpy(), whole) < 1e-4
    frozen = stained(volume, make_model(), steps=steps)
    assert difference(frozen, whole) > 0.01


def test_a_region_of_a_controlled_model_is_cut_from_the_whole(controlled: ModelBundle) -> None:
    volume = make_volume((10, 100, 120))
    whole = stained(volume, controlled)
    region = ((2, 6), (40, 60), (50, 80))
    inside = tuple(slice(a, b) for a, b in region)
    part = stained(volume, controlled, focus=Focus(region=lambda: region))
    assert difference(part[inside], whole[inside]) < 1e-4


def test_nothing_beyond_the_condition_halo_matters_and_something_within_does(
    controlled: ModelBundle,
) -> None:
    networks = controlled.networks
    halo = networks.condition_halo
    assert halo is not None
    factor = networks.network.factor
    plain = make_model().networks.condition_halo
    assert plain is not None
    assert all(a > b for a, b in zip(halo, plain, strict=True))  # the cleaner sees further
    sites = [2 * (h // f + 2) for h, f in zip(halo, factor, strict=True)]
    qpi = torch.zeros([1, 1, *(s * f for s, f in zip(sites, factor, strict=True))])
    qpi.requires_grad_()
    middle = (0, slice(None), *(s // 2 for s in sites))
    condition: Any = networks.conditioned(qpi + torch.randn(qpi.shape))
    (gradient,) = torch.autograd.grad(condition.packed()[middle].sum(), qpi)
    seen = np.argwhere(gradient[0, 0].abs().numpy() > 0)
    start = [s // 2 * f for s, f in zip(sites, factor, strict=True)]
    for axis in range(3):
        before = start[axis] - seen[:, axis].min()
        behind = seen[:, axis].max() - (start[axis] + factor[axis] - 1)
        assert max(before, behind) <= halo[axis]
        assert (
            max(before, behind) > halo[axis] - 2 * factor[axis]
        )  # it is no larger than it must be


def test_a_cleaner_is_the_identity_at_first() -> None:
    phase = torch.randn(1, 1, 8, 16, 16)
    assert torch.equal(Cleaner((2, 4, 4))(phase), phase)


def test_spatial_tokens_are_stained_in_blended_windows() -> None:
    widths = {"unet": "monai", "condition": "attention", "unet_widths": (16, 16)}
    for control in (False, True):
        config = SMALL.model_copy(update={**widths, "control": control})
        assert not config.local
        volume = make_volume((10, 70, 80))
        finished, events = run(staining(volume, awake(config)))
        # larger than the window that it knows places in
        assert any("blended" in e.text for e in events if isinstance(e, Notice))
        assert np.isfinite(finished.value.numpy()).all()
