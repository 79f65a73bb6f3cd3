"""Colours that follow napari's theme, for what is not drawn by Qt's style sheet."""

from __future__ import annotations

from typing import Any


def text_colour(viewer: Any) -> str:
    """Return the colour of text on the viewer's window, as "#rrggbb"."""
    from napari.utils.theme import get_theme

    return str(get_theme(viewer.theme).text.as_hex())
