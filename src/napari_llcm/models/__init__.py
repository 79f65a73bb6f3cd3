"""Models: networks, objective, samplers, and the bundle that saves and loads a trained stainer."""

from .bundle import ModelBundle, load_bundle, read_info, save_bundle
from .config import PRESETS, ConsistencyConfig, DiffusionConfig, NetworkConfig, ResShiftConfig
from .info import ModelInfo
from .library import export_model, find_model, import_model, list_models, load_model

__all__ = [
    "PRESETS",
    "ConsistencyConfig",
    "DiffusionConfig",
    "ModelBundle",
    "ModelInfo",
    "NetworkConfig",
    "ResShiftConfig",
    "export_model",
    "find_model",
    "import_model",
    "list_models",
    "load_bundle",
    "load_model",
    "read_info",
    "save_bundle",
]
