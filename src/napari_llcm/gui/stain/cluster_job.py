"""What the worker does to try a connection: no window is known here."""

from __future__ import annotations

from ...cluster import ClusterOptions
from ...cluster.connection import tried
from ...events import Finished, Job, ShouldStop, UserError


def try_cluster(options: ClusterOptions, _: ShouldStop) -> Job:
    """Ask who computes at an address; the value is a sentence."""
    if options.cluster is None:
        raise UserError("Choose the key file, or give an address.")
    yield Finished(value=tried(options))
