"""What the networks make of a few parts of a stack, before it is stained."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..events import Event, Meter, ShouldStop, UserError
from ..models.bundle import ModelBundle
from ..models.device import pick_device
from ..models.familiarity import Familiarity
from ..tasks.normalise import HOT, Scaling, noise_level, qpi_scaling
from ..volumes import FilledStack, NoData, Volume, check_stack
from . import input_features
from .bounded import sample_of
from .fit import spacing_ratio
from .grid import NetworkGrid
from .options import StainOptions
from .setup import ready
from .tiling import Box

if TYPE_CHECKING:
    import torch

Zoom = Callable[[float], NetworkGrid]
_GAIN = 0.2  # of the F1 to be expected, by which a change of the stack must raise it to be named


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
            """Return the grid of voxels so many times larger, as with a width as much larger."""
            along_z = factor if qpi.spacing is not None else 1.0  # see `matched_spacing`
            zoom = (along_z, factor, factor)
            return NetworkGrid(data, [r * f for r, f in zip(ratio, zoom, strict=True)], multiple)

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
