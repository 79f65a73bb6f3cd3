"""The head that tells nuclei while the stainer trains: its targets, its loss, and its absence."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_llcm.events import Notice, Step, result_of
from napari_llcm.models import load_bundle
from napari_llcm.models.config import ConsistencyConfig
from napari_llcm.models.stainer import StainerNetworks
from napari_llcm.specimen import write_specimens
from napari_llcm.training import train
from napari_llcm.training.data import Batches, load_pairs
from napari_llcm.training.instances import InstanceHead, instance_loss, instance_targets
from napari_llcm.training.latents import variant
from napari_llcm.training.losses import LossInputs, consistency_loss
from napari_llcm.volumes import find_pairs
from tiny import NETWORK, job


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    result_of(write_specimens(folder, 2, (16, 48, 48), 500, "easy"))
    return folder


def touching_nuclei() -> np.ndarray:
    """Return two nuclei side by side, one of them cut by the border of the field."""
    labels = np.zeros((16, 32, 32), np.int64)
    labels[4:12, 8:20, 2:16] = 3
    labels[4:12, 8:20, 16:32] = 7
    return labels


def test_targets_name_the_gap_between_nuclei_that_touch() -> None:
    targets = instance_targets(touching_nuclei()).float() / 255
    assert targets.shape == (3, 8, 16, 16)
    foreground, distance, centre = targets
    row = (4, 7)  # through both nuclei
    assert foreground[row][1:].eq(1).all()  # no gap is seen here
    assert distance[row][7] < 0.4 > distance[row][8]  # but here
    assert distance.amax() > 0.8
    assert distance[row][15] > distance[row][8]  # the border of the field is none of the nucleus
    assert centre[row][3:6].amax() > 0.7 < centre[row][10:13].amax()
    assert centre[row][7:9].amax() < 0.1
    assert not targets[:, :1].any()
    # along z a voxel that is twice as large lies twice as deep
    flat = instance_targets(touching_nuclei(), (2.0, 1.0, 1.0)).float() / 255
    assert flat[1, 2, 7, 3] > distance[2, 7, 3]


@pytest.mark.parametrize("view", range(8))
def test_views_of_a_volume_have_the_views_of_its_targets(view: int) -> None:
    labels = torch.from_numpy(touching_nuclei())
    turned = instance_targets(variant(labels, view).numpy())
    assert (variant(instance_targets(labels.numpy()), view).int() - turned.int()).abs().max() <= 1


def test_batches_hold_the_targets_of_what_they_show(pairs: Path, tmp_path: Path) -> None:
    run = job(pairs, tmp_path)
    data = load_pairs(find_pairs(pairs), run, None, 1, tmp_path)
    batch = Batches(data, run).at(0)
    assert batch["instances"].dtype == torch.uint8
    assert batch["instances"].shape == (2, 3, 4, 16, 16)
    for step in range(4):
        batch = Batches(data, run).at(step)
        inside = batch["instances"][:, 0] == 255
        bright = torch.nn.functional.avg_pool3d(batch["outputs"], 2)[:, 0]
        assert bright[inside].mean() > 3 * bright[batch["instances"][:, 0] == 0].mean()


def test_the_loss_leads_head_and_features_to_the_targets() -> None:
    torch.manual_seed(0)
    networks = StainerNetworks(NETWORK, ConsistencyConfig())
    head = InstanceHead(NETWORK)
    targets = instance_targets(touching_nuclei())[None]
    batch = {
        "inputs": targets[:, :1].float().repeat_interleave(2, 2).repeat_interleave(2, 3)
        .repeat_interleave(2, 4) / 255,
        "outputs": torch.zeros(1, 1, 16, 32, 32),
        "latent": torch.randn(1, 4, 8, 8, 8),
        "instances": targets,
    }  # fmt: skip
    settings = job(Path("p"), Path("o"), consistency={"consistency_weight": 0, "image_weight": 0})
    modules = {"condition": networks.condition, "denoiser": networks.denoiser, "instances": head}
    parameters = [p for m in modules.values() for p in m.parameters()]
    optimiser = torch.optim.Adam(parameters, 1e-2)
    generator = torch.Generator().manual_seed(0)
    errors = []
    for _ in range(40):
        loss, parts = consistency_loss(
            LossInputs(modules, networks, batch, settings, 0.0, generator)
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(float(parts["instances"].detach()))
    floor = float(instance_loss(torch.logit(targets / 255, 1e-6), targets))
    assert errors[-1] - floor < 0.5 * (errors[0] - floor)
    logits = head(torch.zeros(1, 8, 8, 8, 8))
    assert logits.shape == targets.shape
    # floats from 0 to 1 serve as well as bytes
    assert torch.isclose(instance_loss(logits, targets / 255), instance_loss(logits, targets))


def test_the_head_is_trained_resumed_and_left_out_of_the_model(pairs: Path, tmp_path: Path) -> None:
    run = job(pairs, tmp_path / "run")
    events = list(train(run))
    told = [e.values for e in events if isinstance(e, Step) and "instances" in e.values]
    assert told
    assert not any("labels of its nuclei" in e.text for e in events if isinstance(e, Notice))
    names = load_bundle(tmp_path / "run" / "model").networks.state_dict()
    assert not any("instances" in name for name in names)
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "consistency.pt", weights_only=True)
    assert set(checkpoint["modules"]["instances"]) == {"conv.weight", "conv.bias"}


def test_pairs_without_labels_train_without_the_head_and_say_so(
    pairs: Path, tmp_path: Path
) -> None:
    for kind in ("qpi", "dapi"):
        shutil.copytree(pairs / kind, tmp_path / "bare" / kind)
    events = list(train(job(tmp_path / "bare", tmp_path / "run")))
    assert any(
        "No pair has labels of its nuclei" in e.text for e in events if isinstance(e, Notice)
    )
    assert not any("instances" in e.values for e in events if isinstance(e, Step))
    # where some have them, these are used
    (tmp_path / "bare" / "labels").mkdir()
    one = sorted((pairs / "labels").iterdir())[0]
    shutil.copy(one, tmp_path / "bare" / "labels")
    events = list(train(job(tmp_path / "bare", tmp_path / "some", method_phase={"steps": 12})))
    assert any("Only 1 of 2 pairs have" in e.text for e in events if isinstance(e, Notice))
    assert any("instances" in e.values for e in events if isinstance(e, Step))
