"""How large tiles may be: planned from the free memory before the start."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..events import UserError
from ..models.config import NetworkConfig
from .tiling import Box, padded, size, window

if TYPE_CHECKING:
    import torch

    from ..models.reach import Halos

_GIB = 2**30
# Measured: the working memory of each network is 7 to 8 activations of its finest level; the
# rest is a margin.
_ACTIVATIONS = 10
# Larger tiles waste less on halos; on a processor, whose time for fresh memory grows with the tile,
# they are no faster (measured), and smaller ones come to the screen sooner.
_LARGEST_TILE = {"cpu": 4 * 2**20, "cuda": 64 * 2**20, "mps": 16 * 2**20}
# For somebody who watches: a tile every third of a second or so, and blocks as small as can be
# had for so much of the U-Net's time in halos.
_OVERHEAD = 1.5
_WATCHED_TILE = {"cpu": 2**19, "cuda": 8 * 2**20, "mps": 2 * 2**20}


@dataclass(frozen=True)
class Tiling:
    """Sizes (z, y, x) in voxels, without halo; rounded up to whole latent sites.

    Parameters
    ----------
    tile : tuple of int
        Of the decoder, and of the results.
    block : tuple of int
        Of the latent U-Net, whose halo is wide and whose arrays are small.
    encode : tuple of int, optional
        Of the QPI encoder; as `tile` if not given. Nothing is to be seen before a block's
        encoding is complete, so small tiles would only compute halos again.
    """

    tile: tuple[int, int, int]
    block: tuple[int, int, int]
    encode: tuple[int, int, int] | None = None


def working_memory(device: torch.device, share: float | None = None) -> int:
    """Return how many bytes staining may take on `device`.

    Parameters
    ----------
    device : torch.device
        Where networks run.
    share : float, optional
        Share of what is free. By default half of it, 8 GiB at most; a GPU is not shared with
        the viewer's arrays: there it is 80 %.
    """
    if device.type == "cuda":
        import torch

        return int((share or 0.8) * torch.cuda.mem_get_info(device)[0])
    return int(share * free_memory()) if share else min(free_memory() // 2, 8 * _GIB)


def free_memory() -> int:
    """Return how many bytes of main memory are free."""
    import psutil

    return int(psutil.virtual_memory().available)


def plan(
    config: NetworkConfig,
    latent: Sequence[int],
    halos: Halos,
    itemsize: int,
    memory: int,
    kind: str,
    watched: bool = False,
) -> Tiling:
    """Return the largest tiles whose working memory stays within `memory`.

    Parameters
    ----------
    config : NetworkConfig
        Of local networks.
    latent : sequence of int
        Size (z, y, x) of the padded volume in latent sites.
    halos : Halos
        What is computed beyond a tile and a block.
    itemsize : int
        Bytes of an activation: 2 for bfloat16, 4 for float32.
    memory : int
        Bytes.
    kind : str
        Type of the device: bounds the tile, so that progress is seen.
    watched : bool
        Whether somebody watches the tiles come: they are smaller.
    """
    voxels = math.prod(config.factor)
    stem = math.prod(2 if f > 1 else 1 for f in config.factor)  # voxels for each site behind it
    width = max(config.condition_widths[0], config.decoder_widths[0])
    for_tile = _ACTIVATIONS * itemsize * width * voxels / stem
    # what a control branch adds is held beside what the U-Net has
    for_block = (_ACTIVATIONS + 2 * config.control) * itemsize * config.unet_widths[0]

    def tile_of(largest: float) -> list[int]:
        """Return the largest tile that, with its halo, fits."""
        return _shrink(
            latent,
            halos.decoder,
            (1, 1, 1),
            lambda box, whole: for_tile * size(whole) <= memory and size(box) <= largest,
        )

    def block_fits(_: Box, whole: Box) -> bool:
        """Return whether a block's working memory, with its halo, is small enough."""
        return for_block * size(whole) <= memory

    encode = tile_of(_LARGEST_TILE[kind] / voxels)
    tile = tile_of(_WATCHED_TILE[kind] / voxels) if watched else encode
    block = _shrink(latent, halos.unet, unet_stride(config), block_fits)
    if watched:
        block = _sooner(block, latent, halos.unet, unet_stride(config))
    return Tiling(*(_voxels(sites, config.factor) for sites in (tile, block, encode)))


