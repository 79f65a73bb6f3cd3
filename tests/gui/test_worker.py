"""Panels over the real worker: the layer fills in, also when the worker dies meanwhile."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import psutil
import pytest

from napari_llcm.events import Tile
from napari_llcm.gui.layers.conversion import KEY
from napari_llcm.gui.load.panel import LoadPanel
from napari_llcm.gui.stain import painting
from napari_llcm.gui.stain.panel import StainPanel
from napari_llcm.staining import StainOptions, stain
from napari_llcm.tasks.registry import STAIN
from napari_llcm.volumes import Volume, write
from napari_llcm.worker import COMPUTER, READER, Workers
from stains import run

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the worker knows no tests

pytestmark = pytest.mark.usefixtures("screen", "small_model")
SHAPE = (16, 64, 80)


def small_tiles(seconds: float) -> None:
    """Let tiles be 8 × 16 × 16 voxels, each of which takes so long."""
    from napari_llcm.staining import Tiling, tiled

    tiling = Tiling((8, 16, 16), (16, 64, 96), (16, 64, 96))
    decode = tiled.LocalPipeline.decode

    def slowly(self: Any, tile: Any) -> Any:
        time.sleep(seconds)
        return decode(self, tile)

    tiled.plan = lambda *_, **__: tiling  # type: ignore[assignment]
    tiled.LocalPipeline.decode = slowly  # type: ignore[method-assign]


@pytest.fixture
def panel(make_napari_viewer_proxy: Any, worker: Workers, qtbot: Any) -> StainPanel:
    viewer = make_napari_viewer_proxy(show=True)
    data = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    viewer.add_image(data, name="QPI", scale=(0.5, 0.25, 0.25), units="um")
    made = StainPanel(viewer)
    viewer.window.add_dock_widget(made, name="Stain")
    qtbot.waitUntil(lambda: viewer.layers["QPI"].corner_pixels.any(), timeout=10_000)
    return made


def until_it_ends(panel: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=120_000)


def test_a_stain_whose_worker_is_killed_goes_on_and_is_the_same(
    panel: StainPanel, worker: Workers, qtbot: Any
) -> None:
    viewer, seen = panel._viewer, list[Any]()
    worker.call(COMPUTER, partial(small_tiles, 0.05))
    first = worker.start(COMPUTER).pid
    panel.runner.event.connect(seen.append)
    panel.form.start.click()
    qtbot.waitUntil(lambda: sum(isinstance(e, Tile) for e in seen) > 5, timeout=120_000)
    assert STAIN.result in viewer.layers
    made = viewer.layers[STAIN.result]
    assert 0 < np.count_nonzero(made.data) < made.data.size
    psutil.Process(first).kill()
    until_it_ends(panel, qtbot)
    assert "goes on in another" in panel.bar.detail_text()
    assert "Done in" in panel.bar.said
    boxes = [e.slices for e in seen if isinstance(e, Tile)]
    assert len(boxes) <= len(set(boxes)) + 2  # what was done is not done again
    assert all(e.data is None for e in seen if isinstance(e, Tile))
    assert made.metadata[KEY]["model"] == "small"
    model = painting.LOADED.get(panel.form.model.path)
    volume = panel._chosen.stack(viewer.layers["QPI"]).volume
    whole = run(stain(volume, model, StainOptions(device="cpu", check=False)))[0].value.numpy()
    np.testing.assert_allclose(made.data, whole, atol=0.02 * np.abs(whole).max())
    panel.form.start.click()
    until_it_ends(panel, qtbot)
    assert "there already" in panel.bar.said


def test_a_stain_is_stopped_in_the_worker_and_goes_on_there(
    panel: StainPanel, worker: Workers, qtbot: Any
) -> None:
    worker.call(COMPUTER, partial(small_tiles, 0.1))
    seen = list[Any]()
    panel.runner.event.connect(seen.append)
    panel.form.start.click()

    def stained() -> bool:
        return any(isinstance(e, Tile) and not e.preview for e in seen)

    qtbot.waitUntil(stained, timeout=120_000)
    began = time.monotonic()
    panel.bar.cancel.click()
    until_it_ends(panel, qtbot)
    assert time.monotonic() - began < 2
    assert "Stopped" in panel.bar.said
    made = panel._viewer.layers[STAIN.result]
    assert (made.data == 0).any()
    panel.form.start.click()
    until_it_ends(panel, qtbot)
    (stain_layer,) = panel._chosen.layers._known.values()
    assert stain_layer.complete
    pid = worker.start(COMPUTER).pid
    panel.form.free.click()
    qtbot.waitUntil(lambda: not psutil.pid_exists(pid), timeout=20_000)
    assert "out of memory" in panel.bar.said


def test_a_live_preview_follows_the_view_in_the_worker(
    panel: StainPanel, worker: Workers, qtbot: Any
) -> None:
    viewer = panel._viewer
    worker.call(COMPUTER, partial(small_tiles, 0.0))
    viewer.dims.set_current_step(0, 1)
    viewer.camera.zoom, viewer.camera.center = 100.0, (0, 2.0, 2.0)
    panel.form.live.click()
    qtbot.waitUntil(lambda: STAIN.result in viewer.layers, timeout=120_000)
    made = viewer.layers[STAIN.result]
    qtbot.waitUntil(lambda: bool(made.data[1, 8, 8]), timeout=60_000)
    assert not made.data[14, 60, 76]
    viewer.camera.center = (0, 15.5, 19.0)
    viewer.dims.set_current_step(0, 14)
    qtbot.waitUntil(lambda: bool(made.data[14, 60, 76]), timeout=60_000)
    panel.form.live.click()
    until_it_ends(panel, qtbot)


def test_a_file_that_ends_its_reader_is_named_and_the_next_one_opens(
    make_napari_viewer_proxy: Any,
    worker: Workers,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crashing = (
        "import sys\n"
        "if 'napari_llcm.worker' in sys.orig_argv:\n"
        "    import ctypes, tifffile\n"
        "    opened = tifffile.TiffFile.__init__\n"
        "    def init(self, file, *a, **k):\n"
        "        ctypes.string_at(0) if 'damaged' in str(file) else opened(self, file, *a, **k)\n"
        "    tifffile.TiffFile.__init__ = init\n"
    )
    (tmp_path / "sitecustomize.py").write_text(crashing)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    voxels = np.random.default_rng(0).integers(0, 999, (6, 40, 48)).astype(np.uint16)
    for name in ("whole", "damaged"):
        write(tmp_path / f"{name}.ome.tif", Volume(voxels, spacing=(1, 1, 1)))
    viewer = make_napari_viewer_proxy(show=True)
    panel = LoadPanel(viewer)
    panel.open(tmp_path / "damaged.ome.tif")
    until_it_ends(panel, qtbot)
    assert "damaged.ome.tif cannot be read: each time it was tried" in panel.bar.said
    assert not viewer.layers
    panel.open(tmp_path / "whole.ome.tif")
    until_it_ends(panel, qtbot)
    (layer,) = panel._viewer.layers
    np.testing.assert_array_equal(layer.data[3], voxels[3])
    psutil.Process(worker.start(READER).pid).kill()
    np.testing.assert_array_equal(layer.data[4], voxels[4])  # read by the next one
