"""Other machines that compute: keys, refusals, and staining on workers that come and go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from napari_llcm.cluster import ClusterOptions, connect
from napari_llcm.cluster.certificates import make_keys
from napari_llcm.cluster.connection import reached, tried
from napari_llcm.events import UserError
from napari_llcm.specimen import Specimen
from napari_llcm.volumes import read, write
from workstation import Workstation, free_port


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cluster": "tcp://192.0.2.7:8786"}, "not encrypted"),
        ({"cluster": "tls://192.0.2.7:8786"}, "needs its key"),
        ({"cluster": "workstation"}, "needs its key"),  # encrypted unless it says otherwise
        ({"cluster": "ftp://workstation"}, "no address"),
        ({"cluster": "tls://workstation:port"}, "no address"),
        ({"cluster": "missing.pem"}, "cannot be read"),
        ({"cluster": "tcp://localhost", "cluster_key": Path("k.pem")}, "takes no key"),
    ],
)
def test_what_is_no_safe_address_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        reached(ClusterOptions(**options))


def test_unencrypted_only_here_or_where_it_is_told() -> None:
    assert reached(ClusterOptions(cluster="tcp://localhost")) == ("tcp://localhost:8786", None)
    assert reached(ClusterOptions(cluster="tcp://[::1]:1"))[0] == "tcp://[::1]:1"
    told = ClusterOptions(cluster="tcp://192.0.2.7:1", unencrypted=True)
    assert reached(told)[0] == "tcp://192.0.2.7:1"
    for deceiving in ("tcp://localhost.example.org", "tcp://127.0.0.1.example.org"):
        with pytest.raises(UserError, match="not encrypted"):
            reached(ClusterOptions(cluster=deceiving))


@pytest.mark.versions
def test_keys_are_made_once_and_nobody_else_reads_them(tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "k", "tls://192.0.2.7:8786")
    server, client = keys.server.read_text(), keys.client.read_text()
    assert reached(ClusterOptions(cluster=str(keys.client)))[0] == "tls://192.0.2.7:8786"
    if sys.platform != "win32":
        assert {p.stat().st_mode & 0o77 for p in (tmp_path / "k").iterdir()} == {0}
    make_keys(tmp_path / "k", "tls://192.0.2.8:8786")  # the computer has moved
    assert keys.server.read_text() == server
    assert keys.client.read_text() == client.replace("192.0.2.7", "192.0.2.8")
    with pytest.raises(UserError, match="no key file"):
        reached(ClusterOptions(cluster="tls://h", cluster_key=_text(tmp_path / "x.pem")))


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_llcm.cluster.connection._PATIENCE", 0.5)
    with pytest.raises(UserError, match="No dask scheduler answers"):
        tried(ClusterOptions(cluster=f"tcp://127.0.0.1:{free_port()}"))


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(UserError, match=r"napari-llcm\[cluster\]"),
        connect(ClusterOptions(cluster="tcp://localhost")),
    ):
        pass
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(UserError, match=r"napari-llcm\[cluster\]"):
        make_keys(tmp_path / "k", "tls://h:1")


@pytest.mark.slow
@pytest.mark.versions
def test_a_workstation_stains_for_who_has_its_key(
    workstation: Workstation, specimen: Specimen, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.ome.tif", specimen.qpi)
    workstation.wait()
    for process in (*workstation.children("scheduler"), *workstation.children("worker")):
        listening = [c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"]
        assert set(listening) <= {"127.0.0.1"}  # and nowhere else
    key = tmp_path / "keys" / "laptop.pem"
    assert str(key) in workstation.log.read_text()
    other = make_keys(tmp_path / "other", f"tls://127.0.0.1:{workstation.port}")
    with pytest.raises(UserError, match=r"does not take this key|No dask scheduler answers"):
        tried(ClusterOptions(cluster=str(other.client)))
    out = tmp_path / "out.ome.zarr"
    arguments = ("stain", source, out, "--cluster", key, "--no-check")
    command = [sys.executable, "-m", "napari_llcm", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "cpu" in done.stdout
    assert "not to be seen" not in done.stderr  # the path is shared: no voxels travel
    local = tmp_path / "local.ome.zarr"
    command[4:8] = [str(source), str(local), "--device", "cpu"]
    subprocess.run(command, check=True, capture_output=True, timeout=200)
    np.testing.assert_allclose(read(out).numpy(), read(local).numpy(), rtol=0.05, atol=0.02)
    assert workstation.end() == 143
    assert not [p for p in psutil.process_iter() if _is_child(p, workstation.process.pid)]


def _is_child(process: psutil.Process, owner: int) -> bool:
    try:
        line = process.cmdline()
    except psutil.Error:
        return False
    return "napari_llcm.cluster.child" in line and str(owner) in line


def _text(path: Path) -> Path:
    path.write_text("nothing")
    return path
