"""Read a run folder: what was to be trained, how it went, and whether it can go on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..events import Event, Failed, Finished, Job, ShouldStop, UserError, parse_event
from ..models.bundle import is_bundle, read_info
from ..volumes.atomic import remove
from ..volumes.disk_errors import disk_errors
from ..volumes.sole_writer import is_written, sole_writer
from .config import TrainJob
from .jobs import load_job

_MADE = (
    "events.jsonl", "metrics.csv", "tensorboard", "checkpoints", "cache", "model", "preview.png",
    "job.yaml",
)  # fmt: skip
_TAIL = 65536  # bytes; the longest event, the last one with its figures, has a few thousand

RunState = Literal["new", "running", "finished", "stopped", "failed", "interrupted"]


@dataclass(frozen=True)
class Run:
    """A run as its folder tells it.

    Parameters
    ----------
    path : Path
        The folder.
    job : TrainJob
        What is, or was, trained.
    state : str
        "new" (nothing was done yet), "running", "finished", "stopped" (and kept), "failed" or
        "interrupted" (killed, or the computer went off).
    events : tuple of Event
        Everything that was told, in order.
    end : int
        Where its log ended when it was read, in bytes.
    """

    path: Path
    job: TrainJob
    state: RunState
    events: tuple[Event, ...]
    end: int = 0

    @property
    def can_resume(self) -> bool:
        """Whether there is something left to train."""
        return self.state in ("new", "stopped", "failed", "interrupted")

    @property
    def can_stain(self) -> bool:
        """Whether a model is there that has learned to stain."""
        model = self.path / "model"
        if not is_bundle(model):
            return False
        # a run that was stopped in its first phase has a model that never saw a label-free stack
        last = self.job.model_copy(update={"phase": "all"}).phases()[-1]
        return int(read_info(model).provenance.get(f"{last}_steps", 0)) > 0


def runs_folder() -> Path:
    """Return the folder in which runs are put where the user names no other."""
    from platformdirs import user_data_path

    return user_data_path("napari-llcm", appauthor=False) / "runs"


def list_runs(folder: Path | None = None) -> list[Path]:
    """Return the run folders in a folder (the usual one by default), the newest first."""
    folder = runs_folder() if folder is None else folder
    try:
        found = [p for p in folder.iterdir() if (p / "job.yaml").is_file()]
    except OSError:
        return []
    return sorted(found, key=lambda p: (p / "job.yaml").stat().st_mtime, reverse=True)


def read_run(path: Path) -> Run:
    """Read a run folder.

    Parameters
    ----------
    path : Path
        A folder with `job.yaml` and, once it was started, `events.jsonl`.

    Raises
    ------
    UserError
        If it is no run folder.
    """
    if not (path / "job.yaml").is_file():
        raise UserError(
            f"{path} is not a run folder, which holds a job.yaml: choose the folder that was "
            "given as --out, or as the name of a training."
        )
    job = load_job(path / "job.yaml")
    events, end = new_events(path)
    return Run(path, job, _judge(path, events[-1] if events else None), tuple(events), end)


def run_state(path: Path) -> RunState:
    """Return the state of a run; quick, as only the end of its log is read."""
    try:
        with (path / "events.jsonl").open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL, 0))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    for line in reversed(lines):
        try:
            return _judge(path, parse_event(line))
        except UserError:
            continue  # still being written, or cut off
    return _judge(path, None)


def new_events(path: Path, after: int = 0) -> tuple[list[Event], int]:
    """Return the events that a run has written since the last look.

    Parameters
    ----------
    path : Path
        The run folder.
    after : int
        Where the last look ended, in bytes.

    Returns
    -------
    tuple
        The events, and where this look ended. A line that is still being written is left for the
        next look; one that is damaged is left out.
    """
    try:
        with (path / "events.jsonl").open("rb") as file:
            file.seek(after)
            text = file.read()
    except OSError:
        return [], after
    whole = text[: text.rfind(b"\n") + 1]
    events = []
    for line in whole.splitlines():
        try:
            events.append(parse_event(line.decode("utf-8", "replace")))
        except UserError:
            continue  # the power went off while it was written
    return events, after + len(whole)


def train_or_go_on(job: TrainJob, should_stop: ShouldStop | None = None) -> Job:
    """Train what `job.out` does not hold yet: all, the rest of a run, or nothing.

    Parameters
    ----------
    job : TrainJob
        What to train; a run that is already in its folder has to be of the same job.
    should_stop : callable, optional
        On True what is done is kept; the same call goes on from there.

    Yields
    ------
    Event
        Those of `train`; none where the run is finished.

    Raises
    ------
    UserError
        As `train`.
    """
    from .training import train

    if run_state(job.out) != "finished":
        yield from train(job, resume=(job.out / "job.yaml").exists(), should_stop=should_stop)


def discard_run(path: Path) -> None:
    """Remove all that a run has made, and its folder if nothing else lies in it.

    Raises
    ------
    UserError
        If somebody trains in it.
    """
    run = read_run(path)
    if run.state == "running":
        raise UserError(f"{path} is still being trained: stop that first.")
    made = list(_MADE)
    if run.job.pairs == [path / "pairs"]:  # written for this run, from open layers
        made.append("pairs")
    with sole_writer(path, folder=True), disk_errors(path):
        for name in made:
            remove(path / name)
    with disk_errors(path):
        if not any(path.iterdir()):
            path.rmdir()


def _judge(path: Path, last: Event | None) -> RunState:
    if is_written(path, folder=True):
        return "running"
    if last is None:
        return "new"
    if isinstance(last, Finished):
        return "stopped" if last.result.get("stopped") else "finished"
    return "failed" if isinstance(last, Failed) else "interrupted"
