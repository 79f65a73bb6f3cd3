"""bfloat16 is tried before it is used; where it is broken, float32 is, and the user is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn import functional

from napari_llcm.events import Notice
from napari_llcm.models import device as device_module
from napari_llcm.models.device import bfloat16_error, precision, precision_notices
from stains import make_model, make_volume, staining

pytestmark = pytest.mark.versions
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def untried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with bfloat16 that has not been tried yet."""
    monkeypatch.setattr(device_module, "_has_bfloat16", lambda _: True)
    bfloat16_error.cache_clear()
    yield
    bfloat16_error.cache_clear()


def spoil(monkeypatch: pytest.MonkeyPatch, kind: str) -> list[int]:
    """Break the 3D convolution in bfloat16; return a list that grows with each call."""
    original, calls = functional.conv3d, list[int]()

    def conv3d(x: torch.Tensor, *arguments: Any, **more: Any) -> torch.Tensor:
        calls.append(1)
        result = original(x, *arguments, **more)
        if x.dtype is not torch.bfloat16 or kind == "sound":
            return result
        if kind == "raises":
            raise RuntimeError("no kernel")
        return result * (1.2 if kind == "wrong" else float("nan"))

    monkeypatch.setattr(functional, "conv3d", conv3d)
    return calls


def test_sound_bfloat16_is_used_and_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = spoil(monkeypatch, "sound")
    assert bfloat16_error(CPU) < 0.01
    tried = len(calls)
    assert precision(CPU) is torch.bfloat16
    assert precision_notices(CPU) == []
    assert len(calls) == tried


@pytest.mark.parametrize("kind", ["wrong", "nan", "raises"])
def test_broken_bfloat16_is_told_and_not_used(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    spoil(monkeypatch, kind)
    assert precision(CPU) is torch.float32
    assert "float32 is used" in precision_notices(CPU)[0]
    events = list(staining(make_volume((6, 20, 20)), make_model()))
    assert sum("float32 is used" in e.text for e in events if isinstance(e, Notice)) == 1
    assert events[-1].result["precision"] == "float32"
