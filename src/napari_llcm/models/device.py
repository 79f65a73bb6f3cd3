"""Where networks run, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from ..events import UserError

if TYPE_CHECKING:
    import torch

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
    the preconditioner spans 1e-3 to 1e2.
    """
    import torch

    native = False
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        # older torch does not tell what the processor can do, and gets float32
        known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        native = bool(known.get("amx_bf16") or known.get("avx512_bf16"))
    return torch.bfloat16 if native else torch.float32


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which networks run in the `precision` of `device`."""
    import torch

    dtype = precision(device)
    return nullcontext() if dtype is torch.float32 else torch.autocast(device.type, dtype)


def memory_in_use(device: torch.device) -> int:
    """Return the bytes that this program holds on a device; on a CPU, of the main memory."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.memory_reserved(device))
    if device.type == "mps":
        return int(torch.mps.driver_allocated_memory())
    import psutil

    return int(psutil.Process().memory_info().rss)
