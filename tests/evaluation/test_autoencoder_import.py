"""Published autoencoders: read in every layout, to the bit, and what survives them is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter

from napari_llcm.cli import main
from napari_llcm.evaluation.autoencoder_import import AutoencoderImport, import_autoencoder
from napari_llcm.evaluation.survival import Hounsfield, make_judge
from napari_llcm.events import UserError, result_of
from napari_llcm.models import list_models
from napari_llcm.models.autoencoders.config import KIND
from napari_llcm.models.autoencoders.networks import Published, make_published
from napari_llcm.models.autoencoders.saved import load_autoencoder
from napari_llcm.nuclei.segmenting import make_segmenter
from napari_llcm.specimen import Specimen
from napari_llcm.volumes import Volume, write
from tiny import AUTOENCODERS

pytestmark = pytest.mark.versions
Weights = dict[str, Any]


def random_network(settings: dict[str, Any] | str, seed: int = 0) -> Published:
    torch.manual_seed(seed)
    return make_published(KIND.validate_python(settings)).eval()


def of_generative_models(weights: Weights) -> Weights:
    """Return weights under the names that GenerativeModels had for them."""
    names = {
        r"\.attn\.(to_[qkv])": r".\1",
        r"\.attn\.out_proj\.": ".proj_attn.",
        r"\.postconv\.": ".conv.",
    }
    old = {}
    for name, value in weights.items():
        for pattern, before in names.items():
            name = re.sub(pattern, before, name)
        old[name] = value
    return old


LAYOUTS: dict[str, Callable[[Weights], Any]] = {
    "flat": lambda weights: weights,
    "in a training's checkpoint": lambda weights: {
        "epoch": 273,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []},
        "autoencoder_state_dict": {f"module.{k}": v for k, v in weights.items()},
    },
    "GenerativeModels": of_generative_models,
}


def imported(file: Path, kind: str, settings: dict[str, Any] | None = None, **more: Any) -> Any:
    job: dict[str, Any] = {"out": file.parent / "imported", "device": "cpu"} | more
    if settings is not None:
        job["sizes"] = file.parent / "sizes.json"
        job["sizes"].write_text(json.dumps(settings))
    return import_autoencoder(
        AutoencoderImport(file, kind, **job), lambda: make_segmenter("classical")
    )


@torch.inference_mode()
def assert_same(given: Published, folder: Path, shape: tuple[int, ...] = (8, 32, 32)) -> None:
    """Assert that what was imported gives the very numbers of the published network."""
    ours = load_autoencoder(folder).network
    x = torch.rand(1, 1, *shape)
    for a, b in zip(given.encode(x), ours.encode(x), strict=True):
        assert torch.equal(a, b)
    z = given.encode(x)[0]
    assert torch.equal(given.decode(z), ours.decode(z))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["maisi", "mri"])
def test_monai_networks_are_read_to_the_bit_in_every_layout(
    tmp_path: Path, kind: str, layout: str
) -> None:
    levels = len(AUTOENCODERS[kind]["channels"])
    settings = AUTOENCODERS[kind] | {"attention_levels": [False] * (levels - 1) + [True]}
    network = random_network(settings)
    file = tmp_path / "autoencoder.pt"
    torch.save(LAYOUTS[layout](network.net.state_dict()), file)
    folder = result_of(imported(file, kind, settings))
    assert_same(network, folder)
    assert folder not in list_models().values()  # it does not stain


@pytest.mark.parametrize("kind", ["planes", "cogvideox"])
def test_diffusers_networks_are_read_to_the_bit_with_their_config(
    tmp_path: Path, kind: str
) -> None:
    network = random_network(AUTOENCODERS[kind])
    network.net.save_pretrained(tmp_path)
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    published = {"planes": "mri"}.get(kind, kind)
    folder = result_of(imported(file, published, sizes=tmp_path / "config.json"))
    assert_same(network, folder)
    info = load_autoencoder(folder).info
    assert info.autoencoder.kind == kind
    assert info.scale_factor == network.net.config.scaling_factor  # taken, as none was measured


def test_medvae_is_read_with_what_it_classifies_by_left_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = AUTOENCODERS["medvae"]
    network = random_network(settings)
    left = {"channel_ds.0.weight": torch.zeros(3), "loss.logvar": torch.zeros(())}
    file, sizes = tmp_path / "vae.ckpt", tmp_path / "sizes.yaml"
    torch.save({"state_dict": network.net.state_dict() | left, "global_step": 7}, file)
    sizes.write_text(json.dumps(settings))
    words = ["model", "import-vae", file, "--kind", "medvae", "--sizes", sizes, "--name", "mine"]
    monkeypatch.setattr("sys.argv", ["napari-llcm", *map(str, words)])
    with pytest.raises(SystemExit, match="0"):
        main()
    told = capsys.readouterr()
    assert "left over  channel_ds.0.weight" in told.err
    assert "matched    encoder.down.0.block.0.conv1.weight" in told.err
    assert f"{len(network.net.state_dict())} matched, 0 missing, 2 left over" in told.err
    assert "was not measured" in told.out
    assert_same(network, Path("mine"))


def test_weights_that_do_not_fit_are_refused_with_what_is_missing(tmp_path: Path) -> None:
    settings = AUTOENCODERS["maisi"]
    weights = random_network(settings).net.state_dict()
    weights["encoder.blocks.0.conv.conv.weight"] = torch.zeros(2, 1, 3, 3, 3)
    del weights["post_quant_conv.conv.bias"]
    file = tmp_path / "some.safetensors"
    save_file(weights, file)
    said: list[str] = []
    with pytest.raises(UserError, match=r"lacks 2 .*\(8 × 1 × 3 × 3 × 3 is needed, 2 × 1"):
        result_of(imported(file, "maisi", settings), lambda event: said.append(str(event)))
    assert "missing    post_quant_conv.conv.bias" in " ".join(said)
    assert not (tmp_path / "imported").exists()


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": {}, "callbacks": Runs()}, tmp_path / "bad.ckpt")
    with pytest.raises(UserError, match="could run code"):
        result_of(imported(tmp_path / "bad.ckpt", "medvae"))
    assert not (tmp_path / "ran").exists()
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    for name in ("text.pt", "text.safetensors", "none.pt"):
        with pytest.raises(UserError):
            result_of(imported(tmp_path / name, "maisi"))


def test_a_round_trip_is_measured_and_told(tmp_path: Path, specimen: Specimen) -> None:
    settings = AUTOENCODERS["maisi"]
    file, dapi = tmp_path / "weights.pt", tmp_path / "dapi.ome.tif"
    torch.save(random_network(settings).net.state_dict(), file)
    write(dapi, specimen.dapi)
    folder = result_of(imported(file, "maisi", settings, volumes=[dapi]))
    info = load_autoencoder(folder).info
    assert info.round_trip is not None
    assert "do not survive" in info.round_trip["verdict"]  # its weights are random
    assert info.round_trip["nuclei"] == 2
    assert info.latent_std is not None
    assert info.scale_factor == pytest.approx(1 / np.mean(info.latent_std))
    taken = result_of(imported(file, "maisi", settings, volumes=[dapi], scale=2.0, overwrite=True))
    assert load_autoencoder(taken).info.latent_std == [0.5] * 4
    with pytest.raises(UserError, match="--overwrite"):
        result_of(imported(file, "maisi", settings))


def test_what_survives_is_said_by_how_much_of_it_does(specimen: Specimen) -> None:
    dapi = specimen.dapi
    blurred = dapi.replace(data=gaussian_filter(dapi.numpy().astype(np.float32), (4, 12, 12)))
    for back, said in ((dapi, "Nuclei survive it: "), (blurred, "do not survive")):
        judge = make_judge("nuclei", Hounsfield(), lambda: make_segmenter("classical"))
        figures = _finish(judge.compare(dapi, back))
        assert said in judge.total([figures])[1]
    ct = Volume(np.linspace(-1000, 1000, 4096, dtype=np.float32).reshape(16, 16, 16), (1, 1, 1))
    for shift, said in ((0, "PSNR 100.0"), (5, "survive it: "), (18, "in part"), (60, "not surv")):
        judge = make_judge(
            "hu", Hounsfield(centre=0, width=2000), lambda: pytest.fail("no segmenter")
        )
        figures = _finish(judge.compare(ct, ct.replace(data=ct.numpy() + shift)))
        assert said in judge.total([figures])[1]
        assert figures["hu_mae"] == pytest.approx(shift, rel=0.05)


def _finish(steps: Any) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def published_network(kind: str) -> Any:
    """Return a network as its authors' own files of settings make it."""
    if kind == "maisi":
        from monai.apps.generation.maisi.networks.autoencoderkl_maisi import AutoencoderKlMaisi

        return AutoencoderKlMaisi(
            spatial_dims=3,
            in_channels=1,
            out_channels=1,
            latent_channels=4,
            num_channels=[64, 128, 256],
            num_res_blocks=[2, 2, 2],
            norm_num_groups=32,
            norm_eps=1e-6,
            attention_levels=[False, False, False],
            with_encoder_nonlocal_attn=False,
            with_decoder_nonlocal_attn=False,
            use_checkpointing=False,
            use_convtranspose=False,
            norm_float16=False,  # there True, under autocast
            num_splits=1,  # there 8
            dim_split=1,
        )
    import diffusers

    if kind == "cogvideox":
        return diffusers.AutoencoderKLCogVideoX(scaling_factor=0.7)
    return diffusers.AutoencoderKL(
        act_fn="silu",
        block_out_channels=(128, 256, 512),
        down_block_types=("DownEncoderBlock2D",) * 3,
        force_upcast=True,
        in_channels=2,
        latent_channels=4,
        layers_per_block=2,
        norm_num_groups=32,
        out_channels=2,
        sample_size=256,
        scaling_factor=0.18215,
        up_block_types=("UpDecoderBlock2D",) * 3,
    )


