"""Opens napari, does what a user does in every panel, and prints what became of the process.

Run as a program, so that nothing of a test runner is in `sys.modules`. A line of JSON for each
action: its name, heavy modules that are in this process after it, and what else there is to tell.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

HEAVY = ("torch", "cellpose", "monai", "torchmetrics", "diffusers", "torchvision")
DECODERS = ("imagecodecs", "tifffile.tifffile", "imageio.plugins.pillow", "nibabel")
TINY = {
    "network": json.loads(sys.argv[3]),
    "patch": (8, 16, 16),
    "crops": 1,
    "vae_phase": {"steps": 2},
    "method_phase": {"steps": 2},
    "validations": 1,
    "checkpoint_seconds": 1,
    "tensorboard": False,
}


def main(stack: Path, damaged: Path) -> None:
    """Go through the panels."""
    import napari
    import numpy as np
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication

    from napari_llcm.gui.contributions import SAMPLE_SEED
    from napari_llcm.gui.layers.look import dressed
    from napari_llcm.models.library import DEFAULT_MODEL, find_model
    from napari_llcm.specimen import make_specimen
    from napari_llcm.worker import COMPUTER, READER, workers

    viewer: Any = napari.Viewer()
    application: Any = QApplication.instance()
    ticks: list[float] = []
    timer = QTimer()
    timer.setInterval(5)
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    timer.start()

    def wait(until: Callable[[], bool], seconds: float = 240) -> None:
        end = time.monotonic() + seconds
        while not until():
            application.processEvents()
            time.sleep(0.001)
            assert time.monotonic() < end, "it takes too long"

    def told(action: str, **more: Any) -> None:
        found = [m for m in HEAVY if m in sys.modules]
        print(json.dumps({"action": action, "heavy": found, **more}), flush=True)

    def run(panel: Any, action: str, since: int = -1) -> None:
        """Wait for a panel's job, and tell how long the window was still, since a tick or now."""
        if since < 0:
            ticks.clear()
        wait(lambda: not panel.busy)
        gaps = np.diff(ticks) if len(ticks) > 2 else np.zeros(1)
        told(action, p95=float(np.percentile(gaps, 95)), longest=float(gaps.max()),
             said=getattr(panel, "bar", panel).said if hasattr(panel, "bar") else "")  # fmt: skip

    told("napari")
    _, bench = viewer.window.add_plugin_dock_widget("napari-llcm", "Virtual staining (LLCM)")
    panels = {name: bench.show_panel(name) for name in ("Load", "Stain", "Check", "Train")}
    wait(lambda: panels["Train"].isVisible())
    panels["Train"].preflight.paused = True
    told("panels")
    load, stain, check, train = panels.values()

    bench.show_panel("Load")
    load.open(stack)
    run(load, "load")
    load.open(damaged)
    run(load, "load damaged")
    (opened,) = viewer.open(stack, plugin="napari-llcm")
    middle = np.asarray(opened.data[len(opened.data) // 2])
    told("open", mean=float(middle.mean()), decoders=[m for m in DECODERS if m in sys.modules])
    viewer.layers.clear()

    made = make_specimen((16, 64, 64), SAMPLE_SEED, "easy")
    for volume, dye in ((made.qpi, False), (made.dapi, True)):
        for one in dressed(volume, dye=dye):
            viewer.add_layer(napari.layers.Layer.create(*one))
    qpi, dapi = viewer.layers

    ticks.clear()
    end = time.monotonic() + 2
    wait(lambda: time.monotonic() > end)
    told("idle", p95=float(np.percentile(np.diff(ticks), 95)))

    bench.show_panel("Stain")
    stain.form.model.fill("small")
    stain.form.stack.choose(qpi)
    stain.check_input()
    run(stain, "verdict")
    ticks.clear()
    began = time.monotonic()
    stain.form.start.click()
    wait(lambda: len(viewer.layers) == 3)
    first = time.monotonic() - began
    run(stain, "stain", since=0)
    virtual = viewer.layers[-1]
    told("stained", share=float((np.asarray(virtual.data) != 0).mean()), first=first)
    stain.form.spread.setChecked(True)
    stain.form.live.click()
    wait(lambda: len(viewer.layers) == 5)
    stain.form.live.click()
    run(stain, "live")
    stain.form.free.click()
    told("free", said=stain.bar.said)

    bench.show_panel("Check")
    check.form.segmenter.setCurrentIndex(check.form.segmenter.findData("classical"))
    check.form.stain.choose(dapi)  # against itself blurred: there are nuclei in both
    blurred = viewer.add_image(np.asarray(dapi.data) * 1.1, name="other dapi", scale=dapi.scale)
    blurred.units = dapi.units
    check.form.truth.choose(blurred)
    check.form.qpi.choose(qpi)
    check.start()
    run(check, "check")
    told("checked", found=0 if check.result is None else len(check.result.table))
    check.exports.save("report", stack.with_name("report.pdf"))
    wait(lambda: not check.exports.runner.running)
    told("export", there=stack.with_name("report.pdf").exists())
    check.form.compare.setCurrentIndex(check.form.compare.findData("restoration"))
    check.form.qpi.choose(virtual)
    check.start()
    run(check, "compare images")

    bench.show_panel("Load")
    for by_stain in (False, True):
        load.form.registration.by_stain.setChecked(by_stain)
        load.check(qpi, dapi)
        run(load, f"registration {by_stain}")

    bench.show_panel("Train")
    train.preflight.paused = False
    train.pairs.qpi.choose(qpi)
    train.pairs.dapi.choose(dapi)
    train.form.device.setCurrentIndex(train.form.device.findData("cpu"))
    train.form.init.setCurrentIndex(train.form.init.findText("nothing"))
    train.preflight._look()
    wait(lambda: not train.preflight.checker.running)
    told("pairs", said=train.pairs.verdict.text())
    train.preflight.stop()
    train.preflight.paused = True
    train.further = TINY
    train.form.name.setText("mine")
    train.start()
    run(train, "train")
    told("trained", said=train.view.bar.said)
    bench.show_panel("Stain")
    stain.form.model.wanted.emit(find_model(DEFAULT_MODEL))
    run(stain, "add a model")
    windows = "[m for m in ('qtpy', 'napari') if m in __import__('sys').modules]"
    told("workers", windows=[workers.call(w, partial(eval, windows)) for w in (COMPUTER, READER)])
    viewer.close()


main(Path(sys.argv[1]), Path(sys.argv[2]))
