"""A scheduler or worker process of `napari-llcm worker`; it ends when that does.

`python -m napari_llcm.cluster.child PID scheduler|worker …` with the arguments of dask's own
commands.
"""

from __future__ import annotations

import os
import sys
import threading
import time


def _leave_with(owner: int) -> None:
    import psutil

    try:
        process = psutil.Process(owner)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(1)
    except psutil.Error:
        pass
    os._exit(0)


def main() -> None:
    """Run dask's command."""
    owner, what, *arguments = sys.argv[1:]
    threading.Thread(target=_leave_with, args=(int(owner),), daemon=True).start()
    if what == "scheduler":
        from distributed.cli.dask_scheduler import main as run
    else:
        from distributed.cli.dask_worker import main as run
    run(arguments)


if __name__ == "__main__":
    main()
