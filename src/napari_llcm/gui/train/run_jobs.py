"""Short jobs on run folders, which read files and so stay off the main thread."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...events import Failed, Finished, Job, ShouldStop, Started, UserError
from ...models.library import keep_model
from ...tasks import Task
from ...training.latents_info import check_latents, is_latent_dataset
from ...training.pairs import NamedPair, check_pairs, write_pairs
from ...training.runs import Run, discard_run, read_run
from ...training.thin import NamedVolume, check_thin, write_thin
from ...volumes.atomic import remove

Named = NamedPair | NamedVolume
Source = Path | Sequence[Named]
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
    """Keep the model of a run that has just ended among the user's models.

    Its `Finished` has "model", the name it is kept under (empty if there is none, or if it is the
    one that the run started from), and "better", whether it is at least as good as the model it was
    compared with and so is to be chosen.
    """
    yield Started(job="settle")
    run = read_run(path)
    told: dict[str, Any] = {"settled": str(path), "sentence": "", "model": "", "better": False}
    if run.state in ("finished", "stopped"):
        if run.can_stain and not _result(run).get("kept_start"):
            told["model"] = keep_model(path / "model", run.job.name or path.name).name
        told["better"], told["sentence"] = _verdict(run, told["model"])
    else:  # ended before it could keep anything new, as a stop in the first seconds does
        told["sentence"] = _STATES[run.state]
    yield Finished(result=told, value=run)


def looking(source: Source, task: Task, should_stop: ShouldStop) -> Job:
    """Look at what a task is to be learned from."""
    if isinstance(source, Path) and is_latent_dataset(source):
        yield from check_latents(source, task)
    elif task.thick is not None:
        volumes = source if isinstance(source, Path) else [s for s in source if len(s) == 2]
        yield from check_thin(volumes, task, should_stop)
    else:
        pairs = source if isinstance(source, Path) else [s for s in source if len(s) == 3]
        yield from check_pairs(pairs, should_stop, task)


def saving(source: Sequence[Named], task: Task, out: Path, should_stop: ShouldStop) -> Job:
    """Write open layers into a new run's folder, of which nothing stays where they do not fit."""
    folder = out / "pairs"
    try:
        if task.thick is None:
            pairs = [s for s in source if len(s) == 3]
            yield from write_pairs(pairs, folder, should_stop, task)
        else:
            yield from write_thin([s for s in source if len(s) == 2], folder, task, should_stop)
    except UserError:
        with suppress(OSError):  # what else lies there stays
            remove(out / "pairs")
            out.rmdir()
        raise


def discarding(path: Path) -> Job:
    """Remove what a run has made."""
    yield Started(job="discard")
    discard_run(path)
    yield Finished(result={"discarded": str(path)})


def _verdict(run: Run, model: str) -> tuple[bool, str]:
    """Return whether the run's model is to be chosen, and what the user is told of it."""
    done, result = "Done" if run.state == "finished" else "Stopped", _result(run)
    if result.get("kept_start"):
        return False, (
            f"⚠ {done}, but nothing that was learned is better than {run.job.init}, which stays "
            "as it is: train for longer, or on more pairs."
        )
    if not model:
        return False, f"{done} in phase 1, before it learned to stain. Press Resume to go on."
    nuclei = result.get("nuclei")
    if not nuclei or not nuclei.get("real"):
        return True, f"{done}: model {model} is chosen in the Stain panel."
    found, real = int(nuclei["found"]), int(nuclei["real"])
    where = nuclei.get("where", "in held-out volumes")  # runs of earlier versions have none
    where = where if nuclei["held_out"] else "in a volume that it was trained on"
    finds = f"model {model} finds {found} of {real} nuclei {where}{_made_up(nuclei)}"
    other = nuclei.get("reference")
    if other:
        finds += f"; {other['name']} finds {int(other['found'])}{_made_up(other)}"
    if found == 0 or (other and nuclei.get("f1", 0.0) < other.get("f1", 0.0)):
        return False, (
            f"⚠ {done}, but {finds}. It is kept, but not chosen in the Stain panel: train it for "
            "longer, or on more pairs."
        )
    return True, f"{done}: {finds}. It is chosen in the Stain panel."


def _result(run: Run) -> dict[str, Any]:
    """Return what a run told at its end; empty if it has none yet."""
    ends = [event.result for event in run.events if isinstance(event, Finished)]
    return ends[-1] if ends else {}


def _made_up(nuclei: dict[str, Any]) -> str:
    count = int(nuclei.get("hallucinated", 0))
    return f" and makes up {count}" if count else ""
