"""Open napari on results, where there is a screen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..nuclei.figures import COLOURS
from .layers.conversion import LayerData, as_layers

if TYPE_CHECKING:
    import napari

    from ..evaluation import Evaluation
    from ..nuclei import Comparison

_OPEN_WINDOW = "import napari; from qtpy.QtWidgets import QApplication; QApplication([])"


def has_screen() -> bool:
    """Tell whether napari is installed and a window can be opened.

    Qt ends the whole process when it finds no screen, so a child process tries.
    """
    hidden = os.environ.get("QT_QPA_PLATFORM", "") in ("offscreen", "minimal")
    linux = sys.platform.startswith("linux")
    if hidden or (linux and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)):
        return False
    done = subprocess.run([sys.executable, "-c", _OPEN_WINDOW], capture_output=True)
    return done.returncode == 0


def open_viewer(layers: Iterable[LayerData], title: str = "napari") -> napari.Viewer:
    """Return a viewer that shows the layers, at the middle plane.

    Parameters
    ----------
    layers : iterable of tuple
        (data, attributes, kind), as `as_layers` makes them; the first lies at the bottom.
    title : str
        Title of the window.
    """
    import napari
    from napari.layers import Layer

    viewer = napari.Viewer(title=title)
    for layer in layers:
        viewer.add_layer(Layer.create(*layer))
    viewer.dims.current_step = tuple(n // 2 for n in viewer.dims.nsteps)
    viewer.canvas.overlays.scale_bar.visible = True
    viewer.reset_view()
    return viewer


def show_demo(evaluation: Evaluation) -> None:
    """Show a stained volume beside the real one, with its nuclei, until the window is closed."""
    import napari

    viewer = open_viewer(demo_layers(evaluation), "Virtual staining: found, missed, hallucinated")
    for layer in viewer.layers:
        if isinstance(layer, napari.layers.Labels):
            layer.contour = 1
    napari.run()


def demo_layers(evaluation: Evaluation) -> list[LayerData]:
    """Return phase, real and virtual DAPI, and the nuclei by what became of them."""
    return [
        *as_layers(evaluation.qpi, name="phase", colormap="gray", visible=False),
        # gamma: dim nuclei are the ones to look for
        *as_layers(evaluation.dapi, name="DAPI (real)", gamma=0.6, visible=False),
        *as_layers(evaluation.stain, name="DAPI (virtual)", gamma=0.6),
        *verdict_layers(evaluation.comparison),
    ]


def verdict_layers(comparison: Comparison) -> list[LayerData]:
    """Return a labels layer for each verdict that occurs.

    Parameters
    ----------
    comparison : Comparison
        Real nuclei give the layers "found", "missed" and "wrong shape", virtual ones
        "hallucinated".
    """
    layers = []
    for verdict, colour in COLOURS.items():
        image = "stain" if verdict == "hallucinated" else "truth"
        nuclei = comparison.stain_labels if image == "stain" else comparison.truth_labels
        ids = [
            row["id"]
            for row in comparison.table
            if row["image"] == image
            and (row["verdict"] if row["verdict"] in COLOURS else "wrong shape") == verdict
        ]
        if ids:
            data = nuclei.numpy()
            shown = nuclei.replace(data=np.where(np.isin(data, ids), data, 0))
            look = {"colormap": {None: colour, 0: "transparent"}, "opacity": 1.0}
            layers += as_layers(shown, "labels", name=verdict, **look)
    return layers
