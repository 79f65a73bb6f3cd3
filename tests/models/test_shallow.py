"""Gradients in bfloat16 on a processor are those in float32, however few planes there are."""

from __future__ import annotations

import pytest

from napari_llcm.models.config import ConsistencyConfig, NetworkConfig
from napari_llcm.models.shallow import bfloat16_with_gradients
from napari_llcm.models.stainer import StainerNetworks

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("planes", [8, 16, 24])
def test_gradients_of_few_planes_are_right_in_bfloat16(
    planes: int, recompute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_llcm.models.blocks import ResBlock

    monkeypatch.setattr(ResBlock, "recompute", recompute)
    torch.manual_seed(0)
    network = NetworkConfig(condition_widths=(8, 16), unet_widths=(16, 16, 16))
    networks = StainerNetworks(network, ConsistencyConfig())
    for parameter in networks.parameters():  # zero weights would hide what lies behind them
        if parameter.ndim == 5:
            torch.nn.init.normal_(parameter, std=0.05)
    parts = (networks.condition, networks.denoiser)
    qpi = torch.randn(2, 1, planes, 32, 32)
    noise = torch.randn(2, network.latent_channels, planes // 2, 8, 8)
    sigma = torch.full((2,), 2.0)

    def gradients() -> list[torch.Tensor]:
        networks.zero_grad()
        networks.denoiser(noise, sigma, networks.condition(qpi)).square().mean().backward()
        return [p.grad.clone() for part in parts for p in part.parameters() if p.grad is not None]

    exact = gradients()
    with bfloat16_with_gradients(torch.device("cpu")):
        rounded = gradients()
    for one, other in zip(exact, rounded, strict=True):
        assert (one - other).norm() < 0.15 * one.norm() + 1e-4
