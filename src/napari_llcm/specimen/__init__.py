"""Specimens with known truth: cells to refractive index to phase stack; cells to dye to DAPI."""

from .files import write_specimen, write_specimens
from .make import make_specimen, second_exposure
from .truth import Nucleus, Specimen

__all__ = [
    "Nucleus",
    "Specimen",
    "make_specimen",
    "second_exposure",
    "write_specimen",
    "write_specimens",
]
