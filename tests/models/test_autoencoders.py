"""Autoencoders: the kinds in a configuration, their networks, and published weights."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from napari_llcm.models import NetworkConfig, find_model, read_info
from napari_llcm.models.autoencoders.config import Factor, MedVaeKind, MriKind
from napari_llcm.models.autoencoders.networks import make_autoencoder, make_published
from napari_llcm.models.config import PRESETS
from tiny import AUTOENCODERS

pytestmark = pytest.mark.versions
PARAMETERS = {  # in millions: the size of the published files over 4 bytes, where there are any
    "maisi": 20.9,  # 84 MB
    "planes": 55.3,  # 221 MB
    "cogvideox": 215.6,  # 862 MB
    "mri": 53.3,
    "medvae": 160.9,  # 644 MB with what classifies
}


def test_kinds_are_said_by_name_or_settings_and_models_of_before_load() -> None:
    assert read_info(find_model("specimen-v6")).network.autoencoder.kind == "local"
    plan = PRESETS["plan"].model_dump(mode="json")
    assert plan["autoencoder"] == "monai"  # as earlier versions read it
    assert NetworkConfig.model_validate(plan) == PRESETS["plan"]
    network = NetworkConfig(autoencoder="maisi")
    assert (network.factor, network.latent_channels) == ((4, 4, 4), 4)
    assert not network.local
    assert NetworkConfig.model_validate_json(network.model_dump_json()) == network
    anisotropic = NetworkConfig(
        autoencoder={"kind": "medvae", "strides": [[1, 2, 2], [2, 2, 2]], "latent_channels": 3}
    )
    assert (anisotropic.factor, anisotropic.latent_channels) == ((2, 4, 4), 3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "vqgan"}, "vqgan"),
        ({"kind": "maisi", "channels": (33, 64, 128)}, "norm_groups"),
        ({"kind": "maisi", "channels": (32, 64)}, "res_blocks needs 2"),
        ({"kind": "medvae", "heads": 3}, "multiples of heads"),
        ({"kind": "mri", "intensities": (1, 1)}, "must differ"),
    ],
)
def test_settings_that_make_no_network_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        NetworkConfig(autoencoder=settings)
    with pytest.raises(ValidationError, match="leave both out"):
        NetworkConfig(autoencoder="maisi", factor=(2, 2, 2))


@pytest.mark.parametrize("kind", PARAMETERS)
def test_default_sizes_are_the_published_ones(kind: str) -> None:
    config = NetworkConfig(autoencoder=kind)
    with torch.device("meta"):
        network = make_autoencoder(config)
    count = sum(p.numel() for p in network.parameters()) / 1e6
    assert count == pytest.approx(PARAMETERS[kind], abs=0.1)


@pytest.mark.parametrize("kind", AUTOENCODERS)
@torch.inference_mode()
def test_every_kind_encodes_to_its_grid_and_back(kind: str) -> None:
    config = NetworkConfig(autoencoder=AUTOENCODERS[kind], unet_widths=(8, 16))
    torch.manual_seed(0)
    autoencoder = make_autoencoder(config).eval()
    shape = tuple(2 * m for m in config.multiple)
    mean, log_variance = autoencoder.encode(torch.rand(2, 1, *shape))
    sites = tuple(n // f for n, f in zip(shape, config.factor, strict=True))
    assert mean.shape == log_variance.shape == (2, config.latent_channels, *sites)
    assert autoencoder.decode(mean).shape == (2, 1, *shape)
    assert sum(1 for _ in autoencoder.decoding().parameters())


@torch.inference_mode()
def test_medvae_of_one_plane_is_the_same_network_of_diffusers_in_2d() -> None:
    """An independent one: with z never halved and kernels empty beside their plane, 3D is 2D."""
    from diffusers import AutoencoderKL

    kind = MedVaeKind(
        channels=(8, 16, 16), norm_groups=4, latent_channels=3, strides=((1, 2, 2), (1, 2, 2))
    )
    torch.manual_seed(0)
    net = make_published(kind).net.eval()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.2)
        if p.ndim == 5 and p.shape[2] == 3:
            p[:, :, 0] = p[:, :, 2] = 0
    other = AutoencoderKL(
        in_channels=1,
        out_channels=1,
        block_out_channels=kind.channels,
        latent_channels=3,
        layers_per_block=2,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
    ).eval()
    ours = {k: v[:, :, v.shape[2] // 2] if v.ndim == 5 else v for k, v in net.state_dict().items()}
    theirs = {_of_diffusers(k, len(kind.channels)): v for k, v in ours.items()}
    linear = {
        k: v[:, :, 0, 0] if "attentions" in k and v.ndim == 4 else v for k, v in theirs.items()
    }
    other.load_state_dict(linear)
    x = torch.rand(1, 1, 16, 24)
    mean, _ = net.encode(x[:, :, None])
    expected = other.encode(x).latent_dist.mean
    assert torch.allclose(mean[:, :, 0], expected, rtol=1e-4, atol=1e-4 * expected.std())
    y, image = net.decode(mean)[:, :, 0], other.decode(expected).sample
    assert torch.allclose(y, image, rtol=1e-3, atol=1e-3 * image.std())


def _of_diffusers(key: str, levels: int) -> str:
    """Return the name in diffusers of a weight of latent diffusion."""
    words = key.split(".")
    if words[1] in ("down", "up"):
        index = int(words[2]) if words[1] == "down" else levels - 1 - int(words[2])
        rest = ".".join(words[3:]).replace("block.", "resnets.")
        rest = rest.replace("downsample.", "downsamplers.0.").replace("upsample.", "upsamplers.0.")
        key = f"{words[0]}.{words[1]}_blocks.{index}.{rest}"
    names = {
        "mid.block_1": "mid_block.resnets.0",
        "mid.block_2": "mid_block.resnets.1",
        "mid.attn_1": "mid_block.attentions.0",
        "nin_shortcut": "conv_shortcut",
        "norm_out": "conv_norm_out",
        "0.norm.": "0.group_norm.",
        ".q.": ".to_q.",
        ".k.": ".to_k.",
        ".v.": ".to_v.",
        ".proj_out.": ".to_out.0.",
    }
    for name, other in names.items():
        key = key.replace(name, other)
    return key


def test_splits_of_maisi_change_nothing() -> None:
    torch.manual_seed(0)
    sizes = AUTOENCODERS["maisi"]
    whole = make_published(_kind(sizes)).eval()
    split = make_published(_kind(sizes | {"num_splits": 2, "dim_split": 1})).eval()
    split.load_state_dict(whole.state_dict())
    x = torch.rand(1, 1, 8, 64, 16)
    with torch.inference_mode():
        assert torch.allclose(whole.encode(x)[0], split.encode(x)[0], atol=1e-5)


def _kind(settings: dict[str, Any]) -> Any:
    return NetworkConfig(autoencoder=settings).autoencoder


def test_attention_of_mri_can_be_put_at_any_level() -> None:
    sizes = {"channels": (8, 8, 8), "norm_groups": 4, "res_blocks": (1, 1, 1)}
    none = MriKind(**sizes, attention_levels=(False,) * 3, middle_attention=False)
    some = MriKind(**sizes, attention_levels=(False, True, False))
    count = [sum(".to_q.weight" in k for k in make_published(k).state_dict()) for k in (none, some)]
    assert count == [0, 4]


@pytest.mark.parametrize(("factor", "outputs"), [((2, 2, 2), 1), ((1, 4, 2), 2)])
def test_wavelets_lose_nothing_and_keep_distances(factor: Factor, outputs: int) -> None:
    config = NetworkConfig(autoencoder="wavelet", factor=factor, outputs=outputs, inputs=3)
    assert config.latent_channels == outputs * prod(factor)
    assert config.local
    assert NetworkConfig.model_validate_json(config.model_dump_json()) == config
    wavelets = make_autoencoder(config)
    assert not list(wavelets.parameters())
    x = torch.randn(2, outputs, 8, 16, 8, generator=torch.Generator().manual_seed(0))
    z, _ = wavelets.encode(x)
    assert z.shape[1:] == (config.latent_channels, 8 // factor[0], 16 // factor[1], 8 // factor[2])
    torch.testing.assert_close(wavelets.decode(z), x)
    torch.testing.assert_close(z.square().sum(), x.square().sum())
    with pytest.raises(ValueError, match="decoder_skip"):
        NetworkConfig(autoencoder="wavelet", decoder_skip=True)
