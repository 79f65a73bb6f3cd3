"""Training a control branch: what learns, what stays to the last bit, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from napari_llcm.events import Step, UserError, result_of
from napari_llcm.models import NetworkConfig, load_bundle
from napari_llcm.models.config import MethodName
from napari_llcm.specimen import write_specimens
from napari_llcm.training import make_job, train
from napari_llcm.training.control import degraded
from napari_llcm.training.estimate import estimate
from napari_llcm.training.jobs import load_job, save_job
from tiny import NETWORK, job

pytestmark = pytest.mark.slow  # many small trainings
MONAI = NETWORK.model_copy(update={"unet": "monai", "unet_widths": (16, 32)})


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    result_of(write_specimens(folder, 2, (16, 48, 48), 700, "easy"))
    return folder


@pytest.fixture(scope="module")
def start(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(result_of(train(job(pairs, tmp_path_factory.mktemp("start") / "run"))))


def weights(model: Path) -> dict[str, torch.Tensor]:
    return load_bundle(model).networks.state_dict()


def check_frozen(before: Path, after: Path) -> None:
    """Assert that all of a model is in another, bit for bit, and that the rest has learned."""
    old, new = weights(before), weights(after)
    assert set(old) < set(new)
    for name, values in old.items():
        assert torch.equal(values, new[name]), name
    learned = {k: v for k, v in new.items() if k not in old}
    assert {k.split(".")[0] for k in learned} == {"control", "denoiser"}
    assert any(bool(v.any()) for k, v in learned.items() if ".zeros." in k or "controlnet_" in k)
    assert any(bool(v.any()) for k, v in learned.items() if "cleaner.layers.6" in k)


@pytest.mark.parametrize(
    ("method", "network"),  # no loss but the first knows the kind of the U-Net
    [(method, NETWORK) for method in ("llcm", "diffusion", "resshift", "regression")]
    + [("llcm", MONAI)],
)
def test_the_branch_alone_learns(
    method: MethodName, network: NetworkConfig, pairs: Path, tmp_path: Path
) -> None:
    before = Path(result_of(train(job(pairs, tmp_path / "a", method=method, network=network))))
    changes: dict[str, Any] = {"method": method, "init": str(before), "never_worse": False}
    fields = job(pairs, tmp_path / "b", **changes).model_dump(exclude={"network"})
    events = list(train(make_job(**fields | {"control": True})))
    assert all(0 < e.values["cleaning"] < 3 for e in events if "loss" in getattr(e, "values", {}))
    assert any(isinstance(e, Step) for e in events)
    after = tmp_path / "b" / "model"
    check_frozen(before, after)
    assert load_bundle(after).info.network.control


def test_a_branch_learns_on_from_where_it_was(pairs: Path, start: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"control": True, "never_worse": False}
    first = job(pairs, tmp_path / "a", init=str(start), **changes)
    made = Path(result_of(train(first)))
    again = Path(result_of(train(job(pairs, tmp_path / "b", init=str(made), **changes))))
    old, middle, new = weights(start), weights(made), weights(again)
    assert set(new) == set(middle)
    assert all(torch.equal(old[k], new[k]) for k in old)
    assert not all(torch.equal(middle[k], new[k]) for k in middle)
    # without the option all of it is fine-tuned, the branch too
    whole = Path(result_of(train(job(pairs, tmp_path / "c", init=str(made), never_worse=False))))
    tuned = weights(whole)
    for part in ("condition.", "denoiser.network.stem", "denoiser.network.branch", "control."):
        assert any(not torch.equal(tuned[k], middle[k]) for k in middle if k.startswith(part)), part


def test_a_stopped_branch_goes_on_as_if_it_had_not_been(
    pairs: Path, start: Path, tmp_path: Path
) -> None:
    def run(out: Path) -> Any:
        return job(pairs, out, init=str(start), control=True, never_worse=False)

    whole = weights(Path(result_of(train(run(tmp_path / "whole")))))
    asked = iter([False] * 3)
    list(train(run(tmp_path / "parts"), should_stop=lambda: next(asked, True)))
    resumed = load_job(tmp_path / "parts" / "job.yaml")
    assert resumed.control
    parts = weights(Path(result_of(train(resumed, resume=True))))
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_a_share_of_the_patches_is_degraded(tmp_path: Path) -> None:
    def asked(share: float) -> Any:
        learning = {"degraded": share}
        return make_job(pairs=[tmp_path], out=tmp_path, init="it", control_learning=learning)

    generator = torch.Generator().manual_seed(0)
    phase = torch.randn(64, 1, 4, 16, 16, generator=generator)
    assert torch.equal(degraded(phase, asked(0.0), generator), phase)
    seen = degraded(phase, asked(0.5), generator)
    same = (seen == phase).flatten(1).all(1)
    assert 20 <= int(same.sum()) <= 44


def test_what_does_not_go_with_a_branch_is_refused(
    pairs: Path, start: Path, tmp_path: Path
) -> None:
    common: dict[str, Any] = {"pairs": [pairs], "out": tmp_path, "control": True}
    with pytest.raises(UserError, match="name it by init"):
        make_job(**common)
    with pytest.raises(UserError, match="leave phase and thaw_after out"):
        make_job(**common, init="specimen-v6", thaw_after=1.0)
    with pytest.raises(UserError, match="leave control out"):
        make_job(**common, init="specimen-v6", method="pix2pix")
    other = job(pairs, tmp_path / "run", init=str(start), control=True, method="regression")
    with pytest.raises(UserError, match="choose that method"):
        list(train(other))
    made = make_job(**common, init="specimen-v6", control_learning={"degraded": 0.1})
    save_job(made, tmp_path / "job.yaml")
    assert load_job(tmp_path / "job.yaml") == made


def test_the_time_of_a_branch_is_estimated(pairs: Path, start: Path, tmp_path: Path) -> None:
    asked = job(pairs, tmp_path / "run", init=str(start), control=True)
    assert result_of(estimate(asked))["step_seconds"]["consistency"] > 0


def test_the_command_line_trains_a_branch_and_stains_with_it(
    pairs: Path, start: Path, tmp_path: Path
) -> None:
    from napari_llcm.cli.app import app

    runner, out = CliRunner(), tmp_path / "run"
    said = ["--max-minutes", "0.02", "--device", "cpu"]
    result = runner.invoke(
        app,
        [
            "train",
            "--pairs",
            str(pairs),
            "--out",
            str(out),
            "--init",
            str(start),
            "--control",
            *said,
        ],
    )
    assert result.exit_code == 0, result.output
    phase = next((pairs / "qpi").iterdir())
    stain = ["stain", str(phase), str(tmp_path / "out.ome.tif"), "--device", "cpu"]
    result = runner.invoke(app, [*stain, "--model", str(out / "model")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out.ome.tif").exists()
    result = runner.invoke(
        app, ["train", "--pairs", str(pairs), "--out", str(tmp_path), "--control"]
    )
    assert isinstance(result.exception, UserError)
    assert "name it by init" in str(result.exception)
