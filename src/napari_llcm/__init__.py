"""napari-llcm: virtual DAPI from label-free 3D stacks in one network step."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .events import UserError, result_of
    from .nuclei import compare_nuclei
    from .staining import Stainer
    from .training import train
    from .volumes import Volume, read, write

_ROOMS = {
    "Stainer": "staining",
    "UserError": "events",
    "Volume": "volumes",
    "compare_nuclei": "nuclei",
    "read": "volumes",
    "result_of": "events",
    "train": "training",
    "write": "volumes",
}
__all__ = [
    "Stainer",
    "UserError",
    "Volume",
    "__version__",
    "compare_nuclei",
    "read",
    "result_of",
    "train",
    "write",
]


def __getattr__(name: str) -> Any:  # lazy: `import napari_llcm` costs next to nothing
    if name in _ROOMS:
        return getattr(import_module(f".{_ROOMS[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
