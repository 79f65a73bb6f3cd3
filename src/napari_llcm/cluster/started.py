"""Workers that a job starts for itself, on this computer or through a batch system."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from ..events import UserError
from .certificates import MISSING

_PATIENCE = 3600.0  # s that a batch system may take for the first worker


@contextmanager
def _local(workers: int) -> Iterator[Any]:
    """Keep workers on this computer, each a process with one thread for dask."""
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise UserError(MISSING) from error
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=None,
            dashboard_address=None,
            security=False,
            silence_logs=50,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def _slurm(workers: int) -> Iterator[Any]:
    """Keep workers that SLURM starts, as dask's own configuration (jobqueue.slurm) says."""
    try:
        from dask import config
        from dask_jobqueue.slurm import SLURMCluster
        from distributed import Client
        from distributed.security import Security
    except ImportError as error:
        raise UserError(MISSING) from error
    usual: dict[str, Any] = {"cores": 4, "processes": 1, "memory": "32GB", "walltime": "04:00:00"}
    own = {k: v for k, v in usual.items() if config.get(f"jobqueue.slurm.{k}", None) is None}
    try:
        # keys of this one job, in the job script of the user's own
        cluster = SLURMCluster(
            security=Security.temporary(), shared_temp_directory=_shared_folder(), **own
        )
        cluster.scale(jobs=workers)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"SLURM did not take the job ({error}): see whether sbatch works here, and the section "
            "jobqueue of dask's configuration."
        ) from error
    with cluster, Client(cluster, set_as_default=False) as client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError as error:
            raise UserError(
                "SLURM has started no worker within an hour: ask squeue why, and try again."
            ) from error
        yield client


def _shared_folder() -> str:
    """Return a folder that all nodes see, for the keys; only its owner can look into it."""
    from pathlib import Path

    folder = Path.home() / ".napari-llcm-cluster"
    folder.mkdir(mode=0o700, exist_ok=True)
    return str(folder)


STARTED: dict[str, Callable[[int], AbstractContextManager[Any]]] = {
    "local": _local,
    "slurm": _slurm,
}
