"""Control branches and spatial tokens: nothing is added at the start; saved and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from napari_llcm.events import UserError
from napari_llcm.models import (
    ConsistencyConfig,
    ModelInfo,
    NetworkConfig,
    load_bundle,
    save_bundle,
)
from napari_llcm.models.condition import Condition, unpacked
from napari_llcm.models.config import MethodName
from napari_llcm.models.control import with_branch
from napari_llcm.models.library import DEFAULT_MODEL, load_model
from napari_llcm.models.samplers import predict
from napari_llcm.models.stainer import StainerNetworks
from napari_llcm.tasks.normalise import Scaling

LOCAL = NetworkConfig(
    encoder_widths=(8, 8), decoder_widths=(8, 8), condition_widths=(8, 8), unet_widths=(8, 16)
)
MONAI = LOCAL.model_copy(update={"unet": "monai", "unet_widths": (16, 32)})
ATTENTION = MONAI.model_copy(update={"condition": "attention"})
VECTOR = MONAI.model_copy(update={"condition": "vector"})
KINDS = {"local": LOCAL, "monai": MONAI, "attention": ATTENTION, "vector": VECTOR}


def awake(config: NetworkConfig, method: MethodName = "llcm") -> StainerNetworks:
    """Return networks all of whose weights do something; a branch's last ones, too."""
    torch.manual_seed(0)
    made = StainerNetworks(config, ConsistencyConfig(), method)
    for weights in made.parameters():
        if weights.ndim > 1:
            torch.nn.init.normal_(weights, std=0.7 / weights[0].numel() ** 0.5)
    return made.eval()


def info(config: NetworkConfig, method: MethodName = "llcm") -> ModelInfo:
    return ModelInfo(name="it", network=config, method=method, dapi=Scaling(low=100, high=900))


@torch.no_grad()
def stain(networks: StainerNetworks, phase: torch.Tensor, **more: Any) -> torch.Tensor:
    return predict(info(networks.network, networks.method), networks, phase, **more)


@pytest.mark.parametrize(
    ("kind", "method"),  # no sampler but the first's knows the kind of the U-Net
    [("local", method) for method in ("llcm", "regression", "diffusion", "resshift")]
    + [(kind, "llcm") for kind in KINDS if kind != "local"],
)
def test_a_new_branch_changes_no_bit_of_the_stain(kind: str, method: MethodName) -> None:
    frozen = awake(KINDS[kind], method)
    controlled = with_branch(frozen)
    assert controlled.network.control
    phase = torch.randn(1, 1, 16, 32, 32)
    steps = {"steps": 2} if method in ("llcm", "diffusion") else {}
    assert torch.equal(stain(frozen, phase, **steps), stain(controlled, phase, **steps))
    # of a branch that has learned, something is seen
    last = controlled.denoiser.network.get_submodule("branch")
    for name, weights in last.named_parameters():
        if not weights.any():
            torch.nn.init.normal_(weights, std=0.3), name
    assert not torch.allclose(stain(frozen, phase, **steps), stain(controlled, phase, **steps))


def test_a_branch_on_the_shipped_model_changes_no_bit_in_bfloat16_either() -> None:
    frozen = load_model(DEFAULT_MODEL)
    controlled = with_branch(frozen.networks)
    phase = torch.randn(1, 1, 16, 32, 32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        a = predict(frozen.info, frozen.networks, phase)
        b = predict(frozen.info, controlled, phase)
    assert torch.equal(a, b)


def test_a_branch_is_a_copy_of_the_encoder_and_of_the_phase_encoder() -> None:
    frozen = awake(LOCAL)
    controlled = with_branch(frozen)
    phase, x = torch.randn(1, 1, 16, 32, 32), torch.randn(1, 4, 8, 8, 8)
    condition = controlled.conditioned(phase)
    assert isinstance(condition, Condition)
    assert condition.control is not None
    assert torch.equal(condition.control, condition.features)  # the cleaner is the identity
    unet: Any = controlled.denoiser.network
    e = unet.embed(torch.ones(1))
    ours = unet.branch.contract(x, unet.branch.embed(torch.ones(1)), condition.control)
    for a, b in zip(unet.contract(x, e, condition.features), ours, strict=True):
        assert torch.equal(a, b)
    with pytest.raises(ValueError, match="needs a Condition"):
        controlled.denoiser(x, torch.ones(1), condition.features)


def test_features_for_all_ways_in_lie_in_one_array() -> None:
    condition = Condition(torch.randn(2, 3, 4, 4, 4), torch.randn(2, 3, 4, 4, 4))
    again = unpacked(condition.packed(), 3)
    assert isinstance(again, Condition)
    assert again.control is not None
    assert condition.control is not None
    assert torch.equal(again.features, condition.features)
    assert torch.equal(again.control, condition.control)
    plain = torch.randn(2, 3, 4, 4, 4)
    assert unpacked(plain, 3) is plain
    hidden = (condition * 0.0)[:1]
    assert hidden.packed().shape == (1, 6, 4, 4, 4)
    assert not hidden.packed().any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_branch_is_saved_and_loaded(kind: str, tmp_path: Path) -> None:
    controlled = awake(KINDS[kind].model_copy(update={"control": True}))
    path = save_bundle(tmp_path / "it", info(controlled.network), controlled)
    loaded = load_bundle(path)
    assert loaded.info.network.control
    phase = torch.randn(1, 1, 16, 32, 32)
    assert torch.allclose(stain(loaded.networks, phase), stain(controlled, phase), atol=0.05)
    text = (path / "model.json").read_text()
    (path / "model.json").write_text(text.replace('"control": true', '"control": false'))
    with pytest.raises(UserError, match="do not fit"):
        load_bundle(path)


def test_tokens_tell_where_something_is() -> None:
    """Attention takes tokens in any order: only the code of their places tells a moved one."""
    networks = awake(ATTENTION)
    x, features = torch.randn(1, 4, 8, 8, 8), torch.randn(1, 8, 8, 8, 8)
    with torch.no_grad():
        here, there = (
            networks.denoiser(x, torch.ones(1), f) for f in (features, features.roll(4, -1))
        )
    assert float((here - there).abs().max()) > 1e-3 * float(here.std())


def test_attention_is_of_monais_unet_alone_and_has_a_window() -> None:
    with pytest.raises(ValidationError, match="needs unet monai"):
        NetworkConfig(condition="attention")
    assert not ATTENTION.local
    assert ATTENTION.window == (32, 64, 64)
    assert MONAI.window is None
    assert LOCAL.model_copy(update={"control": True}).local
