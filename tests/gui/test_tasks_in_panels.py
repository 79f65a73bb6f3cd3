"""The panels in a real window know no task by its name: the model says what is done and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Layer
from scipy.stats import norm

from napari_llcm.evaluation.profile import kind_of, width_of
from napari_llcm.evaluation.restoration import restoration_metrics
from napari_llcm.events import result_of
from napari_llcm.gui.check.panel import CheckPanel
from napari_llcm.gui.layers.conversion import KEY, as_layers
from napari_llcm.gui.stain.panel import StainPanel
from napari_llcm.gui.stain.region import PLANES, SCREEN
from napari_llcm.models import load_bundle, save_bundle
from napari_llcm.models.bundle import read_info, write_info
from napari_llcm.models.library import user_folder
from napari_llcm.staining import Stainer
from napari_llcm.tasks import TASKS, Task
from napari_llcm.training import train
from napari_llcm.volumes import Volume, read, write
from napari_llcm.volumes.hounsfield import HounsfieldWindow
from napari_llcm.volumes.thick_slices import ThickOptions, interpolated, thicken
from stains import make_model
from tiny import TWO, job

pytestmark = pytest.mark.usefixtures("screen", "small_model", "small_tiles")
CT = TASKS["superres-ct"]
SPACING = (6000.0, 800.0, 800.0)


@pytest.fixture(scope="module")
def finer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that makes six slices of one, trained on thin volumes alone."""
    folder = tmp_path_factory.mktemp("finer")
    rng = np.random.default_rng(0)
    for number in range(2):
        hu = 400 * rng.normal(size=(26, 48, 48)).astype(np.float32)
        write(folder / "thin" / f"{number}.nii.gz", Volume(hu, spacing=(1000.0, 800.0, 800.0)))
    result_of(train(job(folder, folder / "run", task="superres-ct", patch=(24, 32, 32))))
    model = folder / "run" / "model"
    # tiles see all that they can, so that they are those of a file: tests/staining/test_reach.py
    write_info(model, read_info(model).model_copy(update={"reach": None}))
    return model


@pytest.fixture
def ct() -> np.ndarray:
    z, y, x = np.mgrid[:7, :40, :44]
    return (40 + 150 * np.sin(z / 2 + y / 9) * np.cos(x / 11)).astype(np.float32)


@pytest.fixture
def panel(make_napari_viewer_proxy: Any, ct: np.ndarray, finer: Path, qtbot: Any) -> StainPanel:
    viewer = make_napari_viewer_proxy(show=True)
    place = {"scale": SPACING, "translate": (9000, 3, 2), "units": "um"}
    viewer.add_image(ct, name="CT", contrast_limits=(-100, 180), **place)
    made = StainPanel(viewer)
    viewer.window.add_dock_widget(made, name="Stain")
    made.form.model.fill(str(finer))
    qtbot.waitUntil(lambda: viewer.layers["CT"].corner_pixels.any(), timeout=10_000)
    return made


def run(panel: StainPanel, qtbot: Any) -> Any:
    """Press the button, wait, and return the last layer."""
    panel.form.start.click()
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=120_000)
    return panel._viewer.layers[-1]


def test_finer_slices_lie_in_register_beside_the_thick_ones(
    panel: StainPanel, ct: np.ndarray, finer: Path, qtbot: Any, tmp_path: Path
) -> None:
    form, viewer, source = panel.form, panel._viewer, panel._viewer.layers["CT"]
    assert form.start.text() == "Restore z"
    assert "42 slices, 1000 µm apart" in form.about.text()
    made = run(panel, qtbot)
    assert made.name == CT.result
    truth = Stainer(load_bundle(finer), "cpu").stain(Volume(ct, SPACING, name="ct"))
    assert np.abs(np.asarray(made.data) - truth.numpy()).max() < 1e-2  # HU
    np.testing.assert_allclose(made.scale, (1000, 800, 800))
    np.testing.assert_allclose(made.translate, (6500, 3, 2))
    # both begin and end at the same faces
    for end, sign in ((0, -1), (1, 1)):
        faces = [x.extent.world[end] + sign * x.scale / 2 for x in (made, source)]
        np.testing.assert_allclose(*faces)
    assert tuple(made.contrast_limits) == (-100, 180)
    assert made.units == source.units
    assert made.metadata[KEY]["judge"] == "restoration"
    source.translate = (0, 0, 0)  # the result stays in register
    np.testing.assert_allclose(made.translate, (-2500, 0, 0))
    (saved,) = made.save(str(tmp_path / "finer.ome.zarr"), plugin="napari-llcm")
    back = read(saved)
    assert back.shape == (42, 40, 44)
    assert back.spacing == pytest.approx((1000, 800, 800))
    assert back.metadata["judge"] == "restoration"
    assert len(viewer.layers) == 2


def test_what_a_task_without_nuclei_does_not_need_is_not_offered(
    panel: StainPanel, finer: Path, qtbot: Any
) -> None:
    form = panel.form
    nuclei = (form.width_row, form.verdict, form.teach)
    assert not any(widget.isVisible() for widget in nuclei)
    run(panel, qtbot)
    assert form.check.text() == "Check against thin slices"
    assert not any(widget.isVisible() for widget in nuclei)
    form.model.fill("small")
    assert form.start.text() == "Stain"
    assert form.width_row.isVisible()
    assert form.verdict.isVisible()
    assert "slices" not in form.about.text()


