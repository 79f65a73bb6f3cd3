"""The benchmark of speed: a tiny run tells all it promises, and its figures agree."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from napari_llcm.cli.app import app
from napari_llcm.evaluation.speed import SpeedBenchmark, benchmark_speed
from napari_llcm.evaluation.speed.networks import NETWORKS, flop_of_network, flop_of_ours
from napari_llcm.evaluation.speed.report import KEYS
from napari_llcm.events import Finished, Notice, UserError
from napari_llcm.models import ConsistencyConfig, ModelInfo, load_bundle, save_bundle
from napari_llcm.models.stainer import StainerNetworks
from napari_llcm.tasks.normalise import Scaling
from tiny import NETWORK

SIZES = ((16, 32, 32), (16, 64, 64))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    info = ModelInfo(
        name="tiny",
        network=NETWORK,
        scalings={"qpi": Scaling(low=0, high=1), "dapi": Scaling(low=0, high=1)},
        spacing=(0.8, 0.5, 0.5),
    )
    networks = StainerNetworks(NETWORK, ConsistencyConfig())
    return save_bundle(tmp_path_factory.mktemp("model") / "tiny", info, networks)


@pytest.mark.slow
def test_a_tiny_run_tells_all_that_is_promised(model: Path, tmp_path: Path) -> None:
    words = ["benchmark", "speed", "--out", tmp_path, "--model", model, "--minutes", 0.2]
    for shape in SIZES:
        words += ["--size", ",".join(map(str, shape))]
    done = CliRunner().invoke(app, [*map(str, words), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "ratio_vs_pix2pix" in done.output
    told = json.loads((tmp_path / "speed.json").read_text())
    assert told["left_out"] == {}
    missing = [key for key in KEYS if told[key] is None]
    assert missing == ([] if find_spec("viscy_models") else ["ratio_vs_vscyto3d"])
    assert len(told["rivals"]["missing"]) == len(missing)
    assert told["device"] == "cpu"
    assert {"precision", "threads", "versions", "device_name"} <= set(told)

    rows = told["rivals"]["rows"]
    for name in ("pix2pix", "fnet", "ddim20"):
        ratio = rows[name]["seconds"] / rows["ours"]["seconds"]
        assert told[f"ratio_vs_{name}"] == pytest.approx(ratio)
    windows = told["windows"]
    of_windows = windows["ours_voxels_per_second"] / windows["voxels_per_second"]
    assert told["ratio_vs_monai_window"] == pytest.approx(of_windows)
    errors = windows["error_by_overlap"]
    assert windows["equal"] == (errors[str(windows["overlap"])] <= windows["rounding"])

    arithmetic = told["arithmetic"]
    assert arithmetic["flop_per_voxel"] == pytest.approx(flop_of_ours(load_bundle(model)))
    share = told["matmul_fraction"] / told["matmul_fraction_bare_networks"]
    assert share == pytest.approx(told["chunking_efficiency"])

    assert [tuple(row["shape"]) for row in told["sizes"]] == list(SIZES)
    small, large = told["stored"]["runs"]
    assert large["voxels"] == told["stored"]["times_the_voxels"] * small["voxels"]
    assert told["memory_growth_16x"] == pytest.approx(large["bytes"] / small["bytes"] - 1)
    training = told["training"]
    faster = training["samples_per_second"] / training["samples_per_second_uncached"]
    assert told["latent_cache_ratio"] == pytest.approx(faster)
    page = (tmp_path / "speed.html").read_text()
    assert all(key in page for key in KEYS)
    assert (tmp_path / "speed.png").stat().st_size > 1000


def test_what_cannot_be_measured_is_named_and_the_rest_goes_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_llcm.evaluation.speed.benchmark.MEASUREMENTS", _two())
    benchmark = SpeedBenchmark(tmp_path, "cpu", str(model), 0.1, SIZES[:1])
    events = list(benchmark_speed(benchmark))
    assert any("fails could not be measured" in e.text for e in events if isinstance(e, Notice))
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.result["left_out"] == {"fails": "RuntimeError: no such thing"}
    assert last.result["voxels_per_second"] == 5.0
    assert last.result["ratio_vs_fnet"] is None
    assert "not measured" in (tmp_path / "speed.html").read_text()


def _two() -> dict[str, object]:
    def fail(_: object) -> dict[str, float]:
        raise RuntimeError("no such thing")

    return {"fails": fail, "works": lambda _: {"voxels_per_second": 5.0}}


def test_sizes_that_a_rival_cannot_halve_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="multiples of 16"):
        list(benchmark_speed(SpeedBenchmark(tmp_path, "cpu", sizes=((16, 40, 40),))))


def test_rivals_have_the_size_that_was_published() -> None:
    fnet = NETWORKS["fnet"][1]()
    # pytorch_fnet's default: 23 million weights; 459 thousand operations a voxel
    assert sum(p.numel() for p in fnet.parameters()) == pytest.approx(23e6, rel=0.05)
    assert flop_of_network(NETWORKS["fnet"][1]) == pytest.approx(459e3, rel=0.01)
    assert flop_of_network(NETWORKS["pix2pix"][1]) == pytest.approx(633e3, rel=0.02)
