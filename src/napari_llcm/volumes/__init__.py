"""Volumes: read, write, pair and check them."""

from .volume import Spacing, Volume

__all__ = ["Spacing", "Volume"]