def test_the_region_and_the_view_are_in_slices_of_the_result(panel: StainPanel, qtbot: Any) -> None:
    form, viewer = panel.form, panel._viewer
    form.region.combo.setCurrentIndex(form.region.combo.findData(PLANES))
    form.region.planes.setValue((2, 3))  # thick slices
    made = run(panel, qtbot)
    done = np.flatnonzero(np.asarray(made.data).any((1, 2)))
    assert (done.min(), done.max()) == (12, 23)
    form.region.combo.setCurrentIndex(form.region.combo.findData(SCREEN))
    view = panel._chosen.stain_layer(viewer.layers["CT"])[1]
    viewer.dims.set_point(0, made.data_to_world((30, 0, 0))[0])
    view.look()
    assert view.box[0] == (30, 31)
    assert view.centre()[0] == 30


def test_a_live_preview_follows_through_the_finer_slices(panel: StainPanel, qtbot: Any) -> None:
    viewer = panel._viewer
    viewer.dims.set_current_step(0, 3)
    panel.form.live.click()
    qtbot.waitUntil(lambda: CT.result in viewer.layers, timeout=120_000)
    made = viewer.layers[CT.result]
    qtbot.waitUntil(lambda: bool(np.asarray(made.data[21]).all()), timeout=120_000)
    viewer.dims.set_point(0, made.data_to_world((40, 0, 0))[0])
    qtbot.waitUntil(lambda: bool(np.asarray(made.data[40]).all()), timeout=120_000)
    panel.form.live.click()
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=120_000)


def test_a_series_and_several_samples_of_finer_slices(
    panel: StainPanel, ct: np.ndarray, qtbot: Any
) -> None:
    form, viewer = panel.form, panel._viewer
    series = np.stack([ct, ct[:, ::-1]])
    place = {"scale": (1, *SPACING), "units": ("pixel", *["um"] * 3)}
    layer = viewer.add_image(series, name="series", axis_labels="tzyx", **place)
    form.stack.choose(layer)
    form.times.setCurrentIndex(1)
    form.spread.setChecked(True)
    form.samples.setValue(2)
    spread = run(panel, qtbot)
    mean = viewer.layers[CT.result]
    assert spread.name == f"Spread of {CT.result}"
    assert mean.data.shape == spread.data.shape == (2, 42, 40, 44)
    np.testing.assert_allclose(mean.scale, (1, 1000, 800, 800))
    np.testing.assert_allclose(mean.translate, (0, -2500, 0, 0))
    assert all(np.asarray(mean.data[t]).any() for t in range(2))
    canvas = panel._chosen.stain_layer(layer)[0].canvases[1].array
    low, high = layer.contrast_limits  # Hounsfield units have no dark end: a share of the range
    np.testing.assert_allclose(np.asarray(spread.data[1]), canvas[1] / (high - low), rtol=1e-5)


@pytest.fixture
def two(panel: StainPanel) -> StainPanel:
    outputs = [
        {**channel, "colormap": colour}
        for channel, colour in zip(TWO["outputs"], ("cyan", "magenta"), strict=True)
    ]
    model = make_model(task=Task(**TWO | {"outputs": outputs}))
    save_bundle(user_folder() / "two", model.info, model.networks)
    rng = np.random.default_rng(0)
    for name in ("brightfield", "phase"):
        data = rng.normal(size=(8, 40, 44)).astype(np.float32)
        panel._viewer.add_image(data, name=name, scale=(0.5, 0.25, 0.25), units="um")
    panel.form.stack.choose(panel._viewer.layers["phase"])
    panel.form.model.fill("two")
    return panel


def test_several_inputs_are_asked_for_and_each_output_is_a_layer(
    two: StainPanel, qtbot: Any
) -> None:
    viewer, form = two._viewer, two.form
    (combo,) = form.further.combos
    assert combo.isVisible()
    assert combo.layer is viewer.layers["brightfield"]
    run(two, qtbot)
    both = [viewer.layers[name] for name in ("nuclei", "membrane")]
    assert [layer.colormap.name for layer in both] == ["cyan", "magenta"]
    stacks = [viewer.layers[name].data for name in ("phase", "brightfield")]
    truth = Stainer("two", "cpu").stain(Volume(np.stack(stacks), (0.5, 0.25, 0.25), "czyx"))
    for layer, wanted in zip(both, truth.numpy(), strict=True):
        np.testing.assert_allclose(np.asarray(layer.data), wanted, rtol=1e-3, atol=0.1)
    stale = viewer.layers["brightfield"]
    stale.data = stale.data + 1  # of another input than the first
    assert all("(outdated)" in layer.name for layer in both)


