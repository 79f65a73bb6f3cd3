"""Nuclei: segment both stains by the same settings, match them one by one, report."""

from .comparing import Comparison, compare_nuclei, pool
from .counts import Counts
from .matching import Matches, match_nuclei
from .report import write_report
from .segmenting import Segmenter, make_segmenter, segment

__all__ = [
    "Comparison",
    "Counts",
    "Matches",
    "Segmenter",
    "compare_nuclei",
    "make_segmenter",
    "match_nuclei",
    "pool",
    "segment",
    "write_report",
]
