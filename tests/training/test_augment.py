"""Random views of patches: each change is what it says, and both settings can be trained with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from napari_llcm.events import Step, result_of
from napari_llcm.specimen import write_specimens
from napari_llcm.training import load_job, train
from napari_llcm.training.augment import AUGMENTATIONS, Augmentation, augmented
from tiny import job

COUNT = 60  # patches, so that every change is met


def patches() -> Tensor:
    noise = torch.randn(COUNT, 1, 8, 32, 32, generator=torch.Generator().manual_seed(0))
    return 3 * torch.nn.functional.avg_pool3d(noise, (1, 3, 3), 1, (0, 1, 1))


def changed(qpi: Tensor, seed: int = 1, **how: float) -> Tensor:
    return augmented(qpi, Augmentation(**how), torch.Generator().manual_seed(seed))  # type: ignore[arg-type]


def correlation(a: Tensor, b: Tensor) -> Tensor:
    a, b = (v.flatten(1) - v.flatten(1).mean(1, keepdim=True) for v in (a, b))
    return torch.cosine_similarity(a, b)


@pytest.mark.parametrize("name", ["gentle", "strong"])
def test_a_view_is_a_function_of_its_seed_and_differs_from_patch_to_patch(name: str) -> None:
    qpi = patches()[:1].expand(COUNT, -1, -1, -1, -1)
    views = [
        augmented(qpi, AUGMENTATIONS[name], torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert views[0].shape == qpi.shape
    assert views[0].isfinite().all()
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
    assert len(torch.unique(views[0].flatten(1), dim=0)) > COUNT * 0.9
    nothing = augmented(qpi, Augmentation(), torch.Generator())
    assert torch.equal(nothing, qpi)


def test_gentle_keeps_the_texture_and_strong_does_not() -> None:
    qpi = patches()
    alike = {
        name: correlation(qpi, augmented(qpi, how, torch.Generator().manual_seed(1)))
        for name, how in AUGMENTATIONS.items()
    }
    assert alike["gentle"].min() > 0.99
    assert alike["strong"].min() < -0.5
    assert 0.5 < alike["strong"].abs().median() < 0.98


def test_contrast_is_inverted_and_bent_but_never_reordered() -> None:
    qpi = patches()
    inverted = changed(qpi, inversion=0.5)
    signs = correlation(qpi, inverted)
    assert 0.2 < (signs < 0).float().mean() < 0.8
    assert torch.equal(inverted.abs(), qpi.abs())
    bent = changed(qpi, gamma=0.5)
    order = qpi.flatten(1).argsort(1)
    assert (bent.flatten(1).gather(1, order).diff(dim=1) >= -1e-4).all()
    assert torch.allclose(bent.std((1, 2, 3, 4)), qpi.std((1, 2, 3, 4)), rtol=1e-3)
    # bent one way in some patches, the other way in others
    skew = (bent**3).mean((1, 2, 3, 4)) - (qpi**3).mean((1, 2, 3, 4))
    assert skew.min() < -0.1 < 0.1 < skew.max()


def test_a_random_filter_blurs_and_sharpens_planes_and_keeps_their_deviation() -> None:
    qpi = patches()
    filtered = changed(qpi, band=0.6)
    assert torch.allclose(filtered.std((1, 2, 3, 4)), qpi.std((1, 2, 3, 4)), rtol=1e-3)
    detail = [v.diff(dim=-1).std((1, 2, 3, 4)) for v in (filtered, qpi)]
    ratio = detail[0] / detail[1]
    assert ratio.min() < 0.9 < 1.1 < ratio.max()
    # a plane is a matter of its own, and a constant stays one
    one = qpi.clone()
    one[:, :, 3:] = 0
    assert changed(one, band=0.6)[:, :, 3:].std((2, 3, 4)).max() < 1e-4


def test_noise_is_white_smooth_or_striped() -> None:
    flat = torch.zeros(COUNT, 1, 8, 32, 32)
    white, smooth = changed(flat, noise=0.2), changed(flat, coloured=0.2)
    assert 0.1 < white.std((1, 2, 3, 4)).max() < 0.21
    some = smooth[smooth.std((1, 2, 3, 4)) > 0.02]
    assert 0 < len(some) < COUNT
    assert 0.15 < some.std((1, 2, 3, 4)).max() < 0.25
    assert (some.diff(dim=-1).std((1, 2, 3, 4)) < 1.1 * some.std((1, 2, 3, 4))).all()
    striped = changed(flat, striped=0.2)
    rows, columns = (striped.diff(dim=d).abs().amax((1, 2, 3, 4)) for d in (-1, -2))
    assert (torch.minimum(rows, columns) == 0).all()
    assert (rows > 0).any()
    assert (columns > 0).any()


def test_of_coarse_planes_those_taken_stay_and_others_lie_between() -> None:
    ramp = torch.arange(9.0).view(1, 1, 9, 1, 1).expand(COUNT, 1, 9, 4, 4)
    inside = changed(ramp, coarse_z=3)[:, :, 2:-2]
    assert torch.allclose(inside, ramp[:, :, 2:-2], atol=1e-5)  # straight lines are met exactly
    qpi = patches()
    coarse = changed(qpi, coarse_z=3)
    kept = (coarse - qpi).abs().amax((1, 3, 4)) < 1e-5
    share = kept.float().mean(1)
    assert set(share.tolist()) <= {1.0, 0.5, 3 / 8, 2 / 8}
    assert len(set(share.tolist())) > 2


def test_light_varies_slowly() -> None:
    qpi = patches()
    lit = changed(qpi, background=0.8) - qpi
    assert lit.mean((1, 2)).abs().max() > 0.2
    same = lit[:, :, 0] - lit[:, :, 1]
    assert same.std() < lit.std()


def test_a_job_trains_with_strong_augmentation(tmp_path: Path) -> None:
    result_of(write_specimens(tmp_path / "pairs", 1, (16, 48, 48), 500, "easy"))
    run = job(tmp_path / "pairs", tmp_path / "run", augmentation="strong")
    assert job(tmp_path / "pairs", tmp_path / "run").augmentation is None
    losses = [e.values["loss"] for e in train(run) if isinstance(e, Step) and "loss" in e.values]
    assert losses
    assert load_job(tmp_path / "run" / "job.yaml").augmentation == "strong"
