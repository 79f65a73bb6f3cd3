"""Specimens with known truth: cells to refractive index to phase stack; cells to dye to DAPI."""

from .files import write_specimen, write_specimens
from .make import Nucleus, Specimen, make_specimen, second_exposure

__all__ = [
    "Nucleus",
    "Specimen",
    "make_specimen",
    "second_exposure",
    "write_specimen",
    "write_specimens",
]
