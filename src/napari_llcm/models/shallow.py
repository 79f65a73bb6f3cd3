"""3D convolutions of two planes, whose gradient torch gets wrong in bfloat16 on processors.

For an input of depth 2, a kernel of 3 and a step of 1 along z, the gradient of the weights is
memory that nobody has written (torch 2.13 with oneDNN, AVX512-BF16 or AMX: off by a factor of 1 to
10^30, every time; forward pass and gradient of the input are right, and so is every other depth). A
patch of 8 or 16 planes meets depth 2 inside of a U-Net. A fault of the same kind, forward:
https://github.com/pytorch/pytorch/issues/169688
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_DEPTH = 2


class ShallowInFloat32(TorchFunctionMode):
    """While it is active, 3D convolutions of two planes on a processor run in float32.

    They are the smallest of a network: it costs nothing that could be measured.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, a convolution of two planes outside of autocast."""
        if func is torch.conv3d and args[0].shape[2] == _DEPTH and args[0].device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                return func(args[0].float(), *args[1:], **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def while_recomputed() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Return what holds in a block's first pass and in its second, for `checkpoint`."""
    return nullcontext(), ShallowInFloat32()


@contextmanager
def bfloat16_with_gradients(device: torch.device) -> Iterator[None]:
    """Run networks in bfloat16, all of whose gradients are needed.

    Parameters
    ----------
    device : torch.device
        Where they are.
    """
    with torch.autocast(device.type, torch.bfloat16), ShallowInFloat32():
        yield
