"""Training on pairs whose DAPI is one plane: columns, projections, mixed folders, thin stacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from flat_fields import flat_folder, plane_of
from napari_llcm.events import Notice, Step, UserError, result_of
from napari_llcm.models import load_bundle
from napari_llcm.specimen import Specimen, make_specimen
from napari_llcm.staining import Stainer
from napari_llcm.training import train
from napari_llcm.training.data import Batches, load_pairs
from napari_llcm.training.flat import soft_max
from napari_llcm.training.pairs import check_pairs, write_pairs
from napari_llcm.volumes import Volume, find_pairs, read, write
from napari_llcm.volumes.flat import project


@pytest.fixture(scope="module")
def fields() -> list[Specimen]:
    return [make_specimen(size=(12, 64, 64), seed=s, difficulty="easy") for s in (1, 2)]


def thin(one: Specimen, planes: int) -> Specimen:
    """Return a specimen of whose label-free stack only a few planes were taken."""
    from dataclasses import replace

    middle = slice(6 - planes // 2, 6 - planes // 2 + planes)
    return replace(one, qpi=one.qpi.replace(data=one.qpi.numpy()[middle]))


def run(pairs: Path, out: Path, **changes: Any) -> tuple[list[Any], Path]:
    events = list(train(tiny.job(pairs, out, **changes)))
    return events, Path(events[-1].result["model"])


def error_of(model: Path, one: Specimen) -> float:
    """Return the mean error of the stain's projection, as a share of the truth's deviation."""
    truth = project(one.dapi).numpy()
    virtual = Stainer(load_bundle(model), device="cpu").stain(one.qpi)
    shown = project(virtual).numpy()
    return float(np.abs(shown - truth).mean() / truth.std())


def test_the_soft_maximum_is_nearly_the_maximum_and_reaches_more_voxels() -> None:
    x = torch.tensor([0.1, 0.9, 0.85, 0.0])[:, None, None].requires_grad_()
    shown = soft_max(x)
    assert float(shown.detach()) == pytest.approx(0.9, abs=0.05)
    shown.sum().backward()
    assert x.grad is not None
    assert float(x.grad[2]) > 0.1
    assert float(soft_max(torch.full((8, 1, 1), 0.3))) == pytest.approx(0.3)


@pytest.mark.parametrize("planes", [2, 3, 6, 12])
def test_columns_have_the_whole_depth_padded_as_a_stack_is_stained(
    fields: list[Specimen], tmp_path: Path, planes: int
) -> None:
    folder = flat_folder(tmp_path / "pairs", thin(fields[0], planes))
    job = tiny.job(folder, tmp_path / "run")
    data = load_pairs(find_pairs(folder), job, None, 10**6, tmp_path / "cache")
    depth = -(-planes // job.network.multiple[0]) * job.network.multiple[0]
    assert data[0]["inputs"].shape == (1, depth, 64, 64)
    assert data[0]["outputs"].shape == (1, 1, 64, 64)
    period = 2 * (planes - 1)
    mirrored = [min(i % period, period - i % period) for i in range(depth)]
    torch.testing.assert_close(data[0]["inputs"], data[0]["inputs"][:, mirrored])
    batch = Batches(data, job).at(0)
    assert batch["inputs"].shape[1:] == (1, depth, 32, 32)
    assert batch["outputs"].shape[1:] == (1, 1, 32, 32)
    assert len(batch["inputs"]) == max(1, round(job.crops * job.patch[0] / depth))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["llcm", "regression", "pix2pix"])
def test_training_on_planes_lowers_the_error_of_the_projection(
    fields: list[Specimen], tmp_path: Path, method: Any
) -> None:
    folder = flat_folder(tmp_path / "pairs", *fields)
    long = {"steps": 60, "warmup_steps": 5, "learning_rate": 3e-3}
    patch = (16, 32, 32)
    settings = {"method": method, "method_phase": long, "patch": patch, "ema": 0.9}
    events, model = run(folder, tmp_path / "long", **settings)
    short = settings | {"method_phase": {**long, "steps": 1}}
    _, before = run(folder, tmp_path / "short", **short)
    assert error_of(model, fields[0]) < 0.8 * error_of(before, fields[0])
    said = " ".join(e.text for e in events if isinstance(e, Notice))
    assert "one plane" in said
    assert "depth" in said  # of a nucleus: from nothing it cannot be learned
    assert not any(isinstance(e, Step) and e.phase == "vae" for e in events)


def test_a_start_keeps_its_latent_space_and_is_tuned(
    fields: list[Specimen], tmp_path: Path
) -> None:
    for one in fields:
        write(tmp_path / "full" / "qpi" / f"{one.qpi.name}.ome.tif", one.qpi, overwrite=True)
        write(tmp_path / "full" / "dapi" / f"{one.qpi.name}.ome.tif", one.dapi, overwrite=True)
    _, start = run(tmp_path / "full", tmp_path / "start")
    folder = flat_folder(tmp_path / "pairs", *fields)
    _, model = run(folder, tmp_path / "tuned", init=str(start), never_worse=False)
    before, after = load_bundle(start).networks, load_bundle(model).networks
    torch.testing.assert_close(after.latent_std, before.latent_std)
    for a, b in zip(after.autoencoder.parameters(), before.autoencoder.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    moved = [
        bool((a != b).any())
        for a, b in zip(after.denoiser.parameters(), before.denoiser.parameters(), strict=True)
    ]
    assert any(moved)


def test_planes_and_volumes_lie_side_by_side(fields: list[Specimen], tmp_path: Path) -> None:
    folder = flat_folder(tmp_path / "pairs", fields[0])
    write(folder / "qpi" / "full.ome.tif", fields[1].qpi)
    write(folder / "dapi" / "full.ome.tif", fields[1].dapi)
    events, model = run(folder, tmp_path / "run", method_phase={"steps": 12, "warmup_steps": 2})
    steps = [e for e in events if isinstance(e, Step)]
    assert {e.phase for e in steps} == {"vae", "consistency"}
    names = {name for e in steps for name in e.values}
    assert {"direct", "image"} <= names  # of latents, which volumes have, and of images
    assert "1 of 2 pairs is one plane" in " ".join(e.text for e in events if isinstance(e, Notice))
    stained = Stainer(load_bundle(model), device="cpu").stain(read(folder / "qpi/full.ome.tif"))
    assert stained.shape == fields[1].dapi.shape


def test_validation_counts_nuclei_of_projections(fields: list[Specimen], tmp_path: Path) -> None:
    judged: list[tuple[Any, Any]] = []

    class Judge:
        name = "none"
        judges = "nuclei"

        def __call__(self, pairs: Any) -> dict[str, float]:
            judged.extend(pairs)
            return {"f1": 0.5, "recall": 0.5, "precision": 0.5, "real": 3.0, "found": 1.0}

        def stain(self, qpi: Any) -> Any:
            return None

    several = [*fields, *fields]
    folder = flat_folder(tmp_path / "pairs", *several)
    events = list(train(tiny.job(folder, tmp_path / "run"), judge=Judge()))
    assert judged
    real, virtual = judged[0]
    assert real.shape == (1, 64, 64)
    assert virtual.shape == (12, 64, 64)
    assert any("val_f1" in e.values for e in events if isinstance(e, Step))


def test_open_planes_are_checked_and_written_as_pairs(tmp_path: Path) -> None:
    made = make_specimen(size=(16, 192, 192), seed=5, difficulty="easy")
    pair = ("field", made.qpi, plane_of(made.dapi, by=(6, -4)))
    checked = result_of(check_pairs([pair]))["checked"]
    assert checked[0]["verdict"] == "shifted"
    folder = result_of(write_pairs([pair], tmp_path / "pairs"))
    (found,) = find_pairs(folder)
    assert found.name == "field"  # as the user called it
    _, dapi, _ = found.read(flat=True)
    assert dapi.shape == (1, 192, 192)
    small = Volume(np.ones((50, 192), np.uint16), axes="yx", name="small")
    small.data[3] = 2
    with pytest.raises(UserError, match="50 × 192"):
        result_of(write_pairs([("field", made.qpi, small)], tmp_path / "refused"))


def test_a_method_that_needs_volumes_says_so(fields: list[Specimen], tmp_path: Path) -> None:
    folder = flat_folder(tmp_path / "pairs", *fields)
    with pytest.raises(UserError, match="one plane, from which diffusion cannot learn"):
        result_of(train(tiny.job(folder, tmp_path / "run", method="diffusion")))
