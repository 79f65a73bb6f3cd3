"""Make the pictures of the user guide from the running plugin.

Needs a screen; a virtual one will do::

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/scripts/screenshots.py

Give names to make only those: ``… screenshots.py load stain``. Each runs in a process of its own,
with settings and models of its own, as on a computer that has just got the plugin.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).parents[1] / "images"
WINDOW = (1280, 800)
SIZE, SEED = (48, 192, 192), 20_000_002  # the demo's specimen


class Window:
    """A napari window with the workbench, as a user sees it.

    Attributes
    ----------
    viewer : napari.Viewer
        The viewer.
    bench : Workbench
        The four panels.
    """

    def __init__(self) -> None:
        import napari

        self.viewer = napari.Viewer(title="napari")
        self.viewer.window.resize(*WINDOW)
        _, self.bench = self.viewer.window.add_plugin_dock_widget(
            "napari-llcm", "Virtual staining (LLCM)"
        )
        self.wait(0.5)

    def wait(self, seconds: float) -> None:
        """Let the window live for a while."""
        ends = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > ends)

    def until(self, done: Callable[[], Any], limit: float = 1800.0) -> None:
        """Let the window live until something has happened."""
        from qtpy.QtWidgets import QApplication

        ends = time.monotonic() + limit
        while not done():
            if time.monotonic() > ends:
                raise TimeoutError("the plugin did not do what the picture is to show")
            QApplication.processEvents()
            time.sleep(0.01)

    def idle(self, panel: Any) -> None:
        """Wait until a panel's job is over."""
        self.until(lambda: not panel.runner.running)
        self.wait(0.5)

    def shoot(self, name: str, widget: Any = None) -> None:
        """Write a picture of the window, or of one of its widgets."""
        self.wait(0.5)
        path = IMAGES / f"gui-{name}.png"
        if widget is not None:
            widget.grab().save(str(path))
        else:
            self.viewer.screenshot(str(path), canvas_only=False, flash=False)
        print(path)

    def add(self, layers: list[Any]) -> None:
        """Add layers, and show the middle plane."""
        from napari.layers import Layer

        for one in layers:
            self.viewer.add_layer(Layer.create(*one))
        self.viewer.dims.current_step = tuple(n // 2 for n in self.viewer.dims.nsteps)
        self.viewer.reset_view()
        self.viewer.canvas.overlays.scale_bar.visible = True
        self.wait(0.5)


def specimen(folder: Path | None = None) -> Any:
    """Return the demo's specimen; with a folder, write it there as a pair too."""
    from napari_llcm.specimen import make_specimen
    from napari_llcm.volumes import write

    made = make_specimen(SIZE, SEED, "medium")
    if folder is not None:
        for kind, volume in (("qpi", made.qpi), ("dapi", made.dapi)):
            (folder / kind).mkdir()
            write(folder / kind / "field1.ome.tif", volume)
    return made


def load() -> None:
    """Show a pair opened from a folder, and its registration mended."""
    from napari_llcm.volumes import apply_shift, write

    window = Window()
    folder = Path(tempfile.mkdtemp())
    made = specimen(folder)
    shifted = apply_shift(made.dapi, (0, 7, -6))
    write(folder / "dapi" / "field1.ome.tif", shifted, overwrite=True)
    panel = window.bench.show_panel("Load")
    panel.open_folder(folder)
    window.idle(panel)
    panel.form.open_chosen.click()
    window.idle(panel)
    window.shoot("load")
    panel.form.registration.check.click()
    window.idle(panel)
    window.shoot("registration", panel.form.registration)


def spacing() -> None:
    """Show the question for a voxel size."""
    from napari_llcm.volumes import write

    window = Window()
    file = Path(tempfile.mkdtemp()) / "cells.tif"
    write(file, specimen().qpi.replace(spacing=None))
    panel = window.bench.show_panel("Load")
    panel.open(file)
    window.idle(panel)
    window.shoot("spacing", panel.form.layer.parentWidget())


def stain() -> None:
    """Show a stain half done, done, and the spread of its samples."""
    from napari_llcm.gui.layers.look import dressed
    from napari_llcm.tasks.registry import STAIN

    window = Window()
    window.add(dressed(specimen().qpi))
    panel = window.bench.show_panel("Stain")
    seen: list[Any] = []
    panel.runner.event.connect(lambda e: seen.append(e) if e.kind == "tile" else None)
    panel.form.start.click()
    window.until(lambda: len(seen) >= 2)
    window.shoot("staining")
    window.idle(panel)
    window.shoot("stained")
    panel.form.spread.setChecked(True)
    panel.form.start.click()
    window.idle(panel)
    window.viewer.layers[f"Spread of {STAIN.result}"].visible = True
    window.shoot("spread")


def region() -> None:
    """Show a drawn region and its stain."""
    import numpy as np

    from napari_llcm.gui.layers.look import dressed
    from napari_llcm.gui.stain.region import SHAPES

    window = Window()
    window.add(dressed(specimen().qpi))
    panel = window.bench.show_panel("Stain")
    z = float(window.viewer.dims.point[0])
    corners = np.array([[z, 20, 25], [z, 20, 65], [z, 60, 65], [z, 60, 25]])
    window.viewer.add_shapes(
        [corners], name="region", face_color="transparent", edge_color="yellow", units="um"
    )
    panel.form.region.combo.setCurrentText(SHAPES)
    panel.form.start.click()
    window.idle(panel)
    window.shoot("region")


SHOTS = {"load": load, "spacing": spacing, "stain": stain, "region": region}


def main() -> None:
    """Make the pictures whose names are given, or all."""
    names = sys.argv[1:] or list(SHOTS)
    if os.environ.get("NAPARI_LLCM_SHOT"):
        SHOTS[names[0]]()
        return
    for name in names:
        with tempfile.TemporaryDirectory() as home:
            own = {
                key: str(Path(home) / key.lower())
                for key in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
            }
            environment = {**os.environ, **own, "HOME": home, "NAPARI_LLCM_SHOT": "1"}
            subprocess.run([sys.executable, __file__, name], env=environment, check=True)


if __name__ == "__main__":
    main()
