"""The output of a stain: one writer, no input, no damaged leftovers, no made-up numbers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_llcm.events import Notice, UserError
from napari_llcm.models import ModelBundle
from napari_llcm.staining import Tiling
from napari_llcm.tasks.normalise import Scaling
from napari_llcm.volumes import read, write
from stains import make_volume, stained, staining

pytestmark = pytest.mark.versions
SMALL_TILES = Tiling(tile=(8, 16, 16), block=(16, 32, 32))
NAMES = ("out.ome.tif", "out.ome.zarr")

# stains in a process of its own, and waits after the first tile
_OTHER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import importlib
import torch
from stains import make_model, make_volume, staining
from napari_llcm.events import Tile
from napari_llcm.staining import Tiling
for name in ("models.device", "staining.pipeline", "staining.tiled", "staining.stainer"):
    importlib.import_module(f"napari_llcm.{name}").precision = lambda device: torch.float32
out = Path(sys.argv[1])
tiling = Tiling(tile=(8, 16, 16), block=(16, 32, 32))
told = False
for event in staining(make_volume((16, 48, 48)), make_model(), out=out, tiling=tiling):
    if isinstance(event, Tile) and not told:
        told = True
        print("begun", flush=True)
        sys.stdin.readline()
"""


def _other(out: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", _OTHER, str(out), str(Path(__file__).parents[1])]
    child = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    return child


@pytest.mark.parametrize("name", NAMES)
def test_two_jobs_never_write_one_output(model: ModelBundle, tmp_path: Path, name: str) -> None:
    volume, out = make_volume((16, 48, 48)), tmp_path / name
    alone = stained(volume, model)
    with _other(out) as child:
        for overwrite in (False, True):
            with pytest.raises(UserError, match="is being written by another process"):
                list(staining(volume, model, out=out, overwrite=overwrite))
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.close()
        assert child.wait(60) == 0
    np.testing.assert_allclose(read(out).numpy(), alone, rtol=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_the_output_of_a_killed_job_is_taken_over(
    model: ModelBundle, tmp_path: Path, name: str
) -> None:
    volume, out = make_volume((16, 48, 48)), tmp_path / name
    with _other(out) as child:
        child.kill()
    events = list(staining(volume, model, out=out, tiling=SMALL_TILES))
    assert any("Going on with" in e.text for e in events if isinstance(e, Notice))
    whole = tmp_path / f"whole.{name}"
    list(staining(volume, model, out=whole, tiling=SMALL_TILES))
    assert np.array_equal(read(out).numpy(), read(whole).numpy())
    assert sorted(p.name for p in tmp_path.iterdir()) == [name, f"whole.{name}"]


@pytest.mark.parametrize(
    "record",
    [
        "", "[[0, 8], [0, 16], [0, 16]]\n", "{}\n", "null\n", '{"fingerprint": 3}\n', "\x00\x00",
        '{"fingerprint": "x", "tile": [4, 4, "a"]}\n',
        '{"fingerprint": "x", "tile": [4, 4, 4]}\n]]\n',
    ],
)  # fmt: skip
def test_a_damaged_record_is_told_and_the_job_begun_anew(
    model: ModelBundle, tmp_path: Path, record: str
) -> None:
    volume, out = make_volume((8, 16, 16)), tmp_path / "out.ome.tif"
    left = tmp_path / ".out.ome.tif.staining.jsonl"
    left.write_bytes(record.encode("latin-1"))
    (tmp_path / ".out.ome.tif.zarr.partial").mkdir()
    (tmp_path / ".out.ome.tif.zarr.partial" / "zarr.json").write_text("{")
    events = list(staining(volume, model, out=out))
    assert any("anew" in e.text for e in events if isinstance(e, Notice))
    np.testing.assert_allclose(read(out).numpy(), stained(volume, model), rtol=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == ["out.ome.tif"]


@pytest.mark.parametrize("damage", ["array", "line"])
def test_a_damaged_store_is_begun_anew_and_half_a_line_done_again(
    model: ModelBundle, tmp_path: Path, damage: str
) -> None:
    volume, out = make_volume((16, 48, 48)), tmp_path / "out.ome.zarr"
    with _other(out) as child:
        child.kill()
    store = tmp_path / "out.ome.zarr.partial"
    if damage == "line":
        with (tmp_path / ".out.ome.zarr.staining.jsonl").open("a") as file:
            file.write("[[0, 8], [8, 1")
    else:
        (store / "0" / "zarr.json").write_text("{")
    list(staining(volume, model, out=out, tiling=SMALL_TILES))
    np.testing.assert_allclose(read(out).numpy(), stained(volume, model), rtol=1e-5)


def test_the_input_is_never_the_output(model: ModelBundle, tmp_path: Path) -> None:
    source = write(tmp_path / "in.ome.zarr", make_volume((8, 16, 16)))
    before = read(source).numpy()
    (tmp_path / "link.ome.zarr").symlink_to(source)
    for out in (source, tmp_path / "link.ome.zarr", source / "out.ome.tif"):
        with pytest.raises(UserError, match="input"):
            list(staining(read(source), model, out=out, overwrite=True))
    assert np.array_equal(read(source).numpy(), before)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.ome.zarr", "link.ome.zarr"]


@pytest.fixture
def broken(model: ModelBundle) -> Iterator[ModelBundle]:
    """A model whose last layer gives a number that is none."""
    weights = dict(model.networks.named_parameters())
    name = next(n for n in reversed(weights) if "decoder" in n and n.endswith("bias"))
    kept = weights[name].detach().clone()
    with torch.no_grad():
        weights[name].fill_(float("nan"))
    yield model
    with torch.no_grad():
        weights[name].copy_(kept)


def test_what_is_no_number_is_never_written(broken: ModelBundle, tmp_path: Path) -> None:
    for name in (*NAMES, None):
        out = None if name is None else tmp_path / name
        with pytest.raises(UserError, match="no numbers"):
            list(staining(make_volume((8, 16, 16)), broken, out=out))
        assert out is None or not out.exists()


def test_a_scaling_that_is_no_range_is_refused(model: ModelBundle) -> None:
    for low, high in ((0, float("nan")), (0, float("inf")), (1, 1)):
        with pytest.raises(UserError, match="no range of intensities"):
            list(staining(make_volume((8, 16, 16)), model, scaling=Scaling(low=low, high=high)))


def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    model: ModelBundle, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    job = staining(make_volume((8, 16, 16)), model, out=tmp_path / "file" / "o.ome.tif")
    with pytest.raises(UserError, match="is a file"):
        next(job)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
