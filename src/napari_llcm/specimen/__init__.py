"""Specimens with known truth: cells to refractive index to phase stack; cells to dye to DAPI."""

from .families import TAGS, draw_specimen, draw_views
from .files import write_specimen, write_specimens
from .make import make_specimen, second_exposure
from .semisynthetic import specimen_from_dapi
from .truth import Nucleus, Specimen

__all__ = [
    "TAGS",
    "Nucleus",
    "Specimen",
    "draw_specimen",
    "draw_views",
    "make_specimen",
    "second_exposure",
    "specimen_from_dapi",
    "write_specimen",
    "write_specimens",
]
