"""Seconds of works that are compared: in turns, so that a loaded machine slows all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Work = Callable[[], object]


def seconds_of(work: Work, device: torch.device) -> float:
    """Return how long a work takes, until the device has done all of it."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def in_turns(
    works: Sequence[Work], repeats: int, device: torch.device, warm_up: bool = True
) -> list[float]:
    """Return the shortest seconds of each work, measured in turns.

    Parameters
    ----------
    works : sequence of callable
        What is compared.
    repeats : int
        How often each is measured.
    device : torch.device
        Where they compute.
    warm_up : bool
        Whether each runs once before: kernels are chosen and memory is fetched the first time.
    """
    if warm_up:
        for work in works:
            seconds_of(work, device)
    turns = [[seconds_of(work, device) for work in works] for _ in range(repeats)]
    return [min(times) for times in zip(*turns, strict=True)]


def synchronize(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
