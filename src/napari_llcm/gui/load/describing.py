"""A layer in words."""

from __future__ import annotations

from typing import Any

from ...events import UserError
from ..form import byte_size, figures
from ..layers.conversion import as_volume


def describe(layer: Any) -> str:
    """Return axes, size, voxel size and memory of a layer in words."""
    data = layer.data[0] if layer.multiscale else layer.data
    size = byte_size(data.size * data.dtype.itemsize)
    where = "in memory" if type(data).__module__.startswith("numpy") else "read as you look at it"
    labels = "".join(layer.axis_labels)
    axes = f" ({', '.join(layer.axis_labels)})" if set(labels) <= set("tczyx") else ""
    lines = [f"{figures(data.shape)}{axes}, {data.dtype}", f"{size}, {where}"]
    if layer.multiscale:
        lines[1] += f", {len(layer.data)} resolutions"
    try:
        volume = as_volume(*layer.as_layer_data_tuple()[:2])
        if volume.spacing is not None:
            lines.append(f"Voxels of {figures(volume.spacing)} µm (z, y, x)")
        lines += [f"⚠ {note}" for note in volume.notes]
    except UserError:
        pass  # it is said below what is wrong with the layer
    return "\n".join(lines)
