"""Staining: tiles of a volume of any size, in bounded memory, without seams."""

from .batch import is_folder_of_stacks, stain_files
from .canvas import Canvas
from .job import Focus
from .memory import Tiling
from .options import PlateOptions, StainOptions, stain_options
from .plates import stain_plate
from .series import in_turn, stain_times
from .stainer import Stainer, stain

__all__ = [
    "Canvas",
    "Focus",
    "PlateOptions",
    "StainOptions",
    "Stainer",
    "Tiling",
    "in_turn",
    "is_folder_of_stacks",
    "stain",
    "stain_files",
    "stain_options",
    "stain_plate",
    "stain_times",
]
