"""Networks that are widened stain as before, and learn more."""

from __future__ import annotations

import pytest
import torch

from napari_llcm.models import ConsistencyConfig, NetworkConfig, load_bundle
from napari_llcm.models.config import MethodName
from napari_llcm.models.library import DEFAULT_MODEL, find_model
from napari_llcm.models.samplers import predict
from napari_llcm.models.stainer import StainerNetworks
from napari_llcm.models.widening import can_widen, widened
from napari_llcm.specimen import Specimen
from napari_llcm.tasks.normalise import qpi_scaling

SMALL = NetworkConfig(
    encoder_widths=(8, 12),
    decoder_widths=(8, 16),
    condition_widths=(8, 12),
    unet_widths=(8, 12, 16),
)


def wider(config: NetworkConfig, factor: float, **changes: object) -> NetworkConfig:
    names = ("encoder_widths", "decoder_widths", "condition_widths", "unet_widths")
    widths = {n: tuple(round(factor * w) for w in getattr(config, n)) for n in names}
    return NetworkConfig(**(config.model_dump() | widths | changes))


def made(config: NetworkConfig, method: MethodName = "llcm") -> StainerNetworks:
    torch.manual_seed(0)
    networks = StainerNetworks(config, ConsistencyConfig(), method)
    for p in networks.parameters():  # blocks start as the identity; make them do something
        torch.nn.init.normal_(p, std=0.2) if p.ndim > 1 else torch.nn.init.uniform_(p, 0.5, 1.5)
    return networks.eval()


@torch.no_grad()
def outputs(networks: StainerNetworks) -> tuple[torch.Tensor, ...]:
    """Return what encoder, one step and decoder make of one input."""
    generator = torch.Generator().manual_seed(1)
    qpi = torch.randn(1, 1, 16, 32, 32, generator=generator)
    noise = torch.randn(1, 4, 8, 8, 8, generator=generator)
    condition = networks.condition(qpi)
    sigma = torch.tensor([networks.denoiser.config.sigma_max])
    latent = networks.denoiser(sigma * noise, sigma, condition)
    return networks.encode(qpi, qpi), latent, networks.decode(latent, qpi)


@pytest.mark.parametrize("changes", [{}, {"unet_blocks": 2, "decoder_skip": True}], ids=str)
@pytest.mark.parametrize("factor", [2, 3])
def test_networks_of_twice_the_width_stain_the_same(
    factor: int, changes: dict[str, object]
) -> None:
    networks = made(SMALL)
    wide = widened(networks, wider(SMALL, factor, **changes))
    for a, b in zip(outputs(networks), outputs(wide), strict=True):
        assert torch.allclose(a, b, atol=2e-4 * float(a.std()), rtol=0)


def test_a_skip_that_was_learned_is_widened_too() -> None:
    networks = made(NetworkConfig(**(SMALL.model_dump() | {"decoder_skip": True})))
    wide = widened(networks, wider(networks.network, 2))
    for a, b in zip(outputs(networks), outputs(wide), strict=True):
        assert torch.allclose(a, b, atol=2e-4 * float(a.std()), rtol=0)


def test_copies_of_a_channel_learn_different_things() -> None:
    wide = widened(made(SMALL), wider(SMALL, 2)).train()
    qpi, noise = torch.randn(1, 1, 16, 32, 32), torch.randn(1, 4, 8, 8, 8)
    sigma = torch.tensor([40.0])
    wide.denoiser(sigma * noise, sigma, wide.condition(qpi)).square().mean().backward()
    network = wide.denoiser.get_submodule("network")
    for conv in (network.get_submodule("stem"), wide.condition.get_submodule("1")):
        assert isinstance(conv, torch.nn.Conv3d)
        first, second = conv.weight.grad.chunk(2)  # type: ignore[union-attr]
        alike = torch.cosine_similarity(first.flatten(), second.flatten(), dim=0)
        assert alike < 0.95


@torch.no_grad()
def test_the_shipped_model_is_widened_by_any_share(specimen: Specimen) -> None:
    bundle = load_bundle(find_model(DEFAULT_MODEL))
    qpi = torch.from_numpy(qpi_scaling(specimen.qpi.data).apply(specimen.qpi.numpy()))
    qpi = qpi.float()[None, None]
    stain = predict(bundle.info, bundle.networks, qpi)
    twice = wider(bundle.info.network, 2)
    sizes = {"unet_widths": (96, 144, 192), "condition_widths": (48, 96)}
    for config, limit in (
        (twice, 1e-4),
        # some channels count twice in a norm
        (bundle.info.network.model_copy(update=sizes), 0.05),
    ):
        other = predict(bundle.info, widened(bundle.networks, config), qpi)
        assert float((other - stain).abs().mean() / stain.std()) < limit


def test_what_cannot_be_widened_is_told() -> None:
    assert not can_widen(
        SMALL, NetworkConfig(**(SMALL.model_dump() | {"unet_widths": (4, 12, 16)}))
    )
    assert not can_widen(SMALL, wider(SMALL, 2, latent_channels=8))
    assert not can_widen(SMALL, NetworkConfig(unet_widths=(64, 96)))
    with pytest.raises(ValueError, match="cannot be widened"):
        widened(made(SMALL), NetworkConfig(latent_channels=8))