def blended_window(
    config: NetworkConfig, shape: tuple[int, int, int], itemsize: int, memory: int
) -> tuple[int, int, int]:
    """Return the largest window (z, y, x) in voxels for networks that are not local.

    Their finest level has the resolution of the volume.
    """
    finest = config.autoencoder.finest or max(config.encoder_widths[0], config.decoder_widths[0])
    each = _ACTIVATIONS * itemsize * finest
    twice = tuple(2 * m for m in config.multiple)  # windows overlap by half
    halo = config.multiple
    z, y, x = _shrink(shape, halo, twice, lambda box, _: each * size(box) <= memory)
    most = config.window or (z, y, x)
    return (min(z, shape[0], most[0]), min(y, shape[1], most[1]), min(x, shape[2], most[2]))


def unet_stride(config: NetworkConfig) -> tuple[int, int, int]:
    """Return the latent sites that one site of the U-Net's coarsest level covers."""
    z, y, x = (m // f for m, f in zip(config.multiple, config.factor, strict=True))
    return (z, y, x)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on any device."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
    )


def scratch(
    shape: Sequence[int], dtype: torch.dtype, folder: Path, memory: int, device: torch.device
) -> torch.Tensor:
    """Return an uninitialised tensor on a device, or in main memory, or in a file.

    Parameters
    ----------
    shape, dtype : sequence of int and torch.dtype
        Of the tensor.
    folder : Path
        For the file.
    memory : int
        Bytes that the tensor may take on the device.
    device : torch.device
        Where it is used: on a card it has to come and go where it lies elsewhere.

    Raises
    ------
    UserError
        If the disk has no room for it.
    """
    import torch

    count = math.prod(shape)
    bytes_needed = count * dtype.itemsize
    if bytes_needed <= memory:
        return torch.empty(tuple(shape), dtype=dtype, device=device)
    if device.type != "cpu" and bytes_needed <= working_memory(torch.device("cpu")) // 4:
        return torch.empty(tuple(shape), dtype=dtype)
    if shutil.disk_usage(folder).free < bytes_needed:
        raise UserError(
            f"Staining this volume needs {bytes_needed / _GIB:.1f} GiB of scratch space in "
            f"{folder}: free some, or choose an output on another disk."
        )
    name = folder / f"{len(os.listdir(folder))}.scratch"
    return torch.from_file(str(name), shared=True, size=count, dtype=dtype).reshape(tuple(shape))


def _shrink(
    shape: Sequence[int],
    halo: Sequence[int],
    align: Sequence[int],
    fits: Callable[[Box, Box], bool],
) -> list[int]:
    """Return the largest box that fits, halving where the halo weighs least."""
    tile = list(padded(shape, align))
    while not fits(box := _in_the_middle(tile, shape, align), window(box, halo, shape, align)):
        smaller = _halved(tile, halo, align)
        if smaller is None:
            break
        tile = smaller
    return tile


def _sooner(
    block: list[int], latent: Sequence[int], halo: Sequence[int], align: Sequence[int]
) -> list[int]:
    """Return the smallest part of a block whose halo weighs little enough."""
    while (smaller := _halved(block, halo, align)) is not None:
        box = _in_the_middle(smaller, latent, align)
        if size(window(box, halo, latent, align)) > _OVERHEAD * size(box):
            break
        block = smaller
    return block


def _in_the_middle(tile: Sequence[int], shape: Sequence[int], align: Sequence[int]) -> Box:
    """Return a box of this size in the middle of a volume, where its halo is whole."""
    return tuple(
        (0, n) if t >= n else (n // 2 // s * s, min(n // 2 // s * s + t, n))
        for t, n, s in zip(tile, shape, align, strict=True)
    )


def _halved(tile: list[int], halo: Sequence[int], align: Sequence[int]) -> list[int] | None:
    """Return a size, halved where the halo weighs least; None where it is the smallest."""
    axes = [i for i in range(3) if tile[i] > align[i]]
    if not axes:
        return None
    axis = max(axes, key=lambda i: tile[i] / max(halo[i], 1))  # wavelets have none
    half = -(-tile[axis] // (2 * align[axis])) * align[axis]
    return [half if i == axis else n for i, n in enumerate(tile)]


def _voxels(sites: Sequence[int], factor: Sequence[int]) -> tuple[int, int, int]:
    z, y, x = (n * f for n, f in zip(sites, factor, strict=True))
    return (z, y, x)
