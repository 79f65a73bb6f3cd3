"""The state of one phase, and how it is saved so that a resumed run goes on exactly."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..events import UserError
from ..models.torchvision import check_torchvision
from ..volumes.atomic import replacing
from .ranks import ALONE, Ranks
from .validation import Figures

if TYPE_CHECKING:
    from .config import PhaseConfig, TrainJob


class PhaseState:
    """Weights, their average, the optimiser and the clock of one phase.

    Batches and noise are functions of (seed, phase, step), so nothing else needs saving.

    Parameters
    ----------
    modules : dict of Module
        What is trained, by name.
    job : TrainJob
        Settings.
    settings : PhaseConfig
        Settings of the phase.
    rates : dict of float
        Learning rates of modules as shares of the phase's, by name; 1 where not given.
    """

    def __init__(
        self,
        modules: dict[str, nn.Module],
        job: TrainJob,
        settings: PhaseConfig,
        rates: dict[str, float] | None = None,
    ) -> None:
        check_torchvision()  # diffusers imports it, and fails in a traceback where it does not fit
        from diffusers.training_utils import EMAModel

        self.modules, self.job, self.settings = modules, job, settings
        self.parameters = [p for m in modules.values() for p in m.parameters()]
        self.rates = [(rates or {}).get(name, 1.0) for name in modules]
        groups = [{"params": list(m.parameters())} for m in modules.values()]
        betas = (0.9, settings.beta2)
        self.optimiser = torch.optim.RAdam(groups, lr=settings.learning_rate, betas=betas)
        # warmed up as 1 - (1 + step)^-3/4, so that early averages forget the start
        self.ema = EMAModel(self.parameters, decay=job.ema, use_ema_warmup=True, power=0.75)
        self.step = 0
        self.seconds = 0.0
        self.skipped = 0  # steps with a gradient that was not finite
        self.best: Best | None = None
        self.validated = 0  # after which step the weights were validated last

    def progress(self, seconds_allowed: float | None) -> float:
        """Return how much of the phase is done, 0 to 1, by steps or by time."""
        by_time = self.seconds / seconds_allowed if seconds_allowed else 0.0
        return min(max(self.step / self.settings.steps, by_time), 1.0)

    def update(
        self, losses: Iterable[Tensor], progress: float, ranks: Ranks = ALONE, count: int = 1
    ) -> float:
        """Do one optimiser step and return the gradient's norm; skip it if that is not finite.

        Parameters
        ----------
        losses : iterable of Tensor
            Of this process's batches, each made when its turn comes.
        progress : float
            How much of the phase is done.
        ranks : Ranks
            Which of how many processes this is.
        count : int
            Batches of the step, of all processes together.
        """
        s = self.settings
        rate = min(1.0, (self.step + 1) / s.warmup_steps)  # linear up, cosine down to 1 %
        rate *= 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
        for group, share in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = s.learning_rate * rate * share
        self.optimiser.zero_grad(set_to_none=True)
        for loss in losses:
            loss.backward()
        ranks.add_up(self.parameters)
        if count > 1:
            for gradient in (p.grad for p in self.parameters if p.grad is not None):
                gradient /= count
        # each module by itself: a discriminator's gradient is no measure of its generator's
        norms = [
            nn.utils.clip_grad_norm_(m.parameters(), self.job.clip).to(loss.device)
            for m in self.modules.values()  # a module that had no part in the step has norm 0
        ]
        norm = float(torch.stack(norms).norm())
        if math.isfinite(norm):
            self.optimiser.step()
            self.ema.step(self.parameters)
        else:
            self.skipped += 1
        self.step += 1
        return norm

    def save(self, path: Path) -> None:
        """Write the state, whole or not at all."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "skipped": self.skipped,
            "modules": {name: m.state_dict() for name, m in self.modules.items()},
            "optimiser": self.optimiser.state_dict(),
            "ema": self.ema.state_dict(),
            "validated": self.validated,
            "best": asdict(self.best) if self.best else None,
        }
        with replacing(path) as partial:
            torch.save(state, partial)

    def load(self, path: Path) -> None:
        """Go on from a saved state.

        Raises
        ------
        UserError
            If the file is damaged or belongs to another job.
        """
        import pickle

        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            for name, module in self.modules.items():
                module.load_state_dict(state["modules"][name])
            self.optimiser.load_state_dict(state["optimiser"])
            self.ema.load_state_dict(state["ema"])
        except (pickle.UnpicklingError, RuntimeError, KeyError, EOFError, ValueError) as error:
            raise UserError(
                f"The checkpoint {path} is damaged or belongs to another job: "
                "remove it to train this phase again."
            ) from error
        device = self.parameters[0].device
        self.ema.to(device)
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.skipped = int(state["skipped"])
        self.validated = int(state.get("validated", 0))
        if state.get("best"):
            figures = Figures(**state["best"].pop("figures"))
            self.best = Best(figures=figures, **state["best"])

    def propose(self, figures: Figures | None) -> None:
        """Keep the weights that the modules hold just now, if none before had better figures.

        Those of the start are kept unless others are better; of others, the later.
        """
        if figures is None or figures.score is None:
            return
        known = -math.inf if self.best is None else self.best.figures.score or 0.0
        start = self.best is not None and self.best.step == 0
        if figures.score > known or (figures.score == known and not start):
            weights = [p.detach().clone() for p in self.parameters]
            self.best = Best(self.step, figures, weights)

    def averaged(self) -> _Holding:
        """Return a context in which the modules hold the averaged weights."""
        return _Holding(self.ema.shadow_params, self.parameters)

    def chosen(self) -> _Holding:
        """Return a context in which the modules hold the best weights; the averaged if none are."""
        return _Holding(self.best.weights, self.parameters) if self.best else self.averaged()


@dataclass(frozen=True)
class Best:
    """The best weights that were validated so far.

    Parameters
    ----------
    step : int
        After which step; 0 is the start.
    figures : Figures
        What was found of them on what is held out.
    weights : list of Tensor
        In the order of the parameters.
    """

    step: int
    figures: Figures
    weights: list[Tensor]


class _Holding:
    """A context in which parameters have other values."""

    def __init__(self, values: Iterable[Tensor], parameters: Iterable[nn.Parameter]) -> None:
        self._values, self._parameters = values, list(parameters)

    def __enter__(self) -> None:
        self._own = [p.detach().clone() for p in self._parameters]
        self._hold(self._values)

    def __exit__(self, *_: object) -> None:
        self._hold(self._own)

    @torch.no_grad()
    def _hold(self, values: Iterable[Tensor]) -> None:
        for parameter, value in zip(self._parameters, values, strict=True):
            parameter.copy_(value)
