"""The rivals: each trains by the same loop, is saved as the same bundle, and stains."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from napari_llcm.events import Step, UserError, result_of
from napari_llcm.models import ConsistencyConfig, NetworkConfig, ResShiftConfig, load_bundle
from napari_llcm.models.diffusion import (
    DiffusionSampler,
    diffusion_loss,
    make_scheduler,
    predictor,
)
from napari_llcm.models.pix2pix import adversarial_losses, make_discriminator
from napari_llcm.models.resshift import ResShiftSampler, shifts
from napari_llcm.specimen import write_specimens
from napari_llcm.staining import Stainer, Tiling
from napari_llcm.training import TrainJob, train
from napari_llcm.volumes import find_pairs
from stains import staining
from tiny import AUTOENCODERS, NETWORK
from tiny import job as tiny_job

LATENT = ("llcm", "regression", "diffusion", "resshift")


def job(pairs: Path, out: Path, **changes: Any) -> TrainJob:
    return tiny_job(pairs, out, **({"patch": (16, 32, 32)} | changes))  # as a PatchGAN needs


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    result_of(write_specimens(folder, 2, (16, 48, 48), 500, "easy"))
    return folder


@pytest.mark.versions
@pytest.mark.parametrize("method", [*LATENT, "pix2pix"])
def test_every_method_trains_is_saved_and_stains(pairs: Path, tmp_path: Path, method: str) -> None:
    events = list(train(job(pairs, tmp_path / "run", method=method)))
    losses = [e.values["loss"] for e in events if isinstance(e, Step) and "loss" in e.values]
    assert losses
    assert all(np.isfinite(losses))
    bundle = load_bundle(tmp_path / "run" / "model")
    assert bundle.info.method == method
    qpi = find_pairs(pairs)[0].read()[0]
    stained = Stainer(bundle, "cpu").stain(qpi)
    assert stained.shape == qpi.shape
    assert np.isfinite(stained.numpy()).all()


@pytest.mark.parametrize("kind", AUTOENCODERS)
def test_a_consistency_model_on_every_kind_of_autoencoder_stains(
    pairs: Path, tmp_path: Path, kind: str
) -> None:
    network = NetworkConfig(autoencoder=AUTOENCODERS[kind], unet_widths=(8, 16))
    few = {"vae_phase": {"steps": 2}, "method_phase": {"steps": 2}, "validations": 0}
    result_of(train(job(pairs, tmp_path / "run", network=network, **few)))
    bundle = load_bundle(tmp_path / "run" / "model")
    assert bundle.info.network == network
    qpi = find_pairs(pairs)[0].read()[0]
    stained = Stainer(bundle, "cpu").stain(qpi)
    assert stained.shape == qpi.shape
    assert np.isfinite(stained.numpy()).all()


def test_a_decoder_with_a_skip_learns_it_and_stains(pairs: Path, tmp_path: Path) -> None:
    network = NETWORK.model_copy(update={"decoder_skip": True})
    result_of(train(job(pairs, tmp_path / "run", network=network)))
    bundle = load_bundle(tmp_path / "run" / "model")
    assert bundle.networks.skip[-1].weight.abs().max() > 0  # it begins at zero
    qpi = find_pairs(pairs)[0].read()[0]
    assert np.isfinite(Stainer(bundle, "cpu").stain(qpi).numpy()).all()


@pytest.mark.parametrize("method", LATENT)
def test_tiles_of_every_latent_method_make_the_whole(
    pairs: Path, tmp_path: Path, method: str
) -> None:
    result_of(train(job(pairs, tmp_path / "run", method=method)))
    bundle = load_bundle(tmp_path / "run" / "model")
    qpi = find_pairs(pairs)[0].read()[0]
    whole = result_of(staining(qpi, bundle, tiling=Tiling((64, 64, 64), (64, 64, 64))))
    tiled = result_of(staining(qpi, bundle, tiling=Tiling((8, 16, 16), (8, 16, 24))))
    limit = 0.02 * float(np.ptp(whole.numpy()))  # bfloat16 rounds differently in other shapes
    np.testing.assert_allclose(tiled.numpy(), whole.numpy(), atol=limit)


def test_a_run_of_pix2pix_resumes_to_the_same_weights(pairs: Path, tmp_path: Path) -> None:
    result_of(train(job(pairs, tmp_path / "whole", method="pix2pix")))
    asked = iter([False, False, False, True])
    parted = job(pairs, tmp_path / "parted", method="pix2pix")
    result_of(train(parted, should_stop=lambda: next(asked, True)))
    result_of(train(parted, resume=True))
    a, b = (load_bundle(tmp_path / n / "model").networks.state_dict() for n in ("whole", "parted"))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_rival_starts_from_the_autoencoder_of_another_method(pairs: Path, tmp_path: Path) -> None:
    result_of(train(job(pairs, tmp_path / "vae", phase="vae")))
    start = str(tmp_path / "vae")
    result_of(train(job(pairs, tmp_path / "d", method="diffusion", phase="diffusion", init=start)))
    a, b = (load_bundle(tmp_path / n / "model").networks.state_dict() for n in ("vae", "d"))
    assert all(torch.equal(a[k], b[k]) for k in a if k.startswith("autoencoder."))
    with pytest.raises(UserError, match="cannot start from"):
        result_of(train(job(pairs, tmp_path / "p", method="pix2pix", init=start)))


def test_a_method_refuses_phases_and_steps_that_it_has_not(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="phase"):
        job(pairs, tmp_path / "run", method="pix2pix", phase="vae")
    result_of(train(job(pairs, tmp_path / "r", method="regression")))
    qpi = find_pairs(pairs)[0].read()[0]
    with pytest.raises(UserError, match="always takes 1 step"):
        result_of(staining(qpi, load_bundle(tmp_path / "r" / "model"), steps=3))


def test_an_autoencoder_learns_with_adversary_and_gradients(pairs: Path, tmp_path: Path) -> None:
    extra = {"vae_adversarial": 0.05, "vae_perceptual": 0.5, "phase": "vae"}
    events = list(train(job(pairs, tmp_path / "run", **extra)))
    named = {k for e in events if isinstance(e, Step) for k in e.values}
    assert {"gan", "discriminator", "perceptual"} <= named


class Oracle(torch.nn.Module):
    """A network that knows the clean latent: a sampler led by it must end there."""

    def __init__(self, clean: torch.Tensor, predicts_v: bool) -> None:
        super().__init__()
        self.clean, self.predicts_v = clean, predicts_v

    def forward(self, x: torch.Tensor, sigma: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        if not self.predicts_v:
            return self.clean
        a = (1 / (1 + sigma.double().square()))[:, None, None, None, None]
        noise = (x - a.sqrt() * self.clean) / (1 - a).sqrt()
        return (a.sqrt() * noise - (1 - a).sqrt() * self.clean).float()


@pytest.mark.parametrize("prediction", ["v", "x0"])
@pytest.mark.parametrize("steps", [1, 20, 50])
def test_ddim_led_by_the_truth_ends_at_the_truth(
    steps: int, prediction: Literal["v", "x0"]
) -> None:
    from napari_llcm.models.config import DiffusionConfig

    clean = torch.randn(1, 4, 4, 4, 4) * 3  # beyond ±1: nothing may clip it
    config = DiffusionConfig(prediction=prediction)
    oracle = Oracle(clean, prediction == "v")
    sampler = DiffusionSampler(oracle, config, steps)
    loss = diffusion_loss(oracle, config, clean, clean, torch.Generator().manual_seed(0))
    assert float(loss) < 1e-3
    x = torch.zeros_like(clean)
    for i in range(steps):
        x = sampler.step(i, x, torch.randn_like(clean), clean)
    assert float(make_scheduler(DiffusionConfig()).alphas_cumprod[-1]) < 1e-4
    torch.testing.assert_close(x, clean, atol=0.02, rtol=0)


def test_ddim_from_a_consistency_model_starts_with_its_one_step() -> None:
    from napari_llcm.models.config import DiffusionConfig
    from napari_llcm.models.consistency import refine
    from napari_llcm.models.stainer import StainerNetworks

    denoiser = StainerNetworks(NETWORK, ConsistencyConfig(), "llcm").eval().denoiser
    noise, condition = torch.randn(1, 4, 4, 4, 4), torch.randn(1, 8, 4, 4, 4)
    config = DiffusionConfig(prediction="x0")
    sampler = DiffusionSampler(predictor(denoiser, config), config, 1)
    ddim = sampler.step(0, noise, noise, condition)
    ours = refine(denoiser, torch.zeros_like(noise), noise, condition, denoiser.config.sigma_max)
    assert float(ours.detach().std()) > 0.05
    torch.testing.assert_close(ddim, ours, atol=1e-3, rtol=0)


def test_residual_shifting_led_by_the_truth_ends_at_the_truth() -> None:
    config, clean = ResShiftConfig(), torch.randn(1, 4, 4, 4, 4)
    etas = shifts(config)
    assert etas == sorted(etas)
    assert etas[-1] == pytest.approx(0.999)
    sampler = ResShiftSampler(Oracle(clean, False), torch.nn.Identity(), config)
    x = torch.zeros_like(clean)
    for i in range(sampler.steps):
        x = sampler.step(i, x, torch.randn_like(clean), torch.randn_like(clean))
    torch.testing.assert_close(x, clean)


def test_one_backward_pass_serves_generator_and_discriminator() -> None:
    judge = make_discriminator()
    real, condition = torch.rand(1, 1, 16, 16, 16), torch.rand(1, 1, 16, 16, 16)
    fake = torch.rand(1, 1, 16, 16, 16, requires_grad=True)
    fooled, judged = adversarial_losses(judge, condition, fake, real)
    (only_judge,) = torch.autograd.grad(judged, fake, retain_graph=True, allow_unused=True)
    assert only_judge is None or float(only_judge.abs().max()) == 0
    assert float(torch.autograd.grad(fooled, fake, retain_graph=True)[0].abs().max()) > 0
    weights = [p for p in judge.parameters() if p.requires_grad]
    grads = torch.autograd.grad(fooled, weights, allow_unused=True, retain_graph=True)
    assert all(g is None for g in grads)


def test_guidance_of_one_is_no_guidance() -> None:
    from napari_llcm.models.config import DiffusionConfig
    from napari_llcm.models.stainer import StainerNetworks

    networks = StainerNetworks(NETWORK, ConsistencyConfig(), "diffusion").eval()
    noise, condition = torch.randn(1, 4, 4, 4, 4), torch.randn(1, 8, 4, 4, 4)
    outputs = [
        DiffusionSampler(networks.denoiser.network, DiffusionConfig(guidance=g), 2).step(
            0, noise, noise, condition
        )
        for g in (1.0, 1.0001, 3.0)
    ]
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-3, rtol=1e-3)
    assert float((outputs[0] - outputs[2]).detach().abs().max()) > 1e-3
