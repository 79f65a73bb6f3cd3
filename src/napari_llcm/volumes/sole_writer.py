"""One writer for each output: a mark beside it says which process writes there now."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..events import UserError
from .disk_errors import disk_errors

MARK = "running.json"
_BEAT = 20.0  # s between signs of life
_SILENCE = 180.0  # s without one after which a writer on another computer counts as gone
_held: set[str] = set()  # what is in the marks of this process
# a job that is thrown away lets go wherever its thread is just then, here too
_holding = threading.RLock()


def mark_of(path: Path, *, folder: bool = False) -> Path:
    """Return the mark of an output: beside it, or in a folder that results are added to."""
    path = path.resolve()  # a link and what it leads to are one output
    return path / MARK if folder else path.with_name(f".{path.name}.{MARK}")


def is_written(path: Path, *, folder: bool = False) -> bool:
    """Tell whether a process, this one too, writes an output right now.

    A process that was killed leaves its mark behind, so the mark is checked: on this computer by
    the process itself, on another one by how long ago it gave a sign of life.
    """
    mark = mark_of(path, folder=folder)
    try:
        return _is_alive(mark, mark.read_text("utf-8", "replace"))
    except OSError:
        return False


@contextmanager
def sole_writer(path: Path, *, folder: bool = False) -> Iterator[str | None]:
    """Keep other processes from writing an output; what a killed one has left is taken over.

    Parameters
    ----------
    path : Path
        The output; its parent folder, or the folder itself, is made.
    folder : bool
        Whether `path` is a folder that results are added to. One that is made here and left
        empty is removed.

    Yields
    ------
    str or None
        What the user should know of the mark that was there.

    Raises
    ------
    UserError
        If another process, or another job of this one, writes there, or nobody can.
    """
    mark = mark_of(path, folder=folder)
    made = [p for p in (mark.parent, *mark.parent.parents) if not p.exists()]
    with disk_errors(path):
        mark.parent.mkdir(parents=True, exist_ok=True)
        text, notice = _take(mark, path)
    done = threading.Event()
    beat = threading.Thread(target=_live, args=(mark, done), daemon=True)
    beat.start()
    try:
        yield notice
    finally:
        done.set()
        with _holding, suppress(OSError):
            _held.discard(text)
            if mark.read_text("utf-8", "replace") == text:
                mark.unlink()
        with suppress(OSError):
            for made_here in made:  # rmdir refuses what holds anything
                made_here.rmdir()


def _take(mark: Path, path: Path) -> tuple[str, str | None]:
    """Put this process's mark, once the one that is there turns out to be of a dead one."""
    import psutil

    me = psutil.Process()
    said = {"pid": me.pid, "started": me.create_time(), "computer": _computer()}
    text = json.dumps(said | {"token": uuid.uuid4().hex})
    notice: str | None = None
    while True:
        with _holding:
            try:
                _put(mark, text)
            except FileExistsError:
                pass
            else:
                _held.add(text)
                return text, notice
            try:
                found = mark.read_text("utf-8", "replace")
                if _is_alive(mark, found):
                    raise UserError(_sentence(path, mark, found))
                if _read(found) is None:
                    notice = f"{mark} was damaged and is ignored: nobody seems to write {path}."
                aside = mark.with_name(f"{mark.name}.{uuid.uuid4().hex}")
                os.replace(mark, aside)  # of two that find a dead one, one succeeds
                if aside.read_text("utf-8", "replace") == found:
                    aside.unlink()
                else:  # the other one's new mark, put in between
                    os.replace(aside, mark)
            except FileNotFoundError:
                continue


def _put(mark: Path, text: str) -> None:
    """Make a mark that is never there without its text, where the file system has hard links."""
    fresh = mark.with_name(f"{mark.name}.{uuid.uuid4().hex}")
    try:
        fresh.write_text(text, encoding="utf-8")
        try:
            os.link(fresh, mark)
        except FileExistsError:
            raise
        except (OSError, NotImplementedError, AttributeError):
            with mark.open("x", encoding="utf-8") as file:
                file.write(text)
    finally:
        fresh.unlink(missing_ok=True)


def _sentence(path: Path, mark: Path, found: str) -> str:
    said = _read(found)
    who = f" (number {said['pid']} on {str(said['computer']).split()[0]})" if said else ""
    sentence = (
        f"{path} is being written by another process{who}: wait until it ends, stop it, or choose "
        "another output."
    )
    if said and said["computer"] != _computer():  # which cannot be asked
        silence = max(_silence(mark), 0.0)
        sentence += (
            f" Its last sign of life was {silence:.0f} s ago; if it was killed, try again in "
            f"{max(_SILENCE - silence, 1.0):.0f} s."
        )
    return sentence


def _is_alive(mark: Path, found: str) -> bool:
    said = _read(found)
    if said is None:  # damaged
        return False
    if said["computer"] != _computer():
        return _silence(mark) < _SILENCE
    if said["pid"] == os.getpid():
        return found in _held
    import psutil

    try:
        process = psutil.Process(said["pid"])
        # numbers of processes are given again: the time of its start tells whether it is the one
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and abs(process.create_time() - said["started"]) < 2
        )
    except psutil.Error:
        return False


def _read(text: str) -> dict[str, Any] | None:
    try:
        said = json.loads(text)
        return {
            "pid": int(said["pid"]),
            "started": float(said["started"]),
            "computer": str(said["computer"]),
        }
    except (ValueError, KeyError, TypeError):
        return None


def _computer() -> str:
    """Return which computer, and which of its containers, a process number belongs to."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:  # no Linux
        space = ""
    return f"{platform.node()} {space}".strip()


def _silence(mark: Path) -> float:
    """Return the seconds since a mark's last sign of life, by the clock that dates the files."""
    try:
        with tempfile.TemporaryFile(dir=mark.parent) as probe:
            now = os.fstat(probe.fileno()).st_mtime
    except OSError:  # nothing can be written here
        now = time.time()
    try:
        return now - mark.stat().st_mtime
    except OSError:
        return float("inf")


def _live(mark: Path, done: threading.Event) -> None:
    while not done.wait(_BEAT):
        with suppress(OSError):
            os.utime(mark)
