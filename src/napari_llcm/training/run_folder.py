"""The run folder: job.yaml, events.jsonl, metrics.csv, tensorboard/, checkpoints/, model/."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

from ..events import Event, Step, UserError
from ..models.methods import PhaseName
from .config import TrainJob, save_job
from .run_lock import is_alive, mark_alive, mark_ended

COLUMNS = ("phase", "step", "name", "value")


class RunFolder:
    """Where a run keeps what it makes; every event is kept, so curves survive a restart.

    Parameters
    ----------
    job : TrainJob
        The job; its `out` is the folder.
    resume : bool
        Go on with what is there.

    Raises
    ------
    UserError
        If the folder holds a run and `resume` is False, something else than a run, or a run that
        another program is training.
    """

    def __init__(self, job: TrainJob, resume: bool) -> None:
        self.path = job.out
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.path} is a file: choose another --out for the run.")
        started = (self.path / "job.yaml").exists()
        if started and not resume:
            raise UserError(
                f"{self.path} holds a run already: add --resume to go on, or choose another --out."
            )
        if not started and self.path.exists() and any(self.path.iterdir()):
            raise UserError(f"{self.path} holds other files: choose an empty folder as --out.")
        if is_alive(self.path):
            raise UserError(
                f"{self.path} is being trained by another program right now: wait until it ends, "
                "or stop it there."
            )
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        mark_alive(self.path)
        # absolute, so that the run can be resumed from anywhere
        there = {"out": job.out.absolute(), "pairs": [p.absolute() for p in job.pairs]}
        save_job(job.model_copy(update=there), self.path / "job.yaml")
        self._events = (self.path / "events.jsonl").open("a", encoding="utf-8")
        fresh = not (self.path / "metrics.csv").exists()
        self._table = (self.path / "metrics.csv").open("a", encoding="utf-8", newline="")
        self._csv = csv.writer(self._table)
        if fresh:
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
            for name, value in event.values.items():
                self._csv.writerow((event.phase, event.step, name, f"{value:.6g}"))
                if self._board is not None:
                    self._board.add_scalar(f"{event.phase}/{name}", value, event.step)
            self._table.flush()

    def close(self) -> None:
        """Close the logs and drop the cache."""
        self._events.close()
        self._table.close()
        if self._board is not None:
            self._board.close()
        shutil.rmtree(self.cache, ignore_errors=True)
        mark_ended(self.path)
