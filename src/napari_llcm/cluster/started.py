"""Workers that a job starts for itself, on this computer or through a batch system."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from ..events import UserError
from .certificates import MISSING

_NOT_TAKEN = (
    "SLURM did not take the job: see whether sbatch works here, and the section jobqueue of dask's "
    "configuration."
)
QUEUE = 24 * 3600.0  # s that a batch system may take for the first worker


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
    cores, memory = (config.get(f"jobqueue.slurm.{k}", None) for k in ("cores", "memory"))
    try:
        # keys of this one job, in the job script of the user's own
        cluster = SLURMCluster(
            security=Security.temporary(),
            shared_temp_directory=_shared_folder(),
            cores=1,  # a thread for dask: a device does one thing at a time
            job_cpu=cores or 4,
            processes=1,
            memory=memory or "32GB",
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(_NOT_TAKEN) from error
    cluster.scale(jobs=workers)
    cluster.sync(_submitted, cluster)
    # what sbatch said of a job that it did not take is only logged
    if not any(getattr(job, "job_id", None) for job in cluster.workers.values()):
        with suppress(Exception):
            cluster.close()
        raise UserError(_NOT_TAKEN)
    with cluster, Client(cluster, set_as_default=False) as client:
        yield client


async def _submitted(cluster: Any) -> None:
    """Wait until SLURM has taken the jobs, or said why not."""
    await cluster


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
