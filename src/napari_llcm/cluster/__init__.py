"""Other machines that compute: how they are reached, and how they are started.

The machines are dask workers behind a dask scheduler, whose address is all that a job needs; what
the jobs are is told in the rooms above. Whoever reaches a scheduler can run any program on its
workers, so connections beyond one computer are encrypted, and certificates tell who may.
"""

from .connection import connect
from .options import ClusterOptions

__all__ = ["ClusterOptions", "connect"]
