"""The three networks over boxes of the latent grid, each with the halo that it needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch

from ..models.blocks import level_strides
from ..models.bundle import ModelBundle
from ..models.condition import Condition
from ..models.device import autocast, precision
from ..models.info import ModelInfo
from ..models.networks import Encoder
from ..models.reach import Halos, little_context
from ..models.samplers import field_at, make_sampler
from .beside import ReadAhead
from .inputs import StackInputs
from .memory import scratch, unet_stride
from .tiling import Box, scaled, slices, window


class LocalPipeline:
    """Encoder of the inputs, latent U-Net and decoder of one staining job.

    Features of the inputs and latents of the whole volume are kept, in memory or, if they are too
    large, in scratch files: no network runs twice over the same place but for the halos.

    Parameters
    ----------
    model : ModelBundle
        Local networks, as `ready` leaves them.
    inputs : StackInputs
        The input on the networks' grid.
    seeds : sequence of int
        One for each sample.
    steps : int
        Steps of the sampler.
    halos : Halos
        What is computed beyond tiles and blocks.
    """

    def __init__(
        self,
        model: ModelBundle,
        inputs: StackInputs,
        seeds: Sequence[int],
        steps: int,
        halos: Halos,
    ) -> None:
        config = model.info.network
        self.networks = model.networks
        self.info = model.info
        self.inputs, self.grid, self.seeds = inputs, inputs.grid, seeds
        self.device = next(model.networks.parameters()).device
        self.sampler = make_sampler(model.info, model.networks, steps)
        self.factor, self.stride = config.factor, unet_stride(config)
        self.latent = tuple(n // f for n, f in zip(self.grid.padded, config.factor, strict=True))
        halo = self.networks.condition_halo
        assert halo is not None
        self.condition_halo = halo
        self.halos = halos
        self.inputs_at = ReadAhead(inputs.read)

    def allocate(self, folder: Path, memory: int) -> None:
        """Make room for features and latents.

        Parameters
        ----------
        folder : Path
            For arrays that have no room in memory.
        memory : int
            Bytes of the device that one array may take.
        """
        config = self.info.network
        ways = 2 if config.control else 1  # one behind the other
        shape = (ways * config.condition_widths[-1], *self.latent)
        make = partial(scratch, folder=folder, memory=memory, device=self.device)
        self._features = make(shape, precision(self.device))
        # a step reads the latents of its neighbours: one array to read, one to write
        shape = (len(self.seeds), config.latent_channels, *self.latent)
        count = min(self.sampler.steps, 2)
        self._latents = [make(shape, torch.float32) for _ in range(count)]

    def features_window(self, block: Box) -> Box:
        """Return the latent sites whose features the U-Net needs for a block."""
        return window(block, self.halos.unet, self.latent, self.stride)

    def latents_window(self, tile: Box) -> Box:
        """Return the latent sites that the decoder needs for a tile."""
        return self._latents_window(tile, self.halos.decoder)

    def _latents_window(self, tile: Box, halo: Sequence[int]) -> Box:
        # bringing a result back onto the input's grid interpolates: one site more
        margin = 1 if self.grid.brought_back else 0
        return window(tile, [h + margin for h in halo], self.latent)

    def sites_of(self, voxels: Box) -> Box:
        """Return the latent sites that hold a box of the result's voxels."""
        steps = [r * f for r, f in zip(self.grid.output_ratio, self.factor, strict=True)]
        spans = zip(voxels, steps, self.latent, strict=True)
        return tuple((int(a // s), min(math.ceil(b / s), n)) for (a, b), s, n in spans)

    def region_block(self, region: Box) -> Box:
        """Return the block whose latents are all that the tiles of a region need."""
        return window(self.latents_window(region), (0, 0, 0), self.latent, self.stride)

    def input_window(self, sites: Box, halo: Sequence[int] | None = None) -> Box:
        """Return the voxels of the padded grid that the encoders need for a box of sites."""
        inside = scaled(sites, self.factor)
        return window(inside, halo or self.condition_halo, self.grid.padded, self.factor)

    @torch.inference_mode()
    def encode(self, box: Box, following: Box | None = None) -> None:
        """Compute the features of the inputs at a box of latent sites.

        Parameters
        ----------
        box : Box
            Where.
        following : Box, optional
            Where they will be computed next: the inputs are read meanwhile.
        """
        seen = self._read(self.input_window(box))
        if following is not None:
            self.inputs_at.expect(self.input_window(following))
        features = self._encoded(box, self.condition_halo, seen)[0]
        self._features[_all(box)] = features.to(self._features.device)

    def _encoded(self, box: Box, halo: Sequence[int], seen: torch.Tensor) -> torch.Tensor:
        """Return the features at a box of sites, of the inputs in its window."""
        voxels = self.input_window(box, halo)
        with autocast(self.device):
            condition = self.networks.conditioned(seen)
        features = condition.packed() if isinstance(condition, Condition) else condition
        sites = tuple((a // f, b // f) for (a, b), f in zip(voxels, self.factor, strict=True))
        return features[(slice(None), *_all(box, sites))]

    @torch.inference_mode()
    def denoise(self, block: Box, step: int) -> None:
        """Compute one step of the sampler for all samples at a block of latent sites."""
        sites = self.features_window(block)
        start, stop = zip(*sites, strict=True)
        condition = self.networks.unpacked(self._features[_all(sites)][None].to(self.device))
        before, after = self._latents[step % 2 - 1], self._latents[step % 2]
        for k, seed in enumerate(self.seeds):
            noise = field_at(seed, step, after.shape[1], start, stop).to(self.device)
            x = torch.zeros_like(noise)
            if step:
                x = before[k][_all(sites)][None].to(self.device)
            with autocast(self.device):
                x = self.sampler.step(step, x, noise, condition)
            after[k][_all(block)] = x[0][_all(block, sites)].to(after.device)

    @torch.inference_mode()
    def decode(self, tile: Box) -> Callable[[], tuple[Box, np.ndarray]]:
        """Decode a tile (latent sites); return what brings it onto the result's grid.

        That takes no network, so it can be done in another thread.

        Returns
        -------
        box : Box
            Voxels of the result.
        outputs : np.ndarray
            (samples, channels, z, y, x), float32, in the unit of each channel.
        """
        sites = self.latents_window(tile)
        latents = self._latents[(self.sampler.steps - 1) % 2]
        each = (latents[k][_all(sites)][None].to(self.device) for k in range(len(self.seeds)))
        return self._decoded(tile, sites, each)

    @torch.inference_mode()
    def preview(self, tile: Box) -> tuple[Box, np.ndarray]:
        """Return what `decode` does, at once: one sample from little context; nothing is kept.

        Where networks take one step.
        """
        little = little_context(self.networks)
        sites = self._latents_window(tile, little.halos.decoder)
        seen = window(sites, little.halos.unet, self.latent, self.stride)
        start, stop = zip(*seen, strict=True)
        inputs = torch.from_numpy(self.inputs.read(self.input_window(seen, little.encoder)))
        features = self._encoded(seen, little.encoder, inputs[None].to(self.device))
        condition = self.networks.unpacked(features)
        noise = field_at(self.seeds[0], 0, self.info.network.latent_channels, start, stop)
        noise = noise.to(self.device)
        with autocast(self.device):
            x = self.sampler.step(0, torch.zeros_like(noise), noise, condition)
        return self._decoded(tile, sites, [x[(slice(None), *_all(sites, seen))].float()])()

    def _decoded(
        self, tile: Box, sites: Box, latents: Iterable[torch.Tensor]
    ) -> Callable[[], tuple[Box, np.ndarray]]:
        """Return what brings onto the result's grid what each latent of a window gives."""
        inside = self.grid.inside(scaled(tile, self.factor))
        margin = window(inside, (1, 1, 1), self.grid.shape) if self.grid.brought_back else inside
        skip = self._skip(sites) if self.info.network.decoder_skip else None
        cuts = []
        for z in latents:
            with autocast(self.device):
                y = self.networks.decode(z, skip=skip)[0]
            cuts.append(y[_all(margin, scaled(sites, self.factor))].float().cpu().numpy())

        def outputs() -> tuple[Box, np.ndarray]:
            """Return the result's voxels, and what is there."""
            if self.info.network.residual:
                for cut in cuts:
                    cut += self.inputs.read(margin)[: len(cut)]
            made = [on_result_grid(self.info, self.inputs, c, inside, margin) for c in cuts]
            return self.grid.outputs(inside), np.stack(made)

        return outputs

    def _skip(self, sites: Box) -> torch.Tensor:
        """Return the inputs' features that join the decoder, at a box of latent sites.

        They reach less far than the latents of the U-Net, whose input has been read: no other part
        of a stack is needed.
        """
        inside = scaled(sites, self.factor)
        encoder, stem = cast("Encoder", self.networks.skip), level_strides(self.factor)[0]
        voxels = window(inside, encoder.halo, self.grid.padded, stem)
        with autocast(self.device):
            features = encoder(self._read(voxels))
        cells, within = (
            tuple((a // s, b // s) for (a, b), s in zip(box, stem, strict=True))
            for box in (inside, voxels)
        )
        return features[(slice(None), *_all(cells, within))]

    def _read(self, voxels: Box) -> torch.Tensor:
        """Return the normalised inputs (1, I, z, y, x) at a box of the padded grid."""
        return torch.from_numpy(self.inputs_at.take(voxels))[None].to(self.device)


def on_result_grid(
    info: ModelInfo, inputs: StackInputs, values: np.ndarray, box: Box, within: Box
) -> np.ndarray:
    """Return what a decoder gave, in the unit of each channel, on the grid of the result.

    Parameters
    ----------
    info : ModelInfo
        The model.
    inputs : StackInputs
        What was stained.
    values : ndarray
        (channels, z, y, x), normalised, in the window `within` of the networks' grid.
    box, within : Box
        As in `NetworkGrid.back`.
    """
    grid = inputs.grid
    scaled_by = [(c.intensity, info.output_scaling(c, inputs.by_name)) for c in info.task.outputs]
    if info.network.residual and grid.brought_back:
        # what the input shows beyond the networks' grid stays: only what was added is resampled
        added = values - inputs.read(within)[: len(values)]
        shown = inputs.on_result_grid(grid.outputs(box))
        values = np.stack([grid.back(box, v, within) for v in added]) + shown[: len(values)]
        return np.stack([i.undo(v, s) for (i, s), v in zip(scaled_by, values, strict=True)])
    undone = (i.undo(v, s) for (i, s), v in zip(scaled_by, values, strict=True))
    return np.stack([grid.back(box, v, within) for v in undone])


def _all(box: Box, within: Box | None = None) -> tuple[slice, ...]:
    """Return the slices of a box for an array whose first axis, the channels, is taken whole."""
    return (slice(None), *slices(box, within))
