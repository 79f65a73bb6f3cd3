"""Staining: tiles of a volume of any size, in bounded memory, without seams."""

from .memory import Tiling
from .stainer import Stainer, stain

__all__ = ["Stainer", "Tiling", "stain"]
