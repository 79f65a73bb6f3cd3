"""One noise field for the whole volume: a function of (seed, absolute latent coordinate).

Tiles that each draw their own noise ghost nuclei where they meet; tiles that cut from one field
agree to the last bit. The field is made in blocks by a counter-based generator (Philox, Salmon
et al. 2011), so any part of it can be had without making the rest.
"""

from __future__ import annotations

from itertools import product

import numpy as np

_BLOCK = (8, 16, 16)  # latent sites (z, y, x) that one Philox counter fills


def noise_field(
    seed: int, channels: int, start: tuple[int, int, int], stop: tuple[int, int, int]
) -> np.ndarray:
    """Return standard normal noise for latent sites `start` to `stop`.

    Parameters
    ----------
    seed : int
        Which field.
    channels : int
        Latent channels.
    start, stop : tuple of int
        Absolute latent coordinates (z, y, x), at least 0.

    Returns
    -------
    np.ndarray
        (channels, z, y, x), float32.
    """
    size = [b - a for a, b in zip(start, stop, strict=True)]
    field = np.empty((channels, *size), np.float32)
    spans = [range(a // n, -(-b // n)) for a, b, n in zip(start, stop, _BLOCK, strict=True)]
    for block in product(*spans):
        philox = np.random.Philox(key=seed % 2**64, counter=[0, *block])
        values = np.random.Generator(philox).standard_normal((channels, *_BLOCK), np.float32)
        inside, outside = [slice(None)], [slice(None)]
        for i, a, b, n in zip(block, start, stop, _BLOCK, strict=True):
            low, high = max(a, i * n), min(b, (i + 1) * n)
            inside.append(slice(low - i * n, high - i * n))
            outside.append(slice(low - a, high - a))
        field[tuple(outside)] = values[tuple(inside)]
    return field
