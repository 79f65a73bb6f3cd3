"""The Train panel asks for what a task is learned from: thin volumes alone, or pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Layer

from napari_llcm.events import Progress, Step, UserError, result_of
from napari_llcm.gui.layers.conversion import as_layers
from napari_llcm.gui.train.curves import Curves
from napari_llcm.gui.train.panel import TrainPanel
from napari_llcm.gui.train.run_jobs import looking
from napari_llcm.models import save_bundle
from napari_llcm.models.library import user_folder
from napari_llcm.specimen import Specimen
from napari_llcm.tasks import TASKS, Task
from napari_llcm.tasks.registry import STAIN
from napari_llcm.training import make_job
from napari_llcm.training.jobs import load_job
from napari_llcm.training.prepare_latents import prepare_latents
from napari_llcm.training.thin import check_thin
from napari_llcm.volumes import Volume, write
from stains import make_model
from tiny import NETWORK, TWO

pytestmark = pytest.mark.usefixtures("screen", "small_model")
CT = TASKS["superres-ct"]
SPACING = (1000.0, 800.0, 800.0)
TINY: dict[str, Any] = {
    "network": NETWORK,
    "patch": (24, 32, 32),
    "crops": 1,
    "mixed_precision": False,
    "validations": 1,
    "vae_phase": {"steps": 2, "warmup_steps": 1},
    "method_phase": {"steps": 2, "warmup_steps": 1},
    "tensorboard": False,
}


def thin(planes: int = 26, seed: int = 0) -> Volume:
    hu = 400 * np.random.default_rng(seed).normal(size=(planes, 40, 40)).astype(np.float32)
    return Volume(hu, SPACING, name=f"thin {seed}")


@pytest.fixture
def panel(make_napari_viewer_proxy: Any) -> TrainPanel:
    viewer = make_napari_viewer_proxy(show=True)
    for seed in (0, 1):
        viewer.add_layer(Layer.create(*as_layers(thin(seed=seed))[0]))
    made = TrainPanel(viewer)
    made.preflight.paused = True
    made.further = dict(TINY)
    viewer.window.add_dock_widget(made, name="Train")
    return made


def choose(panel: TrainPanel, task: Task) -> None:
    panel.form.which.setCurrentIndex(panel.form.which.findText(task.title))


def test_finer_slices_are_learned_from_open_thin_volumes(panel: TrainPanel, qtbot: Any) -> None:
    pairs, form = panel.pairs, panel.form
    assert pairs.qpi.isVisible()
    assert not pairs.thin.isVisible()
    choose(panel, CT)
    assert pairs.thin.isVisible()
    assert not any(w.isVisible() for w in (pairs.qpi, pairs.dapi, form.nucleus))
    assert pairs.path.placeholderText() == "folder of thin volumes"
    assert form.init.currentData() is None  # no model of this task is there yet
    for layer in list(panel._viewer.layers):
        pairs.thin.choose(layer)
        pairs.add.click()
    assert pairs.list.count() == 2
    form.name.setText("finer")
    panel.train.click()
    qtbot.waitUntil(lambda: panel.child.running, timeout=60_000)
    assert load_job(panel._run.path / "job.yaml").task == CT
    written = panel._run.path / "pairs"
    assert [p.name for p in sorted((written / "thin").iterdir())] == [
        "001_thin_0.ome.tif",
        "002_thin_1.ome.tif",
    ]
    assert len(CT.find_pairs(written)) == 2
    assert "thick slices, real thin slices" in panel.view.preview.image.toolTip()
    panel.child.kill()
    qtbot.waitUntil(lambda: not panel.busy, timeout=60_000)


def test_a_model_to_start_from_has_its_task(panel: TrainPanel) -> None:
    form = panel.form
    own = Task(**TWO)
    for name, task in (("two", own), ("mine", CT)):
        model = make_model(task=task)
        save_bundle(user_folder() / name, model.info, model.networks)
    form.fill_models()
    assert form.init.findData("small") >= 0
    assert form.init.findData("mine") < 0
    choose(panel, CT)
    assert form.init.findData("small") < 0
    form.init.setCurrentIndex(form.init.findData("mine"))
    form.go_on_from("two", 5, None, "taught")
    assert form.task == own
    assert form.init.currentData() == "two"
    # of three stacks or more, no layers can be chosen
    assert panel.pairs.from_folder.isChecked()
    assert not panel.pairs.from_layers.isEnabled()
    assert "phase/ and bright/ and nuclei/" in panel.pairs.path.placeholderText()
    choose(panel, TASKS["stain"])
    assert panel.pairs.from_layers.isEnabled()


def test_thin_volumes_are_looked_at_before_a_minute_is_trained(tmp_path: Path) -> None:
    for seed in (0, 1):
        write(tmp_path / f"{seed}.nii.gz", thin(seed=seed))
    told = result_of(check_thin(tmp_path, CT))
    assert told["pairs"] == 2
    assert "Of every 6 planes one thick slice is made" in told["sentence"]
    with pytest.raises(UserError, match="10 planes, too few for two slices of 6"):
        result_of(check_thin([("short", thin(10))], CT))


def test_prepared_latents_are_told_of_before_a_minute_is_trained(
    specimen: Specimen, tmp_path: Path
) -> None:
    for kind in ("qpi", "dapi"):
        write(tmp_path / "pairs" / kind / "a.ome.tif", getattr(specimen, kind))
    latents = tmp_path / "latents"
    options = {"init": "small", "device": "cpu", "patch": (8, 16, 16)}
    preparing = prepare_latents(make_job(pairs=[tmp_path / "pairs"], out=latents, **options))
    for event in preparing:
        if isinstance(event, Progress):
            break
    preparing.close()
    with pytest.raises(UserError, match="not finished: run the same"):
        result_of(looking(latents, STAIN, lambda: False))
    result_of(prepare_latents(make_job(pairs=[tmp_path / "pairs"], out=latents, **options)))
    told = result_of(looking(latents, STAIN, lambda: False))
    assert told["sentence"] == "1 pair whose latents were prepared: start from small."
    with pytest.raises(UserError, match="for the task stain, and this training is for superres-ct"):
        result_of(looking(latents, CT, lambda: False))


def test_the_error_of_a_ct_has_a_curve_in_its_unit(qtbot: Any) -> None:
    curves = Curves()
    qtbot.addWidget(curves)
    values = {"loss": 1.0, "val_psnr": 20.0, "val_mae_HU": 60.0, "val_interpolated_mae_HU": 70.0}
    for step in (1, 2):
        curves.see(Step(phase="consistency", step=step, values=values))
    qtbot.waitUntil(lambda: curves.figure.count() > 0)
    offered = [curves.figure.itemText(i) for i in range(curves.figure.count())]
    assert offered[0] == "error to the real one, in HU"
    assert len(offered) == 2  # what is interpolated is no curve of the model
