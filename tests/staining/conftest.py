"""A stainer with random weights, and float32 for every test of staining."""

from __future__ import annotations

import pytest
import torch

from napari_llcm.models import ModelBundle
from stains import make_model


@pytest.fixture(scope="module")
def model() -> ModelBundle:
    return make_model()


@pytest.fixture(autouse=True)
def full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare in float32, so that only seams could make a difference."""
    for name in ("models.device", "staining.pipeline", "staining.tiled", "staining.stainer"):
        monkeypatch.setattr(f"napari_llcm.{name}.precision", lambda device: torch.float32)
