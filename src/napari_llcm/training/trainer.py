"""The loop of one phase: steps, what is logged, validated and saved, and which weights are kept."""

from __future__ import annotations

import time
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..events import Checkpoint, Job, Meter, ShouldStop, Step
from ..models.device import memory_in_use
from .data import Batches
from .flat import with_volumes
from .latents import Latents
from .losses import LossInputs
from .objectives import make_objective, with_decoder
from .ranks import ALONE, Ranks, same_at_start
from .state import PhaseState

if TYPE_CHECKING:
    from pathlib import Path

    from ..models.methods import PhaseName
    from ..models.stainer import StainerNetworks
    from .config import TrainJob
    from .run_folder import RunFolder
    from .validation import Validator

_LOG_SECONDS = 5.0
_DEAR = 0.1  # share of the time limit


class Trainer:
    """One phase of a training.

    Parameters
    ----------
    job : TrainJob
        Settings.
    phase : str
        Which phase.
    networks : StainerNetworks
        What is trained, and what stays as it is.
    data : sequence
        Pairs from `load_pairs`.
    device : torch.device
        Where the networks are.
    amp : callable
        Returns the autocast context.
    ranks : Ranks
        Which of how many processes this is.
    """

    def __init__(
        self,
        job: TrainJob,
        phase: PhaseName,
        networks: StainerNetworks,
        data: Any,
        device: torch.device,
        amp: Any,
        ranks: Ranks = ALONE,
    ) -> None:
        self.job, self.phase, self.networks = job, phase, networks
        self.device, self.amp, self.ranks = device, amp, ranks
        torch.manual_seed(job.seed)  # what is new in a phase begins alike, whatever was before it
        self.objective = make_objective(phase, networks, job)
        volumes = with_volumes(data)
        if not volumes and job.init is None:
            self.objective = with_decoder(self.objective, networks)
        data = volumes if self.objective.flat is None else data
        for module in self.objective.modules.values():
            module.to(device)
        same_at_start([networks, *self.objective.modules.values()], ranks)
        # DAPI is encoded as it is needed, each view once: training runs on cached latents
        latents = None
        if self.objective.latents:
            measured = job.latent_statistics == "measured"
            latents = Latents(data, networks, device, amp, measured)
        self.batches = Batches(data, job, latents)
        self.state = PhaseState(
            self.objective.modules, job, job.settings(phase), self.objective.rates
        )
        self.state.ema.to(device)
        self.allowed = job.seconds_allowed(phase)
        # a step sees one volume: an epoch is as many steps as there are
        self._thaws = {n: round(e * len(data)) for n, e in self.objective.thaws.items()}

    def run(self, folder: RunFolder, validator: Validator, should_stop: ShouldStop | None) -> Job:
        """Train from where the state is to the end of the phase, or until it shall stop."""
        state = self.state
        meter = Meter(1.0, state.progress(self.allowed))
        logged = saved = time.monotonic()
        done = state.progress(self.allowed)
        validated = int(done * self.job.validations)
        since: dict[str, list[float]] = {}  # what has been measured since the last log, by name
        while self._goes_on(done, should_stop):
            began = time.monotonic()
            for name, value in self.step(done).items():
                since.setdefault(name, []).append(value)
            now = time.monotonic()
            state.seconds += now - began
            done = state.progress(self.allowed)
            if now - logged > _LOG_SECONDS or done >= 1:
                means = {name: fmean(measured) for name, measured in since.items()}
                means |= {"skipped": float(state.skipped)}
                means["memory_gb"] = memory_in_use(self.device) / 1e9
                yield Step(phase=self.phase, step=state.step, values=means)
                yield meter.at(done, f"{self.phase} step {state.step}")
                since, logged = {}, now
            due = int(done * self.job.validations) > validated
            if due and (done >= 1 or not self._too_dear(validator)):
                yield from self.validate(folder, validator)
                state.seconds += time.monotonic() - now  # "at most so many minutes", all told
                done = max(done, state.progress(self.allowed))
                validated = int(done * self.job.validations)
            if now - saved > self.job.checkpoint_seconds:
                state.save(folder.checkpoint(self.phase))
                yield Checkpoint(path=str(folder.checkpoint(self.phase)))
                saved = now
        if self.job.never_worse and self.job.validations and state.step > state.validated:
            yield from self.validate(folder, validator)  # where it was stopped
        state.save(folder.checkpoint(self.phase))
        yield Checkpoint(path=str(folder.checkpoint(self.phase)))

    def follow(self) -> None:
        """Take part in the steps that rank 0 does, until it ends the phase."""
        while (told := self.ranks.told(0.0, 0.0))[1]:
            self.step(told[0])

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, if rank 0 finds one."""
        if self.ranks.told(float(path.exists()))[0]:
            self.state.load(path)

    def _goes_on(self, done: float, should_stop: ShouldStop | None) -> bool:
        """Return whether there is another step to do, and tell the other processes."""
        going = done < 1 and not (should_stop is not None and should_stop())
        self.ranks.told(done, float(going))
        return going

    def validate(self, folder: RunFolder, validator: Validator) -> Job:
        """Stain what is held out by the averaged weights, and remember these if none are better."""
        with self.state.averaged():
            yield from validator.run(self.phase, self.state.step, folder.path)
            self.state.validated = self.state.step
            if self.job.never_worse:
                self.state.propose(validator.figures)

    def _too_dear(self, validator: Validator) -> bool:
        """Return whether a validation takes more of the minutes than it is worth before the end."""
        return self.allowed is not None and validator.seconds > _DEAR * self.allowed

    def step(self, progress: float) -> dict[str, float]:
        """Do a step, `progress` (0 to 1) into the phase, and return what was measured."""
        state, objective = self.state, self.objective
        for name, start in self._thaws.items():
            objective.modules[name].requires_grad_(state.step >= start)
        count = self.job.accumulate * self.ranks.world
        values: list[dict[str, float]] = []
        losses = (
            self._loss(state.step * count + k, progress, values)
            for k in self.ranks.share(self.job.accumulate)
        )
        norm = state.update(losses, progress, self.ranks, count)
        return {"gradient": norm} | self.ranks.means(values)

    def _loss(self, index: int, progress: float, values: list[dict[str, float]]) -> torch.Tensor:
        """Return the loss of a batch; what was measured joins `values`."""
        objective = self.objective
        sequence = np.random.SeedSequence([self.job.seed, int(self.phase != "vae"), index])
        generator = torch.Generator().manual_seed(int(sequence.generate_state(1)[0]))
        batch = {k: v.to(self.device) for k, v in self.batches.at(index).items()}
        with self.amp():
            loss, parts = objective.of(batch)(
                LossInputs(objective.modules, self.networks, batch, self.job, progress, generator)
            )
        values.append({k: float(v.detach()) for k, v in {"loss": loss, **parts}.items()})
        return loss
