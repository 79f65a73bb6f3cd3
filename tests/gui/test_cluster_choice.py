"""The Stain panel on other machines: asked for once, remembered, and painted tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import LocalCluster

from napari_llcm.cluster.certificates import make_keys
from napari_llcm.gui.stain.cluster_choice import CLUSTER, ClusterDialog
from napari_llcm.gui.stain.panel import StainPanel
from napari_llcm.tasks.registry import STAIN

pytestmark = pytest.mark.usefixtures("screen", "small_model", "small_tiles")


@pytest.fixture
def panel(make_napari_viewer_proxy: Any, qtbot: Any) -> StainPanel:
    viewer = make_napari_viewer_proxy(show=True)
    data = np.random.default_rng(1).normal(size=(16, 64, 80)).astype(np.float32)
    viewer.add_image(data, name="QPI", scale=(0.5, 0.25, 0.25), units="um")
    made = StainPanel(viewer)
    viewer.window.add_dock_widget(made, name="Stain")
    return made


@pytest.fixture
def scheduler() -> Iterator[str]:
    """Return the address of a scheduler in this process, with two workers."""
    kinds: dict[str, Any] = {"processes": False, "protocol": "tcp", "dashboard_address": None}
    with LocalCluster(n_workers=2, threads_per_worker=1, **kinds) as cluster:
        yield cluster.scheduler_address


def asked(panel: StainPanel) -> ClusterDialog:
    """Choose the entry as a user does; return the dialog."""
    combo = panel.form.device
    combo.setCurrentIndex(combo.findData(CLUSTER))
    combo.activated.emit(combo.currentIndex())
    dialog = panel.form.cluster.dialog
    assert dialog is not None
    assert dialog.isVisible()
    return dialog


def test_it_asks_for_a_key_and_remembers_it(panel: StainPanel, tmp_path: Path) -> None:
    before = panel.form.device.currentData()
    asked(panel).reject()
    assert panel.form.device.currentData() == before
    dialog = asked(panel)
    dialog.accept()
    assert "Choose the key file" in dialog.said.text()
    dialog.address.setText("tcp://192.0.2.7:8786")
    dialog.accept()
    assert "not encrypted" in dialog.said.text()
    key = make_keys(tmp_path, "tls://192.0.2.7:8786").client
    dialog.address.clear()
    dialog.key.setText(str(key))
    dialog.accept()
    assert "laptop.pem" in panel.form.device.currentText()
    options = panel._chosen.options()
    assert (options.cluster, options.cluster_key, options.device) == (str(key), key, "auto")
    panel.form.remember()
    assert StainPanel(panel._viewer).form.device.currentData() == CLUSTER
    panel.form.device.setCurrentIndex(panel.form.device.findData("cpu"))
    assert panel._chosen.options().cluster is None


def test_a_stain_comes_from_other_machines(panel: StainPanel, scheduler: str, qtbot: Any) -> None:
    dialog = asked(panel)
    dialog.address.setText("tcp://127.0.0.1:1")
    dialog.test.click()
    qtbot.waitUntil(lambda: "No dask scheduler answers" in dialog.said.text(), timeout=20_000)
    dialog.address.setText(scheduler)
    dialog.test.click()
    qtbot.waitUntil(lambda: "Connected: 2" in dialog.said.text(), timeout=20_000)
    dialog.accept()
    seen: list[Any] = []
    panel.runner.event.connect(seen.append)
    panel.form.start.click()
    qtbot.waitUntil(lambda: not panel.runner.running, timeout=60_000)
    assert any("Computing there" in getattr(e, "text", "") for e in seen)
    made = np.asarray(panel._viewer.layers[STAIN.result].data)
    assert made.any(axis=(1, 2)).all()
    assert "Done" in panel.bar.sentence.text()
