"""The run folder: job.yaml, events.jsonl, metrics.csv, tensorboard/, checkpoints/, model/."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

from ..events import Event, Step, UserError
from ..models.methods import PhaseName
from ..volumes.atomic import open_log
from ..volumes.disk_errors import disk_errors
from ..volumes.sole_writer import MARK
from .config import TrainJob
from .jobs import save_job

COLUMNS = ("phase", "step", "name", "value")


def check_run_folder(path: Path, resume: bool) -> None:
    """Refuse a folder that a run must not be put into, before anything is made of it.

    Parameters
    ----------
    path : Path
        The folder.
    resume : bool
        Go on with what is there.

    Raises
    ------
    UserError
        If it holds a run and `resume` is False, or something else than a run.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file: choose another --out for the run.")
    with disk_errors(path):
        there = {p.name for p in path.iterdir()} if path.is_dir() else set()
    if "job.yaml" in there and not resume:
        raise UserError(
            f"{path} holds a run already: add --resume to go on, or choose another --out."
        )
    if "job.yaml" not in there and there - {MARK}:
        raise UserError(f"{path} holds other files: choose an empty folder as --out.")


class RunFolder:
    """Where a run keeps what it makes; every event is kept, so curves survive a restart.

    Parameters
    ----------
    job : TrainJob
        The job; its `out` is the folder, see `check_run_folder`.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """

    def __init__(self, job: TrainJob) -> None:
        self.path = job.out
        self._fresh = not (self.path / "job.yaml").exists()  # nothing of it was there before
        with disk_errors(self.path):
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        # absolute, so that the run can be resumed from anywhere
        there = {"out": job.out.absolute(), "pairs": [p.absolute() for p in job.pairs]}
        # every field, so that it goes on as it began whatever the defaults are by then
        whole = TrainJob.model_validate(job.model_copy(update=there).model_dump())
        save_job(whole, self.path / "job.yaml")
        self._events = open_log(self.path / "events.jsonl")
        self._table = open_log(self.path / "metrics.csv")
        self._csv = csv.writer(self._table)
        if not self._table.tell():
            self._csv.writerow(COLUMNS)
        self._board: Any = None
        if job.tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(self.path / "tensorboard"))

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The bundle."""
        return self.path / "model"

    @property
    def cache(self) -> Path:
        """Folder of cached volumes, where they do not fit into memory; removed at the end."""
        return self.path / "cache"

    def checkpoint(self, phase: PhaseName) -> Path:
        """Return the checkpoint file of a phase."""
        return self.checkpoints / f"{phase}.pt"

    def keep(self, event: Event) -> None:
        """Write an event to every log."""
        self._events.write(event.to_json() + "\n")
        self._events.flush()
        if isinstance(event, Step):
            self._fresh = False
            for name, value in event.values.items():
                self._csv.writerow((event.phase, event.step, name, f"{value:.6g}"))
                if self._board is not None:
                    self._board.add_scalar(f"{event.phase}/{name}", value, event.step)
            self._table.flush()

    def forget(self) -> None:
        """Remove what was made, unless something was learned or was there before."""
        if not self._fresh:
            return
        self.close()
        for name in ("job.yaml", "events.jsonl", "metrics.csv"):
            (self.path / name).unlink(missing_ok=True)
        for folder in (self.checkpoints, self.path / "tensorboard"):
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Close the logs and drop the cache."""
        self._events.close()
        self._table.close()
        if self._board is not None:
            self._board.close()
        shutil.rmtree(self.cache, ignore_errors=True)
