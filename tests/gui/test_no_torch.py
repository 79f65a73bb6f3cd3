"""No action in the viewer imports torch into its process, or stops its window."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_llcm.volumes import Volume, write
from tiny import NETWORK

SCRIPT = Path(__file__).with_name("viewer_actions.py")
ACTIONS = [
    "napari", "panels", "load", "load damaged", "open", "idle", "verdict", "stain", "stained",
    "live", "free", "check", "checked", "export", "compare images", "registration False",
    "registration True", "pairs", "train", "trained", "add a model", "workers",
]  # fmt: skip
CRASHING = """
import sys
if "napari_llcm.worker" in sys.orig_argv:
    import ctypes, imageio.v3
    imread = imageio.v3.imread
    imageio.v3.imread = lambda p: ctypes.string_at(0) if "damaged" in str(p) else imread(p)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("screen", "small_model")
def test_nothing_that_a_user_does_imports_torch_into_the_viewer(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 999, (8, 64, 80)).astype(np.uint16)
    stack = write(tmp_path / "cells.ome.tif", Volume(voxels, spacing=(1, 0.5, 0.5)))
    damaged = tmp_path / "damaged.bmp"
    damaged.write_bytes(b"BM" + bytes(116))
    # a decoder that crashes on that file, wherever it is called
    (tmp_path / "sitecustomize.py").write_text(CRASHING)
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, str(SCRIPT), str(stack), str(damaged), NETWORK.model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=540)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    print(done.stdout)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    said: dict[str, Any] = {line["action"]: line for line in lines}
    assert list(said) == ACTIONS
    assert {name: line["heavy"] for name, line in said.items() if line["heavy"]} == {}
    assert said["open"]["mean"] == pytest.approx(voxels[4].mean(), rel=1e-3)
    assert said["open"]["decoders"] == []
    assert "process that reads files ended (it crashed" in said["load damaged"]["said"]
    assert said["stained"]["share"] > 0.5
    assert said["checked"]["found"] > 0
    assert said["export"]["there"]
    assert said["workers"]["windows"] == [[], []]
    assert not any("did not expect" in line.get("said", "") for line in said.values())
    assert "among your models" in said["add a model"]["said"]
    assert "model mine finds" in said["trained"]["said"], said["trained"]
