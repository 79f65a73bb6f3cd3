"""The curves of a run: losses of both phases on one axis of steps, and validation figures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..events import Event, Step

_SMOOTHING = 0.9  # weight of what was before, for each logged point
_VALIDATION, _REFERENCE = "val_", "reference_"
ERROR = "mae_"  # and the unit in which a mean absolute error is


@dataclass
class Curve:
    """Points of one curve, by step of its phase."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, step: int, value: float) -> None:
        """Add a point; those of a resumed run's lost minute, at later steps, are dropped."""
        while self.steps and self.steps[-1] >= step:
            self.steps.pop()
            self.values.pop()
        self.steps.append(step)
        self.values.append(value)

    def smoothed(self) -> list[float]:
        """Return the exponential moving average, corrected for its start."""
        result, mean, weight = [], 0.0, 0.0
        for value in self.values:
            mean = _SMOOTHING * mean + (1 - _SMOOTHING) * value
            weight = _SMOOTHING * weight + (1 - _SMOOTHING)
            result.append(mean / weight)
        return result


class History:
    """Collects the figures of a run.

    Attributes
    ----------
    losses : dict of str to Curve
        The loss of each phase, in the order of the phases.
    validation : dict of str to Curve
        Validation figures by name; those of the first phase are apart ("vae_psnr").
    phase_of : dict of str to str
        The phase in which each validation figure was measured.
    reference : dict of str to float
        What the model to be compared with reaches in the figures of `validation`.
    memory_gb : float or None
        What the training held at its last logged step.
    """

    def __init__(self) -> None:
        self.losses: dict[str, Curve] = {}
        self.validation: dict[str, Curve] = {}
        self.phase_of: dict[str, str] = {}
        self.reference: dict[str, float] = {}
        self.memory_gb: float | None = None

    def see(self, event: Event) -> bool:
        """Take in an event; tell whether it changed a curve."""
        if not isinstance(event, Step):
            return False
        changed = False
        for name, value in event.values.items():
            if not math.isfinite(value):
                continue  # a step that was skipped
            if name == "loss":
                self.losses.setdefault(event.phase, Curve()).add(event.step, value)
                changed = True
            elif name.startswith(_VALIDATION):
                figure = name.removeprefix(_VALIDATION)
                self.validation.setdefault(figure, Curve()).add(event.step, value)
                self.phase_of[figure] = event.phase
                changed = True
            elif name.startswith(_REFERENCE):
                self.reference[name.removeprefix(_REFERENCE)] = value
                changed = True
        self.memory_gb = event.values.get("memory_gb", self.memory_gb)
        return changed

    def offset(self, phase: str) -> int:
        """Return how many steps came before a phase."""
        before = 0
        for name, curve in self.losses.items():
            if name == phase:
                break
            before += curve.steps[-1]
        return before
