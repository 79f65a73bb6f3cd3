"""Where networks run, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING

from ..events import UserError

if TYPE_CHECKING:
    import torch

_TOLERANCE = 0.02  # of bfloat16, whose numbers have 8 bits, against float32
_KINDS = ("auto", "cpu", "cuda", "mps")


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of that name, or the fastest there is.

    Parameters
    ----------
    name : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises
    ------
    UserError
        If it is no device, or this computer has none of it.
    """
    import torch

    kind, _, number = name.partition(":")
    if kind not in _KINDS or (number and not (kind == "cuda" and number.isdecimal())):
        raise UserError(f"{name!r} is not a device: choose one of {', '.join(_KINDS)}.")
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if has_cuda else "mps" if has_mps else "cpu")
    if kind == "cuda" and not has_cuda:
        raise UserError("This computer has no CUDA device that torch can use: choose auto or cpu.")
    if kind == "cuda" and number and int(number) >= torch.cuda.device_count():
        raise UserError(
            f"There is no CUDA device {number}; this computer has {torch.cuda.device_count()}."
        )
    if kind == "mps" and not has_mps:
        raise UserError("This computer has no Apple GPU (mps): choose auto or cpu.")
    return torch.device(name)


def precision(device: torch.device) -> torch.dtype:
    """Return the type in which networks run fastest on `device`.

    bfloat16 on CUDA and on processors that multiply it natively (AMX, AVX512-BF16), where it is
    2 to 5 times faster; float32 elsewhere, where it would be emulated and slower. Never float16:
    the preconditioner spans 1e-3 to 1e2. float32, too, where bfloat16 is tried and gives wrong
    numbers (see `precision_notices`).
    """
    import torch

    native = _has_bfloat16(device) and bfloat16_error(device) <= _TOLERANCE
    return torch.bfloat16 if native else torch.float32


def precision_notices(device: torch.device) -> list[str]:
    """Return what a user should know of the precision: that bfloat16 is broken here."""
    if not _has_bfloat16(device) or bfloat16_error(device) <= _TOLERANCE:
        return []
    import torch

    return [
        f"torch {torch.__version__} computes wrong numbers in bfloat16 on {device}: float32 is "
        "used, which is slower. Update torch or the graphics driver."
    ]


def _has_bfloat16(device: torch.device) -> bool:
    """Return whether the hardware multiplies bfloat16 natively."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    # older torch does not tell what the processor can do, and gets float32
    known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("amx_bf16") or known.get("avx512_bf16"))


@cache
def bfloat16_error(device: torch.device) -> float:
    """Return how far 3D convolutions in bfloat16 are from those in float32, relative to these.

    Measured once in each process, in some hundredths of a second: torch 2.9 shipped with broken
    ones, and drivers differ. 0.003 where all is well; infinite where they fail.

    Parameters
    ----------
    device : torch.device
        Where to try.
    """
    import torch
    from torch.nn.functional import conv3d

    generator = torch.Generator().manual_seed(0)
    image = torch.randn((1, 16, 8, 24, 24), generator=generator)
    weight = torch.randn((32, 16, 3, 3, 3), generator=generator)
    errors = []
    with torch.inference_mode():
        for layout in (torch.contiguous_format, torch.channels_last_3d):  # as networks use both
            for stride in (1, 2):
                want = conv3d(image, weight, stride=stride, padding=1)
                try:
                    x, w = (
                        t.to(device, torch.bfloat16, memory_format=layout) for t in (image, weight)
                    )
                    got = conv3d(x, w, stride=stride, padding=1).float().cpu()
                except RuntimeError:
                    return float("inf")
                errors.append(float((got - want).abs().max() / want.abs().max()))
    worst = max(errors)
    return worst if worst == worst else float("inf")  # NaN is no number at all


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which networks run in the `precision` of `device`."""
    import torch

    dtype = precision(device)
    if dtype is torch.float32:
        return nullcontext()
    if device.type == "cpu" and torch.is_grad_enabled():
        from .shallow import bfloat16_with_gradients

        return bfloat16_with_gradients(device)
    return torch.autocast(device.type, dtype)


def channels_last(module: torch.nn.Module) -> None:
    """Lay the weights of 3D convolutions out channels last; those in 2D stay as they are."""
    import torch

    for parameter in module.parameters():
        if parameter.ndim == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)


def memory_in_use(device: torch.device) -> int:
    """Return the bytes that this program holds on a device; on a CPU, of the main memory."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.memory_reserved(device))
    if device.type == "mps":
        return int(torch.mps.driver_allocated_memory())
    import psutil

    return int(psutil.Process().memory_info().rss)
