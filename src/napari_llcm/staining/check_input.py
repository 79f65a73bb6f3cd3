"""Before a stack is stained: can the model read it? From a few parts of it, in seconds."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..events import Event, Finished, Job, Meter, Progress, ShouldStop, Started, UserError
from ..models.bundle import ModelBundle
from ..models.device import pick_device
from ..models.familiarity import LIKE, Familiarity, Verdict, value_of
from ..models.library import load_model
from ..models.normalise import HOT, Scaling, noise_level, qpi_scaling
from ..volumes import FilledStack, NoData, ReadOptions, Volume, check_stack
from ..volumes.reading import read_role
from . import input_features
from .bounded import sample_of
from .estimate_width import telling_width
from .grid import NetworkGrid, spacing_ratio
from .options import StainOptions
from .output import Canvas, Output
from .setup import ready
from .tiling import Box
from .unlike import reasons

if TYPE_CHECKING:
    import torch

Zoom = Callable[[float], NetworkGrid]
_GAIN = 0.2  # of the F1 to be expected, by which a change of the stack must raise it to be named
_PROBES = 3


@dataclass(frozen=True)
class StackFeatures:
    """What is measured of a stack.

    Parameters
    ----------
    features : dict of str to float
        By name.
    channels : ndarray
        Of the encoder: the mean of each over the stack, then its standard deviation; empty where
        the model has no encoder.
    """

    features: dict[str, float]
    channels: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def known_by(self, familiarity: Familiarity) -> dict[str, float]:
        """Return all features that a model's familiarity asks for."""
        if familiarity.encoded is None:
            return self.features
        return {**self.features, **familiarity.encoded.features(self.channels)}


