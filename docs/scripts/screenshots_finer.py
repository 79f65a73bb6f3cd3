"""Make the pictures of the guide's section on finer slices from the running plugin.

Needs a screen; a virtual one will do::

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/scripts/screenshots_finer.py [MODEL]

Without a model, one is trained for ten minutes on four phantoms. The phantom that is restored has
another seed than these; thick slices are averages of six of its planes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from screenshots import Window

MINUTES, SIZE, SEED = 10, (60, 128, 128), 100_000


def trained(folder: Path) -> Path:
    """Return a model that is trained on a few phantoms alone."""
    from napari_llcm.events import result_of
    from napari_llcm.phantom.make import make_phantom
    from napari_llcm.training import make_job, train
    from napari_llcm.volumes import write

    for seed in range(4):
        write(folder / "thin" / f"{seed}.nii.gz", make_phantom(SIZE, seed).thin)
    job = make_job(
        pairs=[folder], out=folder / "run", task="superres-ct", max_minutes=MINUTES, device="cpu"
    )
    result_of(train(job))
    return folder / "run" / "model"


def finer(model: Path) -> None:
    """Show restored slices from the side, and how near they come to those taken thin."""
    from napari_llcm.gui.layers.conversion import as_layers
    from napari_llcm.phantom.make import make_phantom
    from napari_llcm.volumes.thick_slices import thicken

    thin = make_phantom(SIZE, SEED).thin
    thick = thicken(thin)[0]
    grey = {"colormap": "gray", "contrast_limits": (-160, 240)}
    window = Window()
    window.add(
        [
            *as_layers(thin, name="CT thin", visible=False, **grey),
            *as_layers(thick, name="CT thick", **grey),
        ]
    )
    viewer = window.viewer
    viewer.dims.order = (1, 0, 2)  # from the front: z runs down the screen
    viewer.dims.current_step = tuple(n // 2 for n in viewer.dims.nsteps)
    viewer.reset_view()
    panel = window.bench.show_panel("Stain")
    panel.form.model.fill(str(model))
    panel.form.stack.choose(viewer.layers["CT thick"])
    window.wait(0.5)
    viewer.camera.zoom *= 1.6
    panel.form.start.click()
    window.idle(panel)
    window.shoot("finer")
    check = window.bench.show_panel("Check")
    panel.check()
    window.until(lambda: check.images.result is not None)
    window.idle(check)
    check.images.profile.draw.click()
    lines = viewer.layers.selection.active
    lines.add_lines(_across_an_edge(viewer.layers[panel.form.task.result], viewer))
    lines.mode = "pan_zoom"
    window.shoot("finer-check")


def _across_an_edge(layer: Any, viewer: Any) -> Any:
    """Return a line along z through the steepest edge of the plane on screen, in its middle."""
    y = round(layer.world_to_data(viewer.dims.point)[1])
    plane = np.clip(np.asarray(layer.data[:, y], float), -160, 240)
    steep = np.abs(plane[14:-8] - plane[6:-16])
    steep[:, :30] = steep[:, -30:] = 0
    z, x = np.unravel_index(int(np.argmax(steep)), steep.shape)
    middle = z + 10
    return np.array([[middle - 9, y, x], [middle + 9, y, x]], float)


def main() -> None:
    """Make the pictures, by the model that is given, if any."""
    with tempfile.TemporaryDirectory() as home:
        for name in ("DATA", "CONFIG", "CACHE"):
            os.environ[f"XDG_{name}_HOME"] = str(Path(home) / name)
        given = [Path(one).absolute() for one in sys.argv[1:2]]
        finer(given[0] if given else trained(Path(home)))


if __name__ == "__main__":
    main()
