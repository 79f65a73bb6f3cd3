"""Volumes: read, write, pair and check them."""

from .checks import check_stack
from .disk_errors import disk_errors
from .filling import filled
from .folders import Found, find_stacks
from .grids import on_one_grid
from .labels import labels_of, labels_told_by, looks_like_labels
from .no_data import FilledStack, NoData, with_nan
from .no_data_search import NoDataSearch, find_no_data
from .options import CheckReadOptions, ChoiceNeeded, PairReadOptions, ReadOptions, StackChoice
from .pairs import Pair, find_pairs
from .reading import read
from .registration import Registration, apply_shift, check_registration
from .resampling import needs_resampling, resample, resampled_shape
from .slices import holds_planes
from .volume import Spacing, Volume, notices, planes
from .writing import losses, write
from .zarr_writing import ZarrWriter

__all__ = [
    "CheckReadOptions",
    "ChoiceNeeded",
    "FilledStack",
    "Found",
    "NoData",
    "NoDataSearch",
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
    "filled",
    "find_no_data",
    "find_pairs",
    "find_stacks",
    "holds_planes",
    "labels_of",
    "labels_told_by",
    "looks_like_labels",
    "losses",
    "needs_resampling",
    "notices",
    "on_one_grid",
    "planes",
    "read",
    "resample",
    "resampled_shape",
    "with_nan",
    "write",
]
