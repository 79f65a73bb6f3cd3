"""Models: the consistency function's boundary, the noise field, and bundles on disk."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_llcm.events import UserError
from napari_llcm.models import (
    PRESETS,
    ConsistencyConfig,
    ModelInfo,
    NetworkConfig,
    export_model,
    find_model,
    import_model,
    list_models,
    load_bundle,
    read_info,
    save_bundle,
)
from napari_llcm.models.blocks import DepthToSpace, SpaceToDepth
from napari_llcm.models.bundle import write_info
from napari_llcm.models.config import MethodName
from napari_llcm.models.consistency import Denoiser, ect_loss, one_step, sample, step_sigmas
from napari_llcm.models.methods import METHODS
from napari_llcm.models.noise import noise_field
from napari_llcm.models.stainer import StainerNetworks
from napari_llcm.tasks.normalise import Scaling, dapi_scaling, qpi_scaling, stabilise, unstabilise
from napari_llcm.tasks.registry import STAIN

pytestmark = pytest.mark.versions
SMALL = NetworkConfig(
    encoder_widths=(8, 8), decoder_widths=(8, 8), condition_widths=(8, 8), unet_widths=(8, 8)
)


@pytest.fixture
def networks() -> StainerNetworks:
    torch.manual_seed(0)
    made = StainerNetworks(SMALL, ConsistencyConfig())
    for p in made.parameters():  # blocks start as the identity; make them do something
        torch.nn.init.normal_(p, std=0.2) if p.ndim > 1 else None
    return made.eval()


@pytest.fixture
def bundle(networks: StainerNetworks, tmp_path: Path) -> Path:
    info = ModelInfo(name="small", network=SMALL, dapi=Scaling(low=100, high=900))
    return save_bundle(tmp_path / "small", info, networks)


def test_denoiser_returns_its_input_at_sigma_min(networks: StainerNetworks) -> None:
    x, condition = torch.randn(2, 4, 4, 4, 4), torch.randn(2, 8, 4, 4, 4)
    low = networks.denoiser.config.sigma_min
    assert torch.allclose(networks.denoiser(x, torch.full((2,), low), condition), x, atol=1e-5)
    far = networks.denoiser(x, torch.full((2,), 10.0), condition)
    assert not torch.allclose(far, x, atol=0.1)


def test_ect_trains_the_student_and_never_the_teacher() -> None:
    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = torch.nn.Parameter(torch.ones(()))
            self.grads: list[bool] = []

        def forward(self, x, sigma, condition):  # type: ignore[no-untyped-def]
            self.grads.append(torch.is_grad_enabled())
            return self.gain * x

    net = Counting()
    latent = torch.randn(8, 4, 2, 2, 2)
    loss = ect_loss(Denoiser(net, ConsistencyConfig()), latent, latent, 0.9)
    loss.backward()
    assert net.grads == [True, False]
    assert torch.isfinite(loss)
    assert net.gain.grad is not None
    assert net.gain.grad.abs() > 0


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_sampling_is_deterministic_in_its_noise(networks: StainerNetworks, steps: int) -> None:
    sigmas = step_sigmas(networks.denoiser.config, steps)
    assert len(sigmas) == steps
    assert sigmas == sorted(sigmas, reverse=True)
    noise = [torch.from_numpy(noise_field(i, 4, (0, 0, 0), (2, 4, 4)))[None] for i in range(steps)]
    condition = torch.randn(1, 8, 2, 4, 4)
    with torch.no_grad():
        first, second = (sample(networks.denoiser, noise, condition, sigmas) for _ in range(2))
        other = one_step(networks.denoiser, noise[0], condition)
    assert torch.equal(first, second)
    assert not torch.allclose(first, other)


def test_noise_is_cut_from_one_field() -> None:
    whole = noise_field(3, 4, (0, 0, 0), (20, 40, 50))
    part = noise_field(3, 4, (7, 15, 31), (9, 33, 50))
    assert np.array_equal(part, whole[:, 7:9, 15:33, 31:50])
    assert abs(whole.mean()) < 0.02
    assert abs(whole.std() - 1) < 0.02
    assert not np.array_equal(whole, noise_field(4, 4, (0, 0, 0), (20, 40, 50)))


def test_space_to_depth_is_undone() -> None:
    x = torch.randn(2, 3, 4, 8, 12)
    folded = SpaceToDepth((2, 4, 4))(x)
    assert folded.shape == (2, 96, 2, 2, 3)
    assert torch.equal(DepthToSpace((2, 4, 4))(folded), x)


def test_intensities_come_back_and_qpi_scaling_ignores_gain_and_offset() -> None:
    rng = np.random.default_rng(0)
    dapi = rng.gamma(1.0, 300.0, (6, 40, 40)).astype(np.float32) + 100
    scaling = dapi_scaling(dapi)
    assert np.allclose(unstabilise(stabilise(dapi, scaling), scaling), dapi, rtol=1e-3, atol=0.1)
    a = qpi_scaling(dapi).apply(dapi)
    b = qpi_scaling(3 * dapi - 50).apply(3 * dapi - 50)
    assert np.allclose(a, b, atol=1e-3)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_encodes_decodes_and_samples(preset: str) -> None:
    config = PRESETS[preset]
    made = StainerNetworks(config, ConsistencyConfig())
    size = [max(m, 32) for m in config.multiple]
    x = torch.randn(1, 1, *size)
    with torch.no_grad():
        z = made.encode(x, x)
        assert z.shape[2:] == tuple(n // f for n, f in zip(size, config.factor, strict=True))
        assert made.decode(one_step(made.denoiser, z, made.condition(x))).shape == x.shape
    numbers = int(np.prod(config.factor)) // config.latent_channels
    assert numbers == {"default": 8, "plan": 512}[preset]


def test_bundle_round_trip_as_folder_zip_and_pth(
    bundle: Path, networks: StainerNetworks, tmp_path: Path
) -> None:
    zipped = export_model(bundle, tmp_path / "small.zip")
    plain = export_model(bundle, tmp_path / "pth", pth=True)
    imported = [import_model(zipped, "from-zip"), import_model(plain, "from-pth")]
    x = torch.randn(1, 1, 8, 16, 16)
    want = networks.condition(x)
    for path in [bundle, zipped, *imported]:
        loaded = load_bundle(path)
        assert loaded.info.scalings["dapi"].high == 900
        assert torch.allclose(loaded.networks.condition(x), want, rtol=0.02, atol=0.02)
    assert {"from-zip", "from-pth"} <= set(list_models())
    assert find_model("from-zip") == imported[0]
    with pytest.raises(UserError, match="choose another"):
        import_model(zipped, "from-zip")


@pytest.mark.parametrize("method", METHODS)
def test_a_bundle_of_an_earlier_version_is_read_and_written_anew(
    tmp_path: Path, method: MethodName
) -> None:
    made = StainerNetworks(SMALL, ConsistencyConfig(), method)
    info = ModelInfo(name="old", method=method, network=SMALL, dapi=Scaling(low=0, high=1))
    path = save_bundle(tmp_path / "old", info, made)
    said = json.loads((path / "model.json").read_text())
    said["kind"] = said.pop("method")  # as format 1 called it
    said |= said.pop("scalings")  # where one was of DAPI and one of the phase
    del said["task"]
    (path / "model.json").write_text(json.dumps(said | {"format": 1}))
    loaded = load_bundle(path)
    assert loaded.info.method == method
    assert loaded.info.task == STAIN
    assert loaded.info.scalings["dapi"] == Scaling(low=0, high=1)
    assert set(loaded.networks.state_dict()) == set(made.state_dict())
    write_info(path, loaded.info)
    said = json.loads((path / "model.json").read_text())
    assert (said["method"], said["format"]) == (method, 3)
    assert read_info(path).method == method


def test_bad_models_are_refused_in_words(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        find_model("no-such-model")
    with pytest.raises(UserError, match="not a model"):
        find_model(tmp_path)
    weights = bundle / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="damaged"):
        load_bundle(bundle)
    (bundle / "model.json").write_text("{}")
    with pytest.raises(UserError, match="damaged"):
        load_bundle(bundle)
    evil = tmp_path / "evil.zip"
    with zipfile.ZipFile(evil, "w") as archive:
        archive.writestr("data.pkl", b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UserError, match="not a model"):
        load_bundle(evil)


def best(loss: Callable[[torch.Tensor], torch.Tensor], size: float) -> float:
    """Return the brightness between 0 and `size` at which a loss is least."""
    levels = torch.linspace(0, size, 41)
    return float(levels[torch.stack([loss(level) for level in levels]).argmin()])


@pytest.mark.parametrize("chance", [0.3, 0.7])
def test_what_may_be_a_nucleus_is_shown_if_it_is_likelier(chance: float) -> None:
    from napari_llcm.models.consistency import site_distance
    from napari_llcm.training.losses import image_loss

    volume = torch.zeros(1, 1, 8, 16, 16)
    volume[..., 4:10, 4:10] = 0.6
    latent = torch.zeros(1, 4, 4, 4, 4)
    latent[..., 1:3, 1:3] = 2.0

    def expected(loss: Callable[..., torch.Tensor], there: torch.Tensor) -> float:
        """Return how much of a nucleus is best shown, of one that is there by `chance`."""
        return best(
            lambda level: (
                chance * loss(level * there, there).mean()
                + (1 - chance) * loss(level * there, 0 * there).mean()
            ),
            1.0,
        )

    shown = 1.0 if chance > 0.5 else 0.0
    assert expected(image_loss, volume) == pytest.approx(shown, abs=0.05)
    assert expected(site_distance, latent) == pytest.approx(shown, abs=0.1)
    # a squared distance would show the mean
    assert expected(lambda a, b: (a - b).square().mean(), latent) == pytest.approx(chance, abs=0.05)


def test_a_nucleus_made_up_costs_as_much_as_one_missed() -> None:
    from napari_llcm.training.losses import image_loss

    none = torch.zeros(1, 1, 8, 16, 16)
    for brightness in (0.12, 0.3, 0.8):  # from a haze to a bright nucleus
        one = none.clone()
        one[..., 4:10, 4:10] = brightness
        made_up, missed = float(image_loss(one, none)), float(image_loss(none, one))
        assert made_up == pytest.approx(missed, rel=0.15)


def test_blur_costs_by_its_spectrum_and_dimness_does_not() -> None:
    from napari_llcm.training.losses import spectrum_loss

    generator = torch.Generator().manual_seed(0)
    fine = torch.rand(2, 1, 4, 64, 64, generator=generator)
    sharp = torch.nn.functional.avg_pool3d(fine, (1, 3, 3), 1, (0, 1, 1))
    blurred = torch.nn.functional.avg_pool3d(sharp, (1, 5, 5), 1, (0, 2, 2)).requires_grad_()
    assert float(spectrum_loss(sharp, sharp)) == 0
    assert float(spectrum_loss(0.8 * sharp, sharp)) < 0.02
    cost = spectrum_loss(blurred, sharp)
    assert float(cost.detach()) > 0.5
    gradient = torch.autograd.grad(cost, blurred)[0]
    better = blurred.detach() - 0.02 * gradient / gradient.abs().max()
    assert float(spectrum_loss(better, sharp).detach()) < float(cost.detach())
