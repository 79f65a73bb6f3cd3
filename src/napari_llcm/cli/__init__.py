"""The command line: the same verbs as the viewer, on a terminal."""

from .app import main

__all__ = ["main"]
