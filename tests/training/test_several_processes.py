"""One training by several processes, as `torchrun` starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from napari_llcm.events import Finished, Step, parse_event, result_of
from napari_llcm.models import load_bundle
from napari_llcm.specimen import write_specimens
from napari_llcm.training import train
from napari_llcm.training.jobs import save_job
from tiny import job


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    result_of(write_specimens(folder, 4, (16, 48, 48), 500, "easy"))
    return folder


def by_two(settings: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Train by two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "napari_llcm", "train", str(settings), *more]
    return subprocess.run(
        command,
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_two_processes_learn_what_one_does_of_twice_as_many_batches(
    pairs: Path, tmp_path: Path
) -> None:
    together, alone = (
        job(pairs, tmp_path / name, accumulate=n, instance_weight=0.25, validations=0)
        for name, n in (("together", 1), ("alone", 2))
    )
    save_job(together, tmp_path / "job.yaml")
    done = by_two(tmp_path / "job.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Model ") == 1  # one of them tells
    result_of(train(alone))
    ours, theirs = (load_bundle(tmp_path / name / "model") for name in ("together", "alone"))
    for name, one in ours.networks.state_dict().items():
        assert torch.equal(one, theirs.networks.state_dict()[name]), name
    kept = (tmp_path / "together" / "events.jsonl").read_text().splitlines()
    events = [parse_event(line) for line in kept]
    assert isinstance(events[-1], Finished)
    losses = [e.values["loss"] for e in events if isinstance(e, Step) and "loss" in e.values]
    assert losses
    # what was learned is gone on with, by both
    longer = together.model_copy(
        update={"method_phase": together.method_phase.model_copy(update={"steps": 9})}
    )
    save_job(longer, tmp_path / "longer.yaml")
    again = by_two(tmp_path / "longer.yaml", "--resume")
    assert again.returncode == 0, again.stderr
    trained = load_bundle(tmp_path / "together" / "model").info.provenance
    assert trained["consistency_steps"] == 9


def test_what_one_process_refuses_ends_both(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    save_job(job(pairs, tmp_path / "run"), tmp_path / "job.yaml")
    refused = by_two(tmp_path / "job.yaml")
    assert refused.returncode != 0
    assert "choose an empty folder" in refused.stderr + refused.stdout
