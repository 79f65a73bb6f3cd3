"""Numbers stay finite: a step of the sampler that overflows ends the job in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_llcm.events import UserError
from napari_llcm.models import ConsistencyConfig, ModelBundle, NetworkConfig
from napari_llcm.models.config import MethodName
from napari_llcm.models.samplers import make_sampler
from napari_llcm.models.stainer import StainerNetworks
from napari_llcm.volumes import read
from stains import SMALL, make_model, make_volume, staining

VOLUME = make_volume((8, 16, 16))
BLENDED = SMALL.model_copy(update={"unet": "monai", "unet_widths": (16, 16)})
REDUCED = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@pytest.fixture
def reduced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the networks of a job in a shorter type, as `precision` chooses for a device."""
    for room in ("models.device", "staining.pipeline", "staining.tiled", "staining.stainer"):
        monkeypatch.setattr(f"napari_llcm.{room}.precision", lambda device: REDUCED[request.param])
    return str(request.param)


def model_of(method: MethodName, network: NetworkConfig = SMALL) -> ModelBundle:
    bundle = make_model(network)
    made = StainerNetworks(network, ConsistencyConfig(), method).eval()
    made.load_state_dict(bundle.networks.state_dict(), strict=False)
    info = bundle.info.model_copy(update={"method": method})
    return ModelBundle(info, made, "test")


@contextmanager
def poisoned(model: ModelBundle, step: int) -> Iterator[list[torch.Tensor]]:
    """Make one value of the U-Net's output infinite in the step of that number, from 1."""
    calls: list[torch.Tensor] = []

    def poison(_: Any, inputs: Sequence[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        calls.append(output)
        if len(calls) == step:
            output = output.clone()
            output[0, 0, -1, -1, -1] = torch.inf
        return output

    handle = model.networks.denoiser.network.register_forward_hook(poison)
    try:
        yield calls
    finally:
        handle.remove()


def refusal(model: ModelBundle, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        list(staining(VOLUME, model, check=False, **options))
    return str(caught.value)


@pytest.mark.parametrize("reduced", REDUCED, indirect=True)
@pytest.mark.parametrize(
    ("method", "network", "steps", "bad"),
    [
        ("llcm", SMALL, 2, 1),
        ("llcm", SMALL, 2, 2),
        ("llcm", BLENDED, 2, 2),
        ("diffusion", SMALL, 20, 3),
        ("diffusion", SMALL, 20, 20),
        ("resshift", SMALL, 15, 7),
        ("regression", SMALL, 1, 1),
    ],
)
def test_a_poisoned_step_ends_the_job_by_its_name(
    reduced: str, method: MethodName, network: NetworkConfig, steps: int, bad: int, tmp_path: Path
) -> None:
    model, out = model_of(method, network), tmp_path / "out.ome.zarr"
    with poisoned(model, bad) as calls:
        said = refusal(model, out=out, steps=steps)
    assert calls[0].dtype is REDUCED[reduced]
    assert len(calls) == bad  # no step more
    assert said.startswith(f"Step {bad} of {steps} of model test gives values that are no numbers")
    assert reduced in said
    assert said.count(".") == 1  # one sentence
    assert not out.exists()
    # what the job left behind does not spoil the next one
    first, again = (
        list(staining(VOLUME, model, check=False, steps=steps, out=where))[-1]
        for where in (out, None)
    )
    assert np.isfinite(read(out).numpy()).all()
    np.testing.assert_array_equal(read(first.result["out"]).numpy(), again.value.numpy())


@pytest.mark.parametrize("method", ["llcm", "pix2pix"])
def test_what_overflows_after_the_last_step_is_named(method: MethodName, tmp_path: Path) -> None:
    model, out = model_of(method, BLENDED), tmp_path / "out.ome.tif"
    name = {"llcm": "autoencoder.decoder", "pix2pix": "generator"}[method]
    hook = model.networks.get_submodule(name).register_forward_hook(lambda *given: given[2] / 0)
    said = refusal(model, out=out)
    hook.remove()
    assert said.startswith(f"The {name.split('.')[-1]} of model test gives values that are no")
    assert not out.exists()


def grow(model: ModelBundle, factor: float) -> None:
    """Let the features of the U-Net's last convolution grow, as a bad training does."""
    with torch.no_grad():
        model.networks.denoiser.network.head[-1].weight.mul_(factor)


@pytest.mark.parametrize("reduced", ["float16"], indirect=True)
@pytest.mark.parametrize("steps", [1, 2])
def test_what_outgrows_float16_alone_is_put_down_to_it(reduced: str, steps: int) -> None:
    model = make_model()
    grow(model, 1e6)
    said = refusal(model, steps=steps)
    assert said.startswith(f"Step 1 of {steps} of model test ")
    assert "float16" in said


def test_float32_holds_what_outgrows_float16() -> None:
    model = make_model()
    grow(model, 1e6)
    result = list(staining(VOLUME, model, check=False, steps=2))[-1].value
    assert np.isfinite(result.numpy()).all()
    grow(model, 1e36)
    said = refusal(model, steps=2)
    assert said.startswith("Step 1 of 2 of model test ")
    assert "weights have probably grown too large" in said


@pytest.mark.parametrize("method", ["llcm", "regression", "diffusion", "resshift"])
def test_noise_levels_and_sums_are_in_float32_under_autocast(method: MethodName) -> None:
    model = model_of(method)
    seen: list[torch.Tensor] = []
    model.networks.denoiser.network.register_forward_pre_hook(lambda _, given: seen.extend(given))
    sampler = make_sampler(model.info, model.networks)
    x = torch.randn((1, 2, 4, 8, 8)).bfloat16()
    condition = torch.randn((1, 4, 4, 8, 8)).bfloat16()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for index in (0, sampler.steps - 1):
            assert sampler.step(index, x, x, condition).dtype is torch.float32
    latents, sigmas = seen[::3], seen[1::3]
    assert {t.dtype for t in (*latents, *sigmas)} == {torch.float32}
    assert torch.isfinite(torch.cat(sigmas)).all()


@pytest.mark.parametrize("prediction", ["v", "x0"])
def test_diffusion_never_divides_by_the_signal(prediction: str) -> None:
    """An error of 1 stays one; predicted as noise, which is divided by the signal, it was 1,579."""
    model = model_of("diffusion")
    info = model.info.model_copy(
        update={"diffusion": model.info.diffusion.model_copy(update={"prediction": prediction})}
    )
    noise, condition = torch.randn((1, 2, 4, 8, 8)), torch.zeros((1, 4, 4, 8, 8))
    results = []
    for error in (0.0, 1.0):
        hook = model.networks.denoiser.network.register_forward_hook(
            lambda _, given, output, error=error: torch.full_like(output, error)
        )
        sampler = make_sampler(info, model.networks, 20)
        with torch.inference_mode():
            results.append(sampler.step(0, noise, noise, condition))
        hook.remove()
    assert float((results[1] - results[0]).abs().max()) < 1.1
    with pytest.raises(UserError, match="at most 1000 steps"):
        make_sampler(info, model.networks, 1001)
