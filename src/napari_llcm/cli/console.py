"""How a job looks on a terminal: a bar with time left, notices, and one sentence when it fails."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from ..events import Event, Failed, Finished, Job, Notice, Step, UserError, duration
from ..events import Progress as Done
from .json_lines import Lines, watch_input

# names of files and layers are printed as they are: "[/x]" is no markup in them
stdout = Console(highlight=False, markup=False, emoji=False)
stderr = Console(stderr=True, highlight=False, markup=False, emoji=False)

HEADLINE = (
    "recall",
    "precision",
    "f1",
    "f1_30",
    "detection_f1",
    "detection_recall",
    "ap",
    # of the real nuclei, the next five add up to the first; of the virtual ones, some are real
    "truth_nuclei",
    "found",
    "misshapen",
    "merged",
    "split",
    "missed",
    "stain_nuclei",
    "hallucinated",
)


class _Outcome:
    """What the program that listens has been told of how a verb ended, and why it ended.

    Attributes
    ----------
    interrupted : int
        The exit code that shells know for the signal that asked to stop; 0 where none did.
    """

    def __init__(self) -> None:
        self.interrupted = 0
        self._as_json = self._told = False

    def begin(self, as_json: bool) -> None:
        """Start anew; where events are printed, nothing else is."""
        self._as_json, self._told, self.interrupted = as_json, False, 0
        stdout.quiet = as_json

    def hear(self, event: Event) -> None:
        """Note an event that was told."""
        self._told = self._told or isinstance(event, (Finished, Failed))

    def fail(self, sentence: str) -> None:
        """Tell of a failure, unless the end was told already; called where it is handled."""
        if self._as_json and not self._told:
            self._told = True
            with Lines(lambda: None) as lines:
                lines.show(Failed(sentence=sentence, detail=traceback.format_exc()))


outcome = _Outcome()


class StopOnInterrupt:
    """Turns the first Ctrl-C into a request to stop and keep; the second one interrupts.

    So does SIGTERM, which SLURM and Kubernetes send some time before they take a machine away.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Return True once a signal came, or `ask` was called."""
        return self.asked

    def ask(self) -> None:
        """Ask the job to stop and keep what is done."""
        self.asked = True

    def __enter__(self) -> StopOnInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
        outcome.interrupted = outcome.interrupted or 128 + number
        again = " Press Ctrl-C again to break off." if number == signal.SIGINT else ""
        stderr.print(f"Stopping; what is done is kept.{again}")


def run(make_job: Callable[[StopOnInterrupt], Job], as_json: bool = False) -> Finished:
    """Run a job on the terminal and return its last event.

    Parameters
    ----------
    make_job : callable
        Given the stop hook, returns the job.
    as_json : bool
        Print each event as one line of JSON instead, and stop when the program that reads them
        says so or is gone. A failure is told where all verbs end, in `app`.

    Raises
    ------
    UserError
        If the job fails in a way that the user can mend.
    """
    finished = Finished()
    with StopOnInterrupt() as stop:
        listener = Lines(stop.ask) if as_json else _Bar()
        if as_json:
            watch_input(stop.ask)
        with listener:
            for event in make_job(stop):
                listener.show(event)
                outcome.hear(event)
                if isinstance(event, Finished):
                    finished = event
    return finished


class _Bar:
    """A progress bar; where the output is no terminal, a line now and then."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[left]}", markup=False),
            console=stderr,
            transient=True,
            disable=not stderr.is_terminal,
        )
        self._task: TaskID | None = None
        self._losses = ""

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        if isinstance(event, Notice):
            self._progress.console.print(event.text, soft_wrap=True)
        elif isinstance(event, Step):
            shown = {k: v for k, v in event.values.items() if k == "loss" or k.startswith("val_")}
            self._losses = "  ".join(f"{k} {v:.4g}" for k, v in shown.items())
            if any(k.startswith("val_") for k in shown):
                self._progress.console.print(f"{event.phase} step {event.step}: {self._losses}")
        elif isinstance(event, Done):
            left = "" if event.eta is None else f"{duration(event.eta)} left"
            if self._task is None:
                self._task = self._progress.add_task("", total=1.0, left="")
            self._progress.update(
                self._task,
                completed=event.done / max(event.total, 1e-9),
                description=event.text,
                left=f"{left}  {self._losses}".rstrip(),
            )


def print_figures(title: str, rows: dict[str, Any]) -> None:
    """Print named figures as a small table."""
    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in rows.items():
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        table.add_row(name, "not defined" if value is None else shown)
    stdout.print(table if rows else Text(title))  # an empty table is nothing, not even its title


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Print a table."""
    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    stdout.print(table)


def explain(error: BaseException) -> tuple[str, int]:
    """Return the sentence and the exit code for an error that ends the program.

    An unexpected one leaves its details in a file, for a bug report.
    """
    import errno

    if isinstance(error, UserError):
        return str(error), 2
    if hasattr(error, "format_message"):  # an option that typer does not know or take
        return f"{error.format_message()} See --help.", 2
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "There is no space left on the disk: free some and start again.", 2
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported for this
        return (
            "The GPU has not enough memory: close other programs that use it, or compute on the "
            "processor (cpu)."
        ), 2
    if isinstance(error, MemoryError):
        return "There is not enough memory: close other programs or use a smaller volume.", 2
    log = _keep("".join(traceback.format_exception(error)))
    told = f" with the file {log}" if log else ", with what was printed above"
    return (
        f"Something went wrong that napari-llcm did not expect ({type(error).__name__}: {error}). "
        f"Please report it{told}."
    ), 1


def _keep(details: str) -> Path | None:
    """Write the details of an error to a file; print them where there is no place for one."""
    import tempfile

    from platformdirs import user_log_path

    from ..volumes.atomic import write_text

    for folder in (user_log_path("napari-llcm", appauthor=False), Path(tempfile.gettempdir())):
        log = folder / "napari-llcm-last-error.txt"
        with suppress(UserError, OSError):
            write_text(log, details)
            return log
    stderr.print(details, soft_wrap=True)
    return None


def print_report(title: str, report: dict[str, object], out: Path) -> None:
    """Print the figures of an evaluation, and where its report lies."""
    keys = (
        *HEADLINE,
        "psnr",
        "ssim",
        "pearson",
        "lpips",
        "seconds",
        "voxels_per_second",
        "model",
        "device",
        "segmenter",
    )
    print_figures(title, {k: report[k] for k in keys if k in report})
    stdout.print(f"Report and figure in {out}")
