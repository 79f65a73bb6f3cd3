"""How far a whole run is, and how long it still takes, from the progress of its phases."""

from __future__ import annotations

from collections.abc import Mapping

from ..events import Event, Progress, Started, Step
from ..models.methods import PHASES, PhaseName
from .config import TrainJob


class RunClock:
    """Turns the progress of each phase into progress of the run.

    Parameters
    ----------
    job : TrainJob
        What is trained.
    seconds : mapping, optional
        How long each phase is expected to take, where that was measured.
    """

    def __init__(self, job: TrainJob, seconds: Mapping[str, float] | None = None) -> None:
        phases = job.phases()
        if job.max_minutes:
            expected = {p: job.seconds_allowed(p) or 0.0 for p in phases}
        elif seconds:
            expected = {p: seconds[p] for p in phases}
        else:
            expected = {p: PHASES[p].step_weight * job.settings(p).steps for p in phases}
        total = sum(expected.values()) or 1.0
        self._share = {p: s / total for p, s in expected.items()}
        self._phases = phases
        self._phase: PhaseName = phases[0]

    def see(self, event: Event) -> Event:
        """Return the event; progress of a phase as progress of the run."""
        if isinstance(event, Started):
            self._phase = self._phases[0]
        elif isinstance(event, Step) and event.phase in self._phases:
            self._phase = next(p for p in self._phases if p == event.phase)
        elif isinstance(event, Progress):
            return self._whole(event)
        return event

    def _whole(self, progress: Progress) -> Progress:
        number = self._phases.index(self._phase)
        part = progress.done / max(progress.total, 1e-9)
        before = sum(self._share[p] for p in self._phases[:number])
        here = self._share[self._phase]
        eta = progress.eta
        if eta is not None and part < 1:
            # what follows takes as long, in proportion, as what is left of this phase
            after = sum(self._share[p] for p in self._phases[number + 1 :])
            eta *= 1 + after / max(here * (1 - part), 1e-9)
        elif number + 1 < len(self._phases):
            eta = None  # not known until the next phase has made some steps
        which = f"phase {number + 1} of {len(self._phases)}: " if len(self._phases) > 1 else ""
        steps = progress.text.rpartition("step ")[2]
        said = f"{which}{PHASES[self._phase].goal}" + (f", step {steps}" if steps.isdigit() else "")
        done = before + here * part
        return progress.model_copy(update={"done": done, "total": 1.0, "eta": eta, "text": said})