def test_inputs_that_do_not_fit_are_refused_in_words(two: StainPanel, qtbot: Any) -> None:
    viewer, form = two._viewer, two.form
    (combo,) = form.further.combos
    combo.choose(viewer.layers["CT"])
    run(two, qtbot)
    assert "choose stacks of the same field and of one shape" in two.bar.said
    combo.choose(viewer.layers["phase"])
    run(two, qtbot)
    assert "another layer for each" in two.bar.said
    two.stain_layers([viewer.layers["CT"], viewer.layers["phase"]])
    assert "takes 2 stacks at once" in two.bar.said
    assert len(viewer.layers) == 3


def thin_and_thick() -> tuple[Volume, Volume]:
    """Return a phantom of thin slices with a slanted bright plate, and thick ones of it."""
    z, y, x = np.mgrid[:26, :24, :28]
    plate = np.abs(z - 12 - (x - 14) / 4) < 4
    hu = (np.where(plate, 160, 0) + 8 * np.sin(y / 3)).astype(np.float32)
    thin = Volume(hu, (1000.0, 800.0, 800.0), name="thin", metadata={"unit": "HU"})
    return thin, thicken(thin, CT.thick or ThickOptions())[0].replace(name="thick")


@pytest.mark.versions
def test_finer_slices_are_compared_with_thin_ones(panel: StainPanel, qtbot: Any) -> None:
    viewer = panel._viewer
    thin, thick = thin_and_thick()
    for volume in (thin, thick):
        viewer.add_layer(Layer.create(*as_layers(volume)[0]))
    panel.form.stack.choose(viewer.layers["thick"])
    restored = run(panel, qtbot)
    panel.form.check.click()
    check = next(iter(viewer.window._qt_window.findChildren(CheckPanel)))
    qtbot.waitUntil(lambda: check.images.result is not None, timeout=120_000)
    form, images = check.form, check.images
    assert form.of_images
    chosen = [combo.layer.name for combo in (form.stain, form.truth, form.qpi)]
    assert chosen == [CT.result, "thin", "thick"]
    assert not form.segmenter.isVisible()
    assert "24 of 26 planes" in images.caption.text()
    assert "-160 to 240 HU" in images.caption.text()
    truth, window = thin.replace(data=thin.data[:24]), HounsfieldWindow()
    made = thin.replace(data=np.asarray(restored.data), origin=(0.0, 0.0, 0.0))
    wanted = restoration_metrics(truth, made, window=window)
    between = restoration_metrics(truth, interpolated(thick, 24, "cubic"), window=window)
    for name, figures in (("restored", wanted), ("interpolated", between)):
        for figure in ("psnr", "ssim", "mae"):
            assert float(images.figures[name, figure].text()) == pytest.approx(
                figures[figure], rel=0.01
            )
    assert images._titles["mae"].text() == "error (HU)"
    assert not images.nuclei.isVisible()  # a CT has none

    images.profile.draw.click()
    lines = viewer.layers["profile (check)"]
    assert lines.mode == "add_line"
    at = restored.world_to_data(viewer.layers["thin"].data_to_world((1, 12, 14)))
    lines.add_lines(np.array([at, np.add(at, (20, 0, 0))]))  # through the plate, along z
    profile = images.profile.profile
    assert profile is not None
    assert profile.kind == "peak"
    np.testing.assert_allclose(profile.at[-1], 20_000)
    assert profile.widths["thin slices"] == pytest.approx(7000, abs=150)
    assert profile.widths["interpolated"] > 7200
    assert "Width at half height" in images.profile.widths.text()
    lines.add_lines(np.array([at, np.add(at, (11, 0, 0))]))
    assert images.profile.profile.kind == "edge"
    viewer.layers["thin"].data = viewer.layers["thin"].data + 1
    assert "check anew" in images.caption.text()


def test_images_that_cannot_be_compared_are_refused_in_words(
    panel: StainPanel, ct: np.ndarray, qtbot: Any
) -> None:
    viewer = panel._viewer
    made = run(panel, qtbot)
    check = CheckPanel(viewer)
    viewer.window.add_dock_widget(check, name="Check")
    check.form.stain.choose(made)
    assert check.form.of_images
    check.form.truth.choose(None)
    check.start()
    assert "Choose the thin slices" in check.bar.said
    check.form.truth.choose(viewer.layers["CT"])
    check.form.qpi.choose(None)
    check.start()
    qtbot.waitUntil(lambda: "compare stacks on one grid" in check.bar.said, timeout=30_000)
    assert not check.images.isVisible()


@pytest.mark.parametrize(("sigma", "wanted"), [(2.0, 4.71), (1.0, 2.355)])
def test_widths_of_profiles(sigma: float, wanted: float) -> None:
    at = np.linspace(0, 40, 801)
    peak = 5 - 3 * np.exp(-(((at - 20) / sigma) ** 2) / 2)
    assert kind_of(peak) == "peak"
    assert width_of(at, peak, "peak") == pytest.approx(wanted, rel=0.01)
    edge = 7 - 2 * norm.cdf((at - 20) / sigma)
    assert kind_of(edge) == "edge"
    assert width_of(at, edge, "edge") == pytest.approx(2.563 * sigma, rel=0.01)
    assert np.isnan(width_of(at, np.ones_like(at), "edge"))
    assert np.isnan(width_of(at[:410], peak[:410], "peak"))
