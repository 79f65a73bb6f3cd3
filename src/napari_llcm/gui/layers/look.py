"""How layers look: phase in grey, real DAPI and virtual DAPI in colours that add up to white."""

from __future__ import annotations

from typing import Any

from ...tasks.normalise import Scaling, dapi_scaling, qpi_scaling
from ...volumes import Volume
from .conversion import LayerData, LayerKind, as_layers

PHASE: dict[str, Any] = {"colormap": "gray"}
# the two are told apart by colour-blind eyes; where both are bright, their sum is nearly white
REAL: dict[str, Any] = {"colormap": "bop orange", "blending": "additive", "gamma": 0.8}
VIRTUAL: dict[str, Any] = {"colormap": "bop blue", "blending": "additive", "gamma": 0.8}
_DAPI = ("dapi", "hoechst", "nuclei", "nucleus", "draq", "405")


def dressed(volume: Volume, kind: LayerKind = "image", dye: bool | None = None) -> list[LayerData]:
    """Return a volume as layers, each with the colours and the contrast that suit it.

    Parameters
    ----------
    volume : Volume
        Axes within "tczyx".
    kind : {"image", "labels"}
        What its voxels are.
    dye : bool, optional
        Whether it shows a dye rather than phase; told from its name if not given.
    """
    made_by = volume.metadata
    stained = "made_by" in made_by and "model" in made_by
    stained &= made_by.get("judge", "nuclei") == "nuclei"  # else it looks as its input does
    layers = []
    for data, attributes, made in as_layers(volume, kind):
        look: dict[str, Any] = {}
        if made == "image":
            name = str(attributes["name"]).lower()
            # a file's one channel is called after the file, which may be called anything
            # of a plate, beside the channels that it was made of
            known = made_by.get("predicted", []) if "c" in volume.axes else []
            is_virtual = stained and (
                not known or name.endswith(tuple(str(c).lower() for c in known))
            )
            looks_dyed = is_virtual or ("c" in volume.axes and any(word in name for word in _DAPI))
            look = contrast(data, looks_dyed if dye is None else dye)
            if is_virtual:
                look |= VIRTUAL
        layers.append((data, {**attributes, **look}, made))
    return layers


def virtual(colormap: str, scaling: Scaling) -> dict[str, Any]:
    """Return the look of a dye that was made, from its background to what is bright."""
    limits = {"contrast_limits": (scaling.low, scaling.high), "gamma": VIRTUAL["gamma"]}
    return {"colormap": colormap, "blending": VIRTUAL["blending"], **limits}


def as_its_input(layer: Any) -> dict[str, Any]:
    """Return the look of what has the unit of a layer: the same grey, or colours, and contrast."""
    names = ("colormap", "contrast_limits", "gamma")
    return {name: getattr(layer, name) for name in names}


def contrast(data: Any, dye: bool) -> dict[str, Any]:
    """Return colours and limits for a phase image, or for a dye; reads a few planes.

    Phase has no natural zero: the limits lie as far below as above its median. Outliers, such as
    dust, take no part.

    Parameters
    ----------
    data : array-like
        (…, y, x).
    dye : bool
        Whether it shows a dye.
    """
    stack = data[(data.shape[0] // 2,)] if data.ndim == 4 else data
    stack = stack[None] if stack.ndim == 2 else stack
    if dye:
        scaling = dapi_scaling(stack)
        look, limits = REAL, (scaling.low, scaling.high)
    else:
        scaling = qpi_scaling(stack)
        look, limits = PHASE, (scaling.undo(-3.0), scaling.undo(3.0))
    return {**look, "contrast_limits": limits} if limits[0] < limits[1] else look
