"""Short jobs on run folders, which read files and so stay off the main thread."""

from __future__ import annotations

from pathlib import Path

from ...events import Failed, Finished, Job, Started
from ...models.library import keep_model
from ...training.runs import Run, discard_run, read_run

_STATES = {
    "new": "Nothing was trained yet: press Resume to start.",
    "running": "Another program is training it: watch it here, stop it there.",
    "finished": "",
    "stopped": "It was stopped: press Resume to go on.",
    "failed": "",
    "interrupted": "It was interrupted, and all but its last minute is kept: press Resume.",
}


def reading(path: Path) -> Job:
    """Read a run folder."""
    yield Started(job="read")
    run = read_run(path)
    last = run.events[-1] if run.events else None
    sentence = f"⚠ {last.sentence}" if isinstance(last, Failed) else _STATES[run.state]
    yield Finished(result={"read": str(path), "sentence": sentence}, value=run)


def settling(path: Path) -> Job:
    """Keep the model of a run that has just ended among the user's models."""
    yield Started(job="settle")
    run = read_run(path)
    told = {"settled": str(path), "sentence": _settled(run), "model": ""}
    if run.state in ("finished", "stopped") and run.can_stain:
        told["model"] = keep_model(path / "model", run.job.name or path.name).name
    yield Finished(result=told, value=run)


def discarding(path: Path) -> Job:
    """Remove what a run has made."""
    yield Started(job="discard")
    discard_run(path)
    yield Finished(result={"discarded": str(path)})


def _settled(run: Run) -> str:
    name = run.job.name or run.path.name
    if run.state == "finished":
        return f"Done: model {name} is chosen in the Stain panel."
    if run.state == "stopped" and run.can_stain:
        return f"Stopped: model {name}, as it is now, is chosen in the Stain panel."
    if run.state == "stopped":
        return "Stopped in phase 1, before it learned to stain. Press Resume to go on."
    return ""
