"""A batch system takes its machine back: exit code 143, and the same bytes when it goes on."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from napari_llcm.models import save_bundle
from napari_llcm.volumes import write
from stains import make_model, make_volume

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM"),
]


def stained(folder: Path, source: Path, out: Path, stop_at: str = "") -> int:
    """Stain from a terminal; send SIGTERM when `stop_at` is told. Return the exit code."""
    given = (source, out, "--model", folder / "model", "--device", "cpu", "--no-check")
    command = [sys.executable, "-m", "napari_llcm", "stain", *map(str, given), "--events", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if stop_at and stop_at in line:
                child.send_signal(signal.SIGTERM)
                stop_at = ""
        code = child.wait(60)
    assert not stop_at, "it was never told"
    return code


def voxels(out: Path) -> dict[str, str]:
    """Return the digest of each file of voxels."""
    files = [p for p in out.rglob("*") if p.is_file() and p.name not in ("zarr.json", ".zattrs")]
    assert files
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = make_model()
    save_bundle(tmp_path / "model", made.info, made.networks)
    return tmp_path


def test_a_stain_goes_on_to_the_same_bytes(folder: Path) -> None:
    source = write(folder / "in.ome.tif", make_volume((16, 768, 1024)))  # four tiles
    whole, out = folder / "whole.ome.zarr", folder / "out.ome.zarr"
    assert stained(folder, source, whole) == 0
    assert stained(folder, source, out, '"tile"') == 143
    record = folder / ".out.ome.zarr.staining.jsonl"
    assert 1 < record.read_text().count("\n") < 5  # its header, and some of the tiles
    assert stained(folder, source, out) == 0
    assert voxels(out) == voxels(whole)


def test_a_batch_goes_on_to_the_same_bytes(folder: Path) -> None:
    (folder / "in").mkdir()
    for name in "abc":
        write(folder / "in" / f"{name}.ome.tif", make_volume((8, 64, 64)))
    assert stained(folder, folder / "in", folder / "whole") == 0
    assert stained(folder, folder / "in", folder / "out", '"tile"') == 143
    there = voxels(folder / "out")
    assert len(there) < len(voxels(folder / "whole"))
    assert stained(folder, folder / "in", folder / "out") == 0
    assert voxels(folder / "out") == voxels(folder / "whole")
