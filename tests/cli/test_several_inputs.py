"""Training and staining with a task of several inputs and outputs, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from napari_llcm.events import result_of
from napari_llcm.training import train
from napari_llcm.volumes import Volume, read, write
from tiny import TWO, job

Run = Callable[..., tuple[int, str, str]]
SPACING = (0.5, 0.25, 0.25)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two inputs and two outputs, trained from a YAML task."""
    folder = tmp_path_factory.mktemp("two")
    rng = np.random.default_rng(3)
    for field in ("a", "b"):
        for number, name in enumerate(("phase", "bright", "nuclei", "membrane")):
            data = rng.normal(size=(12, 48, 48)).astype(np.float32) ** (1 + number // 2) + 9
            write(folder / "pairs" / name / f"{field}.ome.tif", Volume(data, spacing=SPACING))
    (folder / "two.yaml").write_text(yaml.safe_dump(TWO))
    made = job(folder / "pairs", folder / "run", task=str(folder / "two.yaml"))
    assert made.task.title == TWO["title"]
    result_of(train(made))
    return folder / "run" / "model"


def test_the_command_line_takes_several_inputs(two: Path, tmp_path: Path, cli: Run) -> None:
    for seed, name in enumerate(("phase", "bright")):
        data = np.random.default_rng(seed).normal(size=(12, 40, 40)).astype(np.float32)
        write(tmp_path / f"{name}.ome.tif", Volume(data, spacing=SPACING))
    source, out = str(tmp_path / "phase.ome.tif"), str(tmp_path / "out.ome.zarr")
    code, _, error = cli("stain", source, out, "--model", str(two))
    assert code == 2
    assert "takes 2 channels at once: phase, brightfield" in " ".join(error.split())
    also = ["--also", str(tmp_path / "bright.ome.tif")]
    code, _, error = cli("stain", source, out, *also, "--model", str(two), "--device", "cpu")
    assert code == 0, error
    result = read(out)
    assert (result.axes, result.shape) == ("czyx", (2, 12, 40, 40))
    code, _, error = cli("stain", source, out, *also, *also, "--model", str(two), "--overwrite")
    assert code == 2
    assert "takes 2 stacks, not 3" in error