def check_input(
    qpi: Volume,
    model: ModelBundle,
    options: StainOptions = StainOptions(),
    *,
    scaling: Scaling | None = None,
    no_data: NoData | None = None,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Tell whether a model can read a stack, from a few parts of it.

    Parameters
    ----------
    qpi : Volume
        Axes "zyx"; lazily read.
    model : ModelBundle
        The stainer; its networks are moved to the device.
    options : StainOptions
        Device and nucleus width.
    scaling, no_data : Scaling and NoData, optional
        Of the whole stack, where they are known.
    should_stop : callable, optional
        Asked between the parts.

    Yields
    ------
    Event
        At the end `Finished`; its value is the `Verdict`, None where the job was stopped.

    Raises
    ------
    UserError
        If it is no stack, or its voxel size cannot be that of what the model was trained on.
    """
    yield Started(job="check_input")
    familiarity = model.info.familiarity
    if familiarity is None:
        yield _finished(Verdict(value="unknown", model=model.info.name))
        return
    stack = LookedAt.at(qpi, model, options, scaling, no_data)
    meter = Meter(float(input_features.PARTS + _PROBES))
    measured = yield from stack.measure(meter, should_stop)
    if measured is None:
        yield Finished(result={"stopped": True})
        return
    features = measured.known_by(familiarity)
    f1 = familiarity.expected(features)
    said: list[str] = []
    if f1 < LIKE:
        changed = yield from stack.probe(familiarity, f1, meter, should_stop)
        said = [*changed, *reasons(familiarity, features)]
    yield _finished(
        Verdict(
            value=value_of(f1),
            model=model.info.name,
            f1=round(f1, 3),
            reasons=tuple(dict.fromkeys(said))[:4],
        )
    )


def verdict_on(
    qpi: Volume,
    model: ModelBundle,
    options: StainOptions,
    output: Output,
    scaling: Scaling,
    no_data: NoData,
    *,
    quiet: bool = False,
    should_stop: ShouldStop | None = None,
) -> Generator[Event, None, Verdict | None]:
    """Return the verdict on a stack that is about to be stained; None where it is not asked for.

    Parameters
    ----------
    qpi, model, options, scaling, no_data, should_stop
        As for `check_input`.
    output : Output
        Where the stain goes; a `Canvas` keeps the verdict for a job that goes on with it.
    quiet : bool
        Whether progress is not told.

    Yields
    ------
    Event
        Progress.
    """
    if not options.check:
        return None
    canvas = output if isinstance(output, Canvas) else None
    if canvas is not None and canvas.verdict is not None:
        return canvas.verdict
    job = check_input(
        qpi, model, options, scaling=scaling, no_data=no_data, should_stop=should_stop
    )
    verdict: Verdict | None = None
    for event in job:
        if isinstance(event, Finished):
            verdict = event.value
        elif isinstance(event, Progress) and not quiet:
            yield event.model_copy(update={"done": 0.0})
    if canvas is not None:
        canvas.verdict = verdict
    return verdict


def check_input_file(
    source: Path,
    model: str | Path | None = None,
    options: StainOptions = StainOptions(),
    *,
    reading: ReadOptions | None = None,
    should_stop: ShouldStop | None = None,
) -> Job:
    """Read a stack and a model, and do as `check_input`.

    Parameters
    ----------
    source : Path
        The label-free stack.
    model : str or Path, optional
        A name, a folder or a .zip; the shipped model by default.
    options : StainOptions
        Device and nucleus width.
    reading : ReadOptions, optional
        How the file is read.
    should_stop : callable, optional
        As for `check_input`.

    Yields
    ------
    Event
        As `check_input`.

    Raises
    ------
    UserError
        As `check_input`, or if the file or the model cannot be read.
    """
    yield Meter(1).at(0, f"reading {source.name}")
    volume = read_role(source, reading or ReadOptions(), None, "qpi")
    bundle = load_model(model, str(pick_device(options.device)))
    job = check_input(volume, bundle, options, should_stop=should_stop)
    yield from telling_width(job, volume, bundle, options, should_stop)


@dataclass(frozen=True)
class LookedAt:
    """A stack on the networks' grid, as staining would show it to the networks.

    Parameters
    ----------
    qpi : Volume
        The stack.
    model : ModelBundle
        Its networks lie on the device.
    device : torch.device
        Where they run.
    scaling : Scaling
        Of the stack's intensities.
    zoomed : callable
        Returns the grid on which nuclei are so many times smaller than on the model's.
    noise : float
        `noise_level` of the stack.
    """

    qpi: Volume
    model: ModelBundle
    device: torch.device
    scaling: Scaling
    zoomed: Zoom
    noise: float

    @classmethod
    def at(
        cls,
        qpi: Volume,
        model: ModelBundle,
        options: StainOptions,
        scaling: Scaling | None = None,
        no_data: NoData | None = None,
    ) -> LookedAt:
        """Return a stack as it is to be looked at; a sample of it is read.

        Raises
        ------
        UserError
            As `check_input`.
        """
        check_stack(qpi, part=tuple((0, min(n, 2)) for n in qpi.shape))
        sample, holes = sample_of(qpi.data)
        known = scaling is not None and no_data is not None
        scaling = scaling or qpi_scaling(sample)
        no_data = no_data if known and no_data is not None else holes
        if scaling.high - scaling.low <= 1e-7 * max(abs(scaling.low), 1e-4):
            raise UserError(
                f"Nearly all voxels of {qpi.name} have the same value ({scaling.low:g})."
            )
        limits = (scaling.undo(-HOT), scaling.undo(HOT))
        data = FilledStack(qpi.data, no_data, scaling.low, limits)
        ratio, _ = spacing_ratio(qpi, model.info, options.nucleus_um)
        multiple = model.info.network.multiple
        device = pick_device(options.device)
        ready(model, device)

        def zoomed(factor: float) -> NetworkGrid:
            """Return the grid of voxels so many times larger."""
            return NetworkGrid(data, [r * factor for r in ratio], multiple)

        noise = noise_level(sample, scaling)
        return cls(qpi, model, device, scaling, zoomed, noise)

    def measure(
        self,
        meter: Meter | None = None,
        should_stop: ShouldStop | None = None,
        most: int = input_features.PARTS,
    ) -> Generator[Event, None, StackFeatures | None]:
        """Return what is measured of the stack, in `most` parts; None where it was stopped."""
        boxes = self._boxes(self.zoomed(1.0))
        boxes = [boxes[i * len(boxes) // most] for i in range(min(most, len(boxes)))]
        parts, channels = [], []
        for number, box in enumerate(boxes):
            if meter is not None:
                yield meter.at(number, f"looking at {self.qpi.name}")
            if should_stop is not None and should_stop():
                return None
            features, encoded = self._look(self.zoomed(1.0), box)
            parts.append(features)
            channels.append(encoded)
        return StackFeatures(self._with_stack(input_features.averaged(parts)), np.mean(channels, 0))

    def probe(
        self,
        familiarity: Familiarity,
        f1: float,
        meter: Meter,
        should_stop: ShouldStop | None = None,
    ) -> Generator[Event, None, list[str]]:
        """Return what the stack would have to be to be read better, as sentences."""
        changes: tuple[tuple[float, float, str], ...] = (
            (-1.0, 1.0, "its contrast looks inverted"),
            (1.0, 2.0, "its nuclei look about twice as large as those that the model knows: give "
             "their width"),
            (1.0, 0.5, "its nuclei look about half as large as those that the model knows: give "
             "their width"),
        )  # fmt: skip
        found: list[tuple[float, str]] = []
        for number, (sign, zoom, text) in enumerate(changes):
            yield meter.at(input_features.PARTS + number, f"looking at {self.qpi.name}")
            if should_stop is not None and should_stop():
                break
            grid = self.zoomed(zoom)
            boxes = self._boxes(grid)
            features, channels = self._look(grid, boxes[len(boxes) // 2], sign)
            measured = StackFeatures(self._with_stack(features), channels).known_by(familiarity)
            found.append((familiarity.expected(measured) - f1, text))
        return [text for gain, text in sorted(found, reverse=True) if gain > _GAIN][:1]

    def _boxes(self, grid: NetworkGrid) -> Sequence[Box]:
        return input_features.choose_parts(grid, self.scaling, grid.multiple)

    def _look(
        self, grid: NetworkGrid, box: Box, sign: float = 1.0
    ) -> tuple[dict[str, float], np.ndarray]:
        part = np.asarray(sign * self.scaling.apply(grid.read(box)), np.float32)
        return input_features.of_part(part, self.model, self.device)

    def _with_stack(self, features: dict[str, float]) -> dict[str, float]:
        """Return features of parts with those that the stack has as a whole."""
        return {
            **features,
            "noise": float(np.log(self.noise + 1e-3)),
            "planes": float(np.log(min(self.zoomed(1.0).shape[0], input_features.PART[0]))),
        }


def _finished(verdict: Verdict) -> Finished:
    result = {**verdict.model_dump(), "verdict": verdict.value, "sentence": verdict.sentence}
    return Finished(result={k: v for k, v in result.items() if k != "value"}, value=verdict)
