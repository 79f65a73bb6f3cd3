"""Local networks: latent blocks, and tiles as soon as their latents are there. No seams.

Per tile, nearest to what the user looks at first: the latent blocks that it needs and that are
not there yet (for each, the QPI features of the block and its halo, then the latent U-Net), then
the decoder. Features and latents are kept, so only halos are computed twice: with the default
networks 9 x 7 x 7 latent sites around a tile and 38 around a block, nothing beyond the volume's
edge. For somebody who watches, a third to half of it in bfloat16 (see `reach`).
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from functools import partial
from itertools import zip_longest

from ..events import Event, Job, Meter, Notice, UserError
from ..models.device import precision
from ..models.reach import Halos, near_halos, whole_halos
from .beside import FinishBehind
from .canvas import Canvas
from .job import StainJob, Stopped
from .memory import is_out_of_memory, plan, unet_stride, working_memory
from .pipeline import LocalPipeline
from .previews import Previews
from .tiling import Box, bounds, common, distance, halves, shared, size, tiles, tiles_within

Sites = tuple[int, ...]

# Share of each network in the arithmetic of the default model, for the time left
_SHARES = {"encode": 0.2, "denoise": 0.3, "decode": 0.5}
_TOTAL = 100.0  # progress is in per cent
_PATIENCE = 0.02  # seconds between two looks at what is to be followed
_FOLLOWED = (32, 48, 48)  # largest block, in latent sites, where only a part is looked at


class TiledRun:
    """One run of local networks over a volume, or a region of it.

    Parameters
    ----------
    job : StainJob
        What to do.
    region : Box, optional
        Latent sites, whole tiles: stain these alone, in one block.
    """

    def __init__(self, job: StainJob, region: Box | None = None) -> None:
        self.job = job
        self.pipeline = make_pipeline(job)
        self.behind = FinishBehind[Event]()
        memory = working_memory(job.device, job.options.memory_share)
        self.pipeline.allocate(job.folder, memory // 4)
        latent, stride = self.pipeline.latent, self.pipeline.stride
        tile, block, encode = tile_sizes(job)
        job.output.start(tile)
        self.align = {"encode": (1, 1, 1), "denoise": stride, "decode": (1, 1, 1)}
        self.limit: dict[str, int] = {}
        self.parts: set[Box] = set()  # those of the pending tiles that are not whole
        self.pending = pending_tiles(job, tile)
        if job.focus.follow:
            block = tuple(min(b, f) for b, f in zip(block, _FOLLOWED, strict=True))
        elif job.focus.region is not None:
            wanted = job.focus.region()
            self.pending = [t for t in self.pending if shared(job.outputs(t), wanted)]
            if job.output.watched:  # the user sees where the region ends
                sites = self.pipeline.sites_of(wanted)
                parts = [common(t, sites) for t in self.pending if shared(t, sites)]
                self.parts = set(parts) - set(self.pending)
                self.pending = parts
            region = self._small_region(block) or region
        self.blocks = tiles(latent, block)
        if region is not None:
            self.pending = [t for t in self.pending if shared(t, region)]
            self.blocks = [self.pipeline.region_block(region)]
        elif job.output.watched and self.pending and not job.focus.follow and job.steps == 1:
            needed = self.pipeline.region_block(bounds(self.pending))
            self.blocks = tiles_within(needed, block)
        if job.steps == 1:  # a job that goes on needs no block whose tiles are all done
            windows = [self.pipeline.latents_window(t) for t in self.pending]
            self.blocks = [b for b in self.blocks if any(shared(b, w) for w in windows)]
        windows = [self.pipeline.features_window(b) for b in self.blocks]
        self.unread = [t for t in tiles(latent, encode) if any(shared(t, w) for w in windows)]
        if region is not None or job.output.watched:
            # no more is encoded than is needed; of a region, no more input may be there
            seen = bounds(windows) if windows else ()
            self.unread = [common(t, seen) for t in self.unread]
        samples = job.options.samples
        self._weight = {
            "encode": _SHARES["encode"],
            "denoise": _SHARES["denoise"] * samples,
            "decode": _SHARES["decode"] * samples,
        }
        boxes = {
            "encode": self.unread,
            "denoise": self.blocks * job.steps,
            "decode": self.pending,
        }
        self._total = sum(self._weight[k] * size(b) for k, bs in boxes.items() for b in bs)
        self.previews = _previews(job, self.pipeline)
        self._done = 0.0
        self._meter = Meter(_TOTAL)

    def events(self) -> Job:
        """Run, nearest tiles first."""
        try:
            yield from self._events()
        except Stopped:
            yield from self.behind.done(unfinished=0)  # what was decoded is kept
            raise
        finally:
            self.behind.close()
            self.pipeline.inputs_at.close()

    def _events(self) -> Job:
        for step in range(self.job.steps - 1):
            blocks = list(self.blocks)
            while blocks:
                yield from self._denoise(self._take(blocks), step)
        while tile := self._next():
            if self.previews is not None:
                yield from self.previews.events()
            needed = self.pipeline.latents_window(tile)
            while blocks := [b for b in self.blocks if shared(b, needed)]:
                block = self._take(blocks)
                yield from self._denoise(block, self.job.steps - 1)
                self.blocks.remove(block)
            decode = partial(self._decode, part=tile in self.parts)
            yield from self._run("decode", tile, decode)
            # who watches is shown a tile at once; else it is finished beside the next one
            yield from self.behind.done(unfinished=0 if self.job.output.watched else 1)
            self.pending.remove(tile)
        yield from self.behind.done(unfinished=0)

    def _next(self) -> Box | None:
        """Return the pending tile nearest to the centre; None at the end.

        Raises
        ------
        Stopped
            If the user has asked for it while there was nothing to do.
        """
        tiles_left = list(self.pending)
        while self.job.focus.follow and self.job.focus.region is not None:
            wanted = self.job.focus.region()
            tiles_left = [t for t in self.pending if shared(self.job.outputs(t), wanted)]
            if tiles_left:
                break
            if self.job.should_stop is not None and self.job.should_stop():
                raise Stopped
            time.sleep(_PATIENCE)
        return self._take(tiles_left) if tiles_left else None

    def _denoise(self, block: Box, step: int) -> Job:
        """Run the U-Net on a block, after the encoder where it has not been."""
        needed = self.pipeline.features_window(block)
        waiting = [t for t in self.unread if shared(t, needed)]
        for tile, following in zip_longest(waiting, waiting[1:]):
            encode = partial(self.pipeline.encode, following=following)
            yield from self._run("encode", tile, encode)
            self.unread.remove(tile)
        yield from self._run("denoise", block, partial(self.pipeline.denoise, step=step))

    def _small_region(self, block: Sites) -> Box | None:
        """Return the latent sites of all pending tiles where one block can hold them."""
        if not self.pending or self.job.steps > 1:
            return None
        sites = bounds(self.pending)
        whole = self.pipeline.region_block(sites)
        return sites if size(whole) <= max(math.prod(block), math.prod(_FOLLOWED)) else None

    def _decode(self, tile: Box, part: bool) -> None:
        outputs = self.pipeline.decode(tile)
        self.behind.add(lambda: self.job.put(*outputs(), part))

    def _take(self, boxes: list[Box]) -> Box:
        """Remove and return the box nearest to the centre."""
        grid, factor, centre = self.job.grid, self.pipeline.factor, self.job.focus.centre
        point = centre() if centre else [n / 2 for n in grid.output_shape]
        sites = [p / r / f for p, r, f in zip(point, grid.output_ratio, factor, strict=True)]
        return boxes.pop(min(range(len(boxes)), key=lambda i: distance(boxes[i], sites)))

    def _run(self, stage: str, box: Box, work: Callable[[Box], None]) -> Job:
        """Do `work` on a box, in smaller and smaller parts where memory runs out.

        Raises
        ------
        UserError
            If the smallest part is still too large.
        """
        align, parts = self.align[stage], [box]
        while parts:
            part = parts.pop()
            limit = self.limit.get(stage)
            if limit is not None and size(part) > limit:
                parts += reversed(halves(part, align))
                continue
            try:
                work(part)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                smaller = halves(part, align)
                if len(smaller) < 2:
                    raise UserError(
                        f"There is not enough memory on {self.job.device} for the smallest tile: "
                        "close other programs or choose another device."
                    ) from error
                self.limit[stage] = max(size(s) for s in smaller)
            else:
                self._done += self._weight[stage] * size(part)
                if not self.job.focus.follow:  # which has no end
                    yield self._meter.at(_TOTAL * self._done / self._total)
                continue
            # outside the handler, so that what the failed attempt held is let go
            self._free()
            parts.append(part)
            yield Notice(
                text=f"Memory ran out on {self.job.device}: going on with tiles half as large."
            )

    def _free(self) -> None:
        import torch

        gc.collect()
        if self.job.device.type == "cuda":
            torch.cuda.empty_cache()


def make_pipeline(job: StainJob) -> LocalPipeline:
    """Return the pipeline of a job, without its arrays."""
    return LocalPipeline(job.model, job.inputs, job.options.seeds, job.steps, _halos(job))


def _halos(job: StainJob) -> Halos:
    """Return the halos that a job computes.

    In a file, what a job that goes on adds is to the last bit what it would have been; so is what
    any number of machines make. Both need the whole halo, as their blocks differ.
    """
    networks, alone = job.model.networks, job.options.cluster is None
    if alone and job.output.watched and job.steps == 1:  # the reach is that of one step from noise
        return near_halos(job.model.info, networks, precision(job.device))
    return whole_halos(networks)


def _previews(job: StainJob, pipeline: LocalPipeline) -> Previews | None:
    """Return what shows more than tiles do, where somebody watches and one step is all."""
    if not isinstance(job.output, Canvas) or job.steps > 1:
        return None
    return Previews(pipeline, job.output, job.focus, job.empty)


def tile_sizes(job: StainJob) -> tuple[Sites, Sites, Sites]:
    """Return the sizes of tiles, of blocks and of the encoder's tiles, in latent sites."""
    config, dtype = job.model.info.network, precision(job.device)
    tiling = job.options.tiling or plan(
        config,
        [n // f for n, f in zip(job.grid.padded, config.factor, strict=True)],
        _halos(job),
        dtype.itemsize,
        working_memory(job.device, job.options.memory_share),
        job.device.type,
        watched=job.output.watched,
    )
    tile = job.output.tile or _sites(tiling.tile, config.factor, (1, 1, 1))
    encode = _sites(tiling.encode or tiling.tile, config.factor, (1, 1, 1))
    return tile, _sites(tiling.block, config.factor, unet_stride(config)), encode


def pending_tiles(job: StainJob, tile: Sites) -> list[Box]:
    """Return the tiles, in latent sites, that are not done yet."""
    factor = job.model.info.network.factor
    stained = tuple(-(-n // f) for n, f in zip(job.grid.shape, factor, strict=True))
    return [t for t in tiles(stained, tile) if not job.output.is_done(job.outputs(t))]


def _sites(
    voxels: tuple[int, ...], factor: tuple[int, ...], align: tuple[int, ...]
) -> tuple[int, ...]:
    """Return a size in latent sites, rounded up to multiples of `align`."""
    return tuple(
        max(-(-v // (f * a)), 1) * a for v, f, a in zip(voxels, factor, align, strict=True)
    )
