"""Workers that a batch system starts: stand-ins for its commands run their scripts here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from napari_llcm.cluster import ClusterOptions, connect
from napari_llcm.cluster.connection import workers_of
from napari_llcm.events import UserError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SLURM runs on Linux")


def _commands(folder: Path, monkeypatch: pytest.MonkeyPatch, sbatch: str) -> None:
    lines = {"sbatch": sbatch, "scancel": f'echo "$1" >>"{folder}/cancelled"; kill "$1"'}
    for name, line in lines.items():
        (folder / name).write_text(f"#!/usr/bin/env bash\n{line}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(folder))


@pytest.mark.slow
@pytest.mark.versions
def test_slurm_starts_workers_that_end_with_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tmp_path / "job.sh"
    start = f'cp "$1" "{job}"; setsid bash "{job}" >"{tmp_path}/log" 2>&1 </dev/null &'
    _commands(tmp_path, monkeypatch, f'{start}\necho "Submitted batch job $!"')
    monkeypatch.setattr("napari_llcm.cluster.connection._STARTS", 60.0)
    with connect(ClusterOptions(cluster="slurm", cluster_workers=1)) as client:
        assert len(workers_of(client)) == 1, (tmp_path / "log").read_text()
        assert client.submit(os.getpid).result() != os.getpid()
        assert client.scheduler.address.startswith("tls://")
    said = (tmp_path / "job.sh").read_text()
    assert "#SBATCH --cpus-per-task=4" in said
    assert "--nthreads 1 " in said
    assert (tmp_path / "cancelled").exists()
    folder = tmp_path / ".napari-llcm-cluster"
    assert folder.stat().st_mode & 0o77 == 0


def test_slurm_that_takes_no_job_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _commands(tmp_path, monkeypatch, "echo 'invalid partition' >&2; exit 1")
    with (
        pytest.raises(UserError, match="SLURM"),
        connect(ClusterOptions(cluster="slurm", cluster_workers=1)),
    ):
        pass
