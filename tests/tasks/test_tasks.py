"""A task is a value: what it says decides what is trained, stained and written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import napari_llcm
from napari_llcm.events import UserError, result_of
from napari_llcm.models import load_bundle
from napari_llcm.staining import Tiling
from napari_llcm.tasks import TASKS, Task, find_task
from napari_llcm.training import train
from napari_llcm.training.jobs import load_job, save_job
from napari_llcm.volumes import Volume, write
from stains import difference, make_model, run, stained, staining
from tiny import TWO, job

SPACING = (0.5, 0.25, 0.25)


@pytest.mark.parametrize("tile", [(6, 16, 20), (8, 24, 40)])
def test_two_inputs_and_two_outputs_are_stained_without_seams(tile: Any) -> None:
    model = make_model(task=Task(**TWO))
    data = np.random.default_rng(0).normal(size=(2, 20, 75, 90)).astype(np.float32)
    volume = Volume(data, SPACING, "czyx", "field", channels=("bright", "phase"))
    at_once = Tiling(tile=(20, 80, 96), block=(24, 96, 96))
    whole = run(staining(volume, model, tiling=at_once))[0].value
    assert (whole.axes, whole.channels) == ("czyx", ("nuclei", "membrane"))
    assert whole.name == "field nuclei and membrane"
    parts = stained(volume, model, tiling=Tiling(tile=tile, block=(8, 32, 48)))
    assert difference(parts, whole.numpy()) < 1e-4
    assert difference(parts[0], parts[1]) > 0.01
    # channels are told by their names; without names, by their order
    turned = volume.replace(data=data[::-1], channels=("phase", "bright"))
    assert difference(stained(turned, model), whole.numpy()) < 1e-4
    other = stained(volume.replace(channels=()), model)
    assert difference(other, whole.numpy()) > 0.01
    several = run(staining(volume, model, samples=2))[0].value
    assert several.channels == ("nuclei", "membrane", "nuclei spread", "membrane spread")


@pytest.fixture(scope="module")
def finer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that makes six slices of one, trained on thin volumes alone."""
    folder = tmp_path_factory.mktemp("finer")
    rng = np.random.default_rng(0)
    for number in range(2):
        hu = 400 * rng.normal(size=(26, 48, 48)).astype(np.float32)
        write(folder / "thin" / f"{number}.nii.gz", Volume(hu, spacing=(1000.0, 800.0, 800.0)))
    result_of(train(job(folder, folder / "run", task="superres-ct", patch=(24, 32, 32))))
    return folder / "run" / "model"


@pytest.mark.parametrize("thick", [50, 37, 24])
def test_exactly_the_slices_asked_for(finer: Path, thick: int) -> None:
    model = load_bundle(finer)
    assert model.info.network.residual
    data = np.random.default_rng(1).normal(40, 100, size=(thick, 40, 44)).astype(np.float32)
    volume = Volume(data, (6000.0, 800.0, 800.0), name="ct", origin=(10.0, 0.0, 0.0))
    result = run(staining(volume, model))[0].value
    assert result.shape == (6 * thick, 40, 44)
    assert result.spacing == pytest.approx((1000, 800, 800))
    # the slices of one thick slice lie within it: the first starts where it starts
    assert result.origin[0] - result.spacing[0] / 2 == pytest.approx(10 - 6000 / 2)
    # beyond the window, too, values stay what they are
    assert result.numpy().min() < -160
    assert result.numpy().max() > 240


def test_finer_slices_have_no_seams_and_lie_where_they_belong(finer: Path) -> None:
    from napari_llcm.volumes.thick_slices import interpolated

    model = load_bundle(finer)
    z, y, x = np.mgrid[:10, :70, :60]
    data = (40 + 150 * np.sin(z / 2 + y / 9) * np.cos(x / 11)).astype(np.float32)
    volume = Volume(data, (6000.0, 800.0, 800.0), name="ct")
    whole = stained(volume, model, tiling=Tiling(tile=(64, 80, 64), block=(64, 96, 96)))
    parts = stained(volume, model, tiling=Tiling(tile=(8, 24, 20), block=(16, 32, 48)))
    assert difference(parts, whole) < 1e-4
    woken = make_model(spacing=(1000.0, 800.0, 800.0), task=TASKS["superres-ct"])
    at_once = stained(volume, woken, tiling=Tiling(tile=(64, 80, 64), block=(64, 96, 96)))
    parts = stained(volume, woken, tiling=Tiling(tile=(8, 24, 20), block=(16, 32, 48)))
    assert difference(parts, at_once) < 1e-4
    assert difference(at_once, whole) > 0.1
    between = interpolated(volume, 60).numpy()
    shifted = np.roll(between, 3, 0)
    assert np.abs(whole - between).mean() < np.abs(whole - shifted).mean()


def test_no_room_knows_a_task_by_its_name() -> None:
    source = Path(napari_llcm.__file__).parent
    branch = re.compile(r"task\.name\s*(==|!=|in\b)|(==|!=|\bis|\bin) \(?(STAIN|SUPERRES)")
    for room in ("training", "staining", "models", "gui"):
        for file in (source / room).rglob("*.py"):
            found = branch.search(file.read_text())
            assert not found, f"{file}: {found}"


@pytest.mark.versions
def test_a_saved_job_has_its_task(tmp_path: Path) -> None:
    for task in (*TASKS.values(), Task(**TWO)):
        save_job(job(tmp_path, tmp_path / "run", task=task), tmp_path / "job.yaml")
        assert load_job(tmp_path / "job.yaml").task == task


@pytest.mark.versions
def test_tasks_that_do_not_fit_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no task nothing: choose stain, superres"):
        find_task("nothing")
    for change, said in (
        ({"planes": 0}, "planes"),
        ({"inputs": []}, "inputs"),
        ({"loss": "other"}, "loss"),
        ({"outputs": TWO["inputs"]}, "two channels of a task have the same name"),
    ):
        path = tmp_path / "task.yaml"
        path.write_text(yaml.safe_dump(TWO | change))
        with pytest.raises(UserError, match=said):
            find_task(str(path))
    path.write_text("- 1")
    with pytest.raises(UserError, match="cannot be read as YAML"):
        find_task(str(path))


def test_planes_are_told_where_they_lie_between_two() -> None:
    task = TASKS["superres"]
    assert task.seen == 2
    beside = task.seen_beside(3, (6, 2, 2))
    assert beside.shape == (1, 6, 2, 2)
    assert beside[0, :, 0, 0] == pytest.approx([0.375, 0.625, 0.875, 0.125, 0.375, 0.625])
    assert TASKS["stain"].seen_beside(0, (4, 2, 2)).shape == (0, 4, 2, 2)
