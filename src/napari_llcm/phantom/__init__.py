"""Phantoms: simulated CT of a chest with known truth, thin planes and thick slices of them."""

from .canvas import TISSUES
from .files import write_phantoms
from .make import Phantom, make_phantom
from .vessels import Finding

__all__ = ["TISSUES", "Finding", "Phantom", "make_phantom", "write_phantoms"]
