"""A small model in the user's library, and small tiles, so that a stain takes a second."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from napari_llcm.gui.settings import remember
from napari_llcm.worker import Workers, workers


@pytest.fixture(autouse=True)
def no_worker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run jobs on a thread of this process, where tests can change what they do.

    Those that ask for `worker` have them run in a worker, as users do.
    """
    if "worker" not in request.fixturenames:
        monkeypatch.setattr(Workers, "run", lambda _, job, stop: job.make_job(stop))
        monkeypatch.setattr(Workers, "warm", lambda *_: None)
        monkeypatch.setattr(Workers, "end", lambda *_: True)


@pytest.fixture
def worker() -> Iterator[Workers]:
    """The workers, which end with the test: the next one has another home."""
    yield workers
    workers.end_all()


@pytest.fixture(scope="module", autouse=True)
def imports_are_no_garbage() -> None:
    """Leave what is imported out of the collections that napari makes after each viewer.

    They took 0.5 s of the 2 s that a viewer costs.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def small_model(own_home: Path) -> Path:
    """A model named "small", which the Stain panel starts with."""
    from napari_llcm.models import save_bundle
    from napari_llcm.models.library import user_folder
    from stains import make_model

    model = make_model()
    info = model.info.model_copy(update={"name": "small"})
    remember("stain", model="small")
    return save_bundle(user_folder() / "small", info, model.networks)


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 8 × 16 × 16 voxels, where the panel leaves their size to the core."""
    from napari_llcm.staining import Tiling, tiled

    tiling = Tiling((8, 16, 16), (16, 64, 96), (16, 64, 96))
    monkeypatch.setattr(tiled, "plan", lambda *_, **__: tiling)


@pytest.fixture
def slow_tiles(monkeypatch: pytest.MonkeyPatch) -> float:
    """Let each tile take a tenth of a second longer."""
    from napari_llcm.staining import tiled

    original = tiled.LocalPipeline.decode

    def decode(self: Any, tile: Any) -> Any:
        time.sleep(0.1)
        return original(self, tile)

    monkeypatch.setattr(tiled.LocalPipeline, "decode", decode)
    return 0.1
