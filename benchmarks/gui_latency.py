"""How quick the plugin feels: opening, the first tile, and events while it stains.

A timer in Qt's event loop fires every 5 ms; how much later than that it fires is what a click
would have had to wait. Run it on a screen, or under a virtual one::

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/gui_latency.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

SIZE, SEED = (48, 192, 192), 20_000_002  # the demo's specimen
PERIOD = 5  # ms
_OPEN = """
import sys, time
import napari
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer()
QApplication.processEvents()
began = time.perf_counter()
viewer.window.add_plugin_dock_widget("napari-llcm", "{}")
QApplication.processEvents()
print("seconds", time.perf_counter() - began, "torch" in sys.modules)
"""


class Lateness:
    """Records by how much each tick of a timer is late, in ms."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.late: list[float] = []
        self._due = 0.0
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(PERIOD)
        self._timer.timeout.connect(self._tick)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.late.append(max(now - self._due, 0.0) * 1000)
        self._due = now + PERIOD / 1000

    def during(self, done: Callable[[], bool], limit: float = 300.0) -> dict[str, float]:
        """Run the event loop until `done`, and return what was measured meanwhile."""
        from qtpy.QtCore import QEventLoop, QTimer

        loop, self.late = QEventLoop(), []
        ends = time.perf_counter() + limit
        watch = QTimer()
        watch.timeout.connect(lambda: loop.quit() if done() or time.perf_counter() > ends else None)
        watch.start(10)
        self._due = time.perf_counter() + PERIOD / 1000
        self._timer.start()
        loop.exec()
        self._timer.stop()
        late = np.array(self.late or [0.0])
        return {
            "p50_ms": float(np.percentile(late, 50)),
            "p95_ms": float(np.percentile(late, 95)),
            "worst_ms": float(late.max()),
            "ticks": len(late),
        }


def opening() -> dict[str, Any]:
    """Return how long a panel takes to open, beyond napari's own start, in fresh processes."""
    found = {}
    for name in ("Virtual staining (LLCM)", "Load", "Stain"):
        done = subprocess.run(
            [sys.executable, "-c", _OPEN.format(name)], capture_output=True, text=True, check=True
        )
        seconds, torch = done.stdout.split("seconds")[1].split()
        found[name] = {"seconds": float(seconds), "imports_torch": torch == "True"}
    return found


def staining() -> dict[str, Any]:
    """Return the time of the first tile, and how late events are while a specimen is stained."""
    import napari

    from napari_llcm.events import Tile
    from napari_llcm.gui.layers.conversion import as_layers
    from napari_llcm.gui.layers.look import dressed
    from napari_llcm.specimen import make_specimen

    made = make_specimen(SIZE, SEED, "medium")
    viewer = napari.Viewer()
    for data, attributes, kind in [*dressed(made.qpi), *as_layers(made.dapi, visible=False)]:
        viewer.add_layer(napari.layers.Layer.create(data, attributes, kind))
    viewer.dims.current_step = tuple(n // 2 for n in viewer.dims.nsteps)
    _, panel = viewer.window.add_plugin_dock_widget("napari-llcm", "Stain")
    lateness, found = Lateness(), {}
    found["idle"] = lateness.during(_after(2.0))
    browsing = _browse(viewer)
    found["browsing alone"] = lateness.during(_after(5.0))
    browsing.stop()
    first: list[tuple[float, float]] = []
    began = used = 0.0

    def hear(event: Any) -> None:
        if isinstance(event, Tile) and not first:
            first.append((time.perf_counter() - began, time.process_time() - used))

    panel.runner.event.connect(hear)
    for state in ("model not loaded", "model loaded"):
        first.clear()
        began, used = time.perf_counter(), time.process_time()
        panel.form.start.click()
        late = lateness.during(lambda: not panel.runner.running)
        found[state] = {
            "first_tile_s": first[0][0],
            "first_tile_cpu_s": first[0][1],  # of all threads: what other programs do not change
            "whole_s": time.perf_counter() - began,
            "while_staining": late,
        }
        viewer.layers.remove("DAPI (virtual)")
    panel.form.live.click()
    browsing = _browse(viewer)
    found["live preview, browsing"] = lateness.during(_after(10.0))
    browsing.stop()
    panel.form.live.click()
    lateness.during(lambda: not panel.runner.running)
    viewer.close()
    return found


def _browse(viewer: Any) -> Any:
    """Return a running timer that goes through the planes, ten a second."""
    from qtpy.QtCore import QTimer

    timer = QTimer()
    timer.timeout.connect(
        lambda: viewer.dims.set_current_step(
            0, (viewer.dims.current_step[0] + 1) % viewer.dims.nsteps[0]
        )
    )
    timer.start(100)
    return timer


def _after(seconds: float) -> Callable[[], bool]:
    ends = time.perf_counter() + seconds
    return lambda: time.perf_counter() > ends


if __name__ == "__main__":
    print(json.dumps({"opening": opening(), "staining": staining()}, indent=1))
