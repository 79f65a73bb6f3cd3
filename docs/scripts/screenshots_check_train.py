"""Make the pictures of the guide's Check and Train sections from the running plugin.

Needs a screen; a virtual one will do::

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/scripts/screenshots_check_train.py

Give names to make only those: ``… check train``. The shipped model stains the specimen that is
checked. The training goes on from it on four small specimens for some steps, so that its picture
takes two minutes; nothing in the pictures is drawn by hand.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from screenshots import Window, specimen

SHORT = {
    "patch": (16, 32, 32),
    "crops": 2,
    "vae_phase": {"steps": 40},
    "method_phase": {"steps": 120},
    "validations": 4,
    "tensorboard": False,
}


def check() -> None:
    """Show a comparison in 2D and 3D, and the nuclei of a stain without a real one."""
    from napari_llcm import Stainer
    from napari_llcm.gui.layers.conversion import as_layers
    from napari_llcm.gui.layers.look import REAL, VIRTUAL, dressed

    window = Window()
    made = specimen()
    virtual = Stainer().stain(made.qpi)
    window.add(
        [
            *dressed(made.qpi),
            *as_layers(made.dapi, name="DAPI (real)", **(REAL | {"visible": False})),
            *as_layers(virtual, name="DAPI (virtual)", **VIRTUAL),
        ]
    )
    viewer = window.viewer
    viewer.layers["QPI"].visible = False
    panel = window.bench.show_panel("Check")
    panel.check.click()
    window.idle(panel)
    window.shoot("check")
    panel.step(1)
    window.wait(0.6)
    window.shoot("check-missed")
    viewer.layers["DAPI (virtual)"].visible = False
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    viewer.camera.angles = (0, 25, 60)
    window.wait(1)
    window.shoot("check-3d")
    viewer.dims.ndisplay = 2
    viewer.layers["DAPI (virtual)"].visible = True
    viewer.reset_view()
    panel.exports.save("report", Path(__file__).parents[1] / "images" / "gui-check-report.png")
    window.until(lambda: not panel.exports.runner.running)
    panel.form.truth.choose(None)
    panel.check.click()
    window.idle(panel)
    window.shoot("check-alone")


def train() -> None:
    """Show the form with its estimate, a training that goes on, and one that is done."""
    from napari_llcm.events import result_of
    from napari_llcm.gui.layers.conversion import as_layers
    from napari_llcm.gui.layers.look import REAL, dressed
    from napari_llcm.specimen import write_specimens

    window = Window()
    made = specimen()
    window.add([*dressed(made.qpi), *as_layers(made.dapi, **(REAL | {"visible": False}))])
    panel = window.bench.show_panel("Train")
    window.until(lambda: panel.form.estimate.text().startswith("About"))
    window.shoot("train")
    folder = Path(tempfile.mkdtemp())
    result_of(write_specimens(folder, 4, (16, 64, 64), 700, "easy"))
    panel.preflight.paused = True
    panel.pairs.set_folder(folder)
    panel.form.name.setText("my-microscope")
    panel.further = SHORT
    panel.start()
    history = panel.view.curves
    window.until(lambda: "psnr" in history.history.validation or not panel.busy)
    window.wait(15)
    window.shoot("training")
    window.until(lambda: not panel.busy)
    window.wait(1)
    _show_run(window)
    window.shoot("trained")


def teach() -> None:
    """Go from a verdict to a taught model and its stain, by the clicks of a user.

    The kind is drawn from those that the shipped model stains badly; the whole of it takes as
    long as the panel says.
    """
    from napari_llcm.gui.layers.conversion import as_layers
    from napari_llcm.gui.layers.look import REAL, dressed
    from napari_llcm.specimen import make_specimen

    window = Window()
    made = make_specimen(
        size=(32, 160, 160), seed=9_400_001, modality="transmission", spacing=(1.1, 0.65, 0.65)
    )
    window.add([*dressed(made.qpi), *as_layers(made.dapi, **(REAL | {"visible": False}))])
    stain = window.bench.show_panel("Stain")
    stain.form.verdict.check.click()
    window.idle(stain)
    window.shoot("verdict")
    stain.form.teach.click()
    train = window.bench.show_panel("Train")
    window.wait(1)
    window.shoot("teach")
    train.train.click()
    window.until(lambda: not train.busy)
    window.wait(1)
    _show_run(window)
    window.shoot("taught")
    train.again.click()
    window.idle(stain)
    window.shoot("stained-again")


def _show_run(window: Any) -> None:
    """Scroll to the run, as a user would."""
    page = window.bench.tabs.currentWidget()
    page.verticalScrollBar().setValue(page.verticalScrollBar().maximum())
    window.wait(0.3)


SHOTS = {"check": check, "train": train, "teach": teach}


def main() -> None:
    """Make the pictures whose names are given, or all."""
    with tempfile.TemporaryDirectory() as home:
        for name in ("DATA", "CONFIG", "CACHE"):
            os.environ[f"XDG_{name}_HOME"] = str(Path(home) / name)
        for name in sys.argv[1:] or SHOTS:
            SHOTS[name]()


if __name__ == "__main__":
    main()
