"""Volumes: read, write, pair and check them."""

from .checks import check_stack
from .omezarr import ZarrWriter
from .reading import read
from .volume import Spacing, Volume
from .writing import write

__all__ = ["Spacing", "Volume", "ZarrWriter", "check_stack", "read", "write"]
