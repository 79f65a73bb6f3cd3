"""Is somebody training in this run folder right now?"""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path

_MARK = "running.json"
_SILENCE = 180.0  # s without an event after which a run on another computer counts as ended


def mark_alive(folder: Path) -> None:
    """Say that this process is training in the folder."""
    import psutil

    me = psutil.Process()
    said = {"pid": me.pid, "started": me.create_time(), "computer": platform.node()}
    (folder / _MARK).write_text(json.dumps(said), encoding="utf-8")


def mark_ended(folder: Path) -> None:
    """Say that this process trains there no more."""
    (folder / _MARK).unlink(missing_ok=True)


def is_alive(folder: Path) -> bool:
    """Tell whether another process is training in a run folder.

    A process that was killed leaves its mark behind, so the mark is checked: on this computer by
    the process itself, on another one by how long ago the run's last event was written.
    """
    try:
        said = json.loads((folder / _MARK).read_text(encoding="utf-8"))
        pid, started, computer = int(said["pid"]), float(said["started"]), said["computer"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if computer != platform.node():
        try:
            return time.time() - (folder / "events.jsonl").stat().st_mtime < _SILENCE
        except OSError:
            return False
    import psutil

    try:
        process = psutil.Process(pid)
        # numbers of processes are given again: the time of its start tells whether it is the one
        return (
            pid != os.getpid()
            and process.status() != psutil.STATUS_ZOMBIE
            and abs(process.create_time() - started) < 2
        )
    except psutil.Error:
        return False