def there_and_back(kind: str, net: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return latent and volume of x (1, 1, z, y, x) by the network itself."""
    if kind == "maisi":
        z = net.encode(x)[0]
        return z, net.decode(z)
    if kind == "cogvideox":
        z = net.encode((2 * x - 1).repeat(1, 3, 1, 1, 1)).latent_dist.mean
        return z, (net.decode(z).sample.mean(1, keepdim=True) + 1) / 2
    planes = x[0].transpose(0, 1)
    z = net.encode(torch.cat([planes, torch.zeros_like(planes)], 1)).latent_dist.mean
    return z.transpose(0, 1)[None], net.decode(z).sample[:, :1].transpose(0, 1)[None]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["maisi", "planes", "cogvideox"])
@torch.inference_mode()
def test_published_networks_are_read_at_full_size_to_the_bit(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    net = published_network(kind).eval()
    file = tmp_path / "weights.safetensors"
    save_file(net.state_dict(), file)
    folder = result_of(imported(file, {"planes": "mri"}.get(kind, kind)))
    ours = load_autoencoder(folder).network
    x = torch.rand(1, 1, 8, 16, 16)
    z, y = there_and_back(kind, net, x)
    assert torch.equal(ours.encode(x)[0], z)
    assert torch.equal(ours.decode(z), y)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mri", "medvae"])
def test_the_others_are_read_at_full_size_to_the_bit(tmp_path: Path, kind: str) -> None:
    network = random_network(kind)
    file = tmp_path / "weights.pt"
    torch.save({"state_dict": network.net.state_dict()}, file)
    folder = result_of(imported(file, kind))
    assert load_autoencoder(folder).info.autoencoder.kind == kind
    assert_same(network, folder, (8, 16, 16))
