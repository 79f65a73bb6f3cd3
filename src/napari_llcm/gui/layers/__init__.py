"""Layers as volumes, volumes as layers, and what is in view."""
