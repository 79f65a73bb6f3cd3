"""Volumes: read, write, pair and check them."""

from .atomic import disk_errors
from .checks import check_stack
from .options import CheckReadOptions, ChoiceNeeded, PairReadOptions, ReadOptions, StackChoice
from .pairs import Pair, find_pairs, find_stacks
from .reading import read
from .registration import Registration, apply_shift, check_registration
from .resampling import resample
from .volume import Spacing, Volume, planes
from .writing import write
from .zarr_writing import ZarrWriter

__all__ = [
    "CheckReadOptions",
    "ChoiceNeeded",
    "Pair",
    "PairReadOptions",
    "ReadOptions",
    "Registration",
    "Spacing",
    "StackChoice",
    "Volume",
    "ZarrWriter",
    "apply_shift",
    "check_registration",
    "check_stack",
    "disk_errors",
    "find_pairs",
    "find_stacks",
    "planes",
    "read",
    "resample",
    "write",
]
