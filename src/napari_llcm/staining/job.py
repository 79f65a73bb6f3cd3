"""What a staining job works on, common to both ways of running the networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..events import Event, ShouldStop, Tile, UserError
from ..models.bundle import ModelBundle
from .grid import NetworkGrid
from .inputs import StackInputs
from .options import StainOptions
from .output import Output
from .tiling import Box, scaled, size

if TYPE_CHECKING:
    import torch


class Stopped(Exception):
    """The user asked to stop while a network was running."""


@dataclass(frozen=True)
class Focus:
    """Which part of a volume is stained, and what of it first; by default all of it.

    Parameters
    ----------
    centre : callable, optional
        Returns the voxel (z, y, x) around which to start; asked again for each tile.
    region : callable, optional
        Returns the box of voxels that is wanted; the tiles that share none of it are left out.
    follow : bool
        Go on staining whatever `region` returns, until stopped.
    view : callable, optional
        Returns the box of voxels on screen, or None while nothing is: what of it is not stained
        yet is shown as a preview, where somebody watches.
    """

    centre: Callable[[], Sequence[float]] | None = None
    region: Callable[[], Box] | None = None
    follow: bool = False
    view: Callable[[], Box | None] | None = None


@dataclass
class StainJob:
    """A staining job: input, model, settings and output.

    Parameters
    ----------
    model : ModelBundle
        Its networks lie on `device`.
    device : torch.device
        Where they run.
    inputs : StackInputs
        The input on the networks' grid.
    options : StainOptions
        Seeds, memory, tile sizes.
    steps : int
        Steps of the sampler: those of the options, or the method's own.
    output : Output
        Where tiles go.
    folder : Path
        For scratch files.
    focus : Focus
        What is stained first, or alone.
    should_stop : callable, optional
        Asked while there is nothing to follow.
    empty : callable, optional
        Returns which input voxels of a box hold no data; they are put as 0.
    source : str, optional
        Path of the input's file, which other machines may see too.
    where : str
        Which other machines compute, if any.
    tiles, voxels : int
        How many tiles, and input voxels, this job has put so far.
    """

    model: ModelBundle
    device: torch.device
    inputs: StackInputs
    options: StainOptions
    steps: int
    output: Output
    folder: Path
    focus: Focus = Focus()
    should_stop: ShouldStop | None = None
    empty: Callable[[Box], np.ndarray] | None = None
    source: str | None = None
    where: str = ""
    tiles: int = 0
    voxels: int = 0

    @property
    def grid(self) -> NetworkGrid:
        """The networks' grid over the input."""
        return self.inputs.grid

    def outputs(self, tile: Box) -> Box:
        """Return the result's voxels of a tile (latent sites)."""
        voxels = scaled(tile, self.model.info.network.factor)
        return self.grid.outputs(self.grid.inside(voxels))

    def put(self, box: Box, outputs: np.ndarray, part: bool = False) -> Event:
        """Put the samples (samples, channels, z, y, x) of a box of voxels; return the `Tile`.

        Parameters
        ----------
        box : Box
            Voxels of the result.
        outputs : numpy.ndarray
            The samples.
        part : bool
            Whether the box is no more than a part of a tile.
        """
        data = outputs[0]
        if self.options.samples > 1:  # their mean and spread, channel by channel
            data = np.concatenate([outputs.mean(0), outputs.std(0, ddof=1)])
        if len(data) == 1:
            data = data[0]
        else:
            box = ((0, len(data)), *box)
        return self.keep(box, data, part)

    def keep(self, box: Box, data: np.ndarray, part: bool = False) -> Event:
        """Put the result's voxels of a box (one span for each of its axes); return the `Tile`.

        Raises
        ------
        UserError
            If some are no numbers: they are never written.
        """
        if self.empty is not None:
            data = np.where(self.empty(box[-3:]), np.float32(0), data)
        if not np.isfinite(data).all():
            where = ", ".join(f"{a} to {b}" for a, b in box[-3:])
            raise UserError(
                f"Model {self.model.info.name} gives values that are no numbers (voxels z, y, x "
                f"{where}), so nothing of them was written: choose another model, or the "
                "processor (cpu) as the device."
            )
        self.output.put(box, data, part)
        self.tiles += 1
        self.voxels += size(box[-3:])
        return Tile(slices=box, data=data)


@contextmanager
def interruptible(networks: torch.nn.Module, should_stop: ShouldStop | None) -> Iterator[None]:
    """Raise `Stopped` before the next convolution once `should_stop` returns True.

    A network on a large block may run for long; its user shall not wait for its end.
    """
    from torch import nn

    def check(*_: object) -> None:
        """Ask the user."""
        if should_stop is not None and should_stop():
            raise Stopped

    layers = [m for m in networks.modules() if isinstance(m, nn.Conv3d)]
    hooks = [m.register_forward_pre_hook(check) for m in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
