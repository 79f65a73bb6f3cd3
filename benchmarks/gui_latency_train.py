"""How late events of the window are while a training runs in its child process.

A timer in Qt's event loop fires every 5 ms; how much later than that it fires is what a click
would have had to wait. Run it on a screen, or under a virtual one::

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/gui_latency_train.py
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gui_latency import Lateness, _after, _browse

SIZE, SEED = (32, 128, 128), 20_000_002
SECONDS = 40.0  # of training that are measured


def training(seconds: float = SECONDS) -> dict[str, Any]:
    """Return how late events are before and while a model of the usual size is trained.

    Parameters
    ----------
    seconds : float
        How long it is measured once the training has made its first steps.
    """
    import napari
    import psutil

    from napari_llcm.gui.layers.conversion import as_layers
    from napari_llcm.specimen import make_specimen

    made = make_specimen(SIZE, SEED, "medium")
    viewer = napari.Viewer()
    for volume in (made.qpi, made.dapi):
        for one in as_layers(volume):
            viewer.add_layer(napari.layers.Layer.create(*one))
    _, panel = viewer.window.add_plugin_dock_widget("napari-llcm", "Train")
    panel.preflight.paused = True
    panel.preflight.stop()
    lateness = Lateness()
    found: dict[str, Any] = {"processors": psutil.cpu_count(), "idle": lateness.during(_after(3.0))}
    panel.start()
    found["while it starts"] = lateness.during(_begun(panel))
    found["while training"] = lateness.during(_after(seconds))
    browsing = _browse(viewer)
    found["while training, browsing"] = lateness.during(_after(10.0))
    browsing.stop()
    found["load (1 min)"] = psutil.getloadavg()[0]
    panel.child.kill()
    found["while it ends"] = lateness.during(lambda: not panel.busy)
    found["torch in napari"] = "torch" in sys.modules
    viewer.close()
    return found


def _begun(panel: Any) -> Callable[[], bool]:
    return lambda: bool(panel.view.curves.history.losses) or not panel.busy


if __name__ == "__main__":
    import os

    with tempfile.TemporaryDirectory() as home:  # its runs do not stay among the user's
        os.environ["XDG_DATA_HOME"] = str(Path(home) / "data")
        os.environ["XDG_CONFIG_HOME"] = str(Path(home) / "config")
        print(json.dumps(training(), indent=1))
