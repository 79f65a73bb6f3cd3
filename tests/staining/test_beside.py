"""Reading and writing go on while the networks compute, and change nothing of the result."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch

from napari_llcm.events import Event, Tile, result_of
from napari_llcm.models import ConsistencyConfig, ModelBundle, ModelInfo
from napari_llcm.models.stainer import StainerNetworks
from napari_llcm.staining import StainOptions, Tiling, stain
from napari_llcm.staining.beside import FinishBehind, ReadAhead
from napari_llcm.staining.job import StainJob
from napari_llcm.tasks.normalise import Scaling
from napari_llcm.volumes import Volume
from tiny import NETWORK

OPTIONS = StainOptions(
    device="cpu", check=False, tiling=Tiling((8, 32, 32), (16, 64, 64), (8, 32, 32))
)


@pytest.fixture(scope="module")
def model() -> ModelBundle:
    torch.manual_seed(0)
    scalings = {"qpi": Scaling(low=0, high=1), "dapi": Scaling(low=0, high=1)}
    info = ModelInfo(name="tiny", network=NETWORK, scalings=scalings)
    return ModelBundle(info, StainerNetworks(NETWORK, ConsistencyConfig()).eval(), "tiny")


class Watched:
    """An array that knows which threads have read how much of it."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.dtype = values, values.shape, values.dtype
        self.ndim, self.read = values.ndim, dict[str, int]()

    def __getitem__(self, index: Any) -> np.ndarray:
        part = self.values[index]
        thread = threading.current_thread().name.rpartition("_")[0]
        self.read[thread] = self.read.get(thread, 0) + part.size
        return part


def _stack(missing: bool = False) -> np.ndarray:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(16, 64, 96)).astype(np.float32)
    if missing:
        values[:, 20:40, 20:40] = np.nan
    return values


def test_what_is_needed_next_is_read_beside_the_networks(model: ModelBundle) -> None:
    watched = Watched(_stack())
    stained = result_of(stain(Volume(watched), model, OPTIONS)).numpy()
    assert watched.read["read-ahead"] > watched.values.size  # all but the first tile, with halos
    assert np.array_equal(stained, result_of(stain(Volume(_stack()), model, OPTIONS)).numpy())


def test_a_stack_without_holes_is_not_read_again_to_look_for_them(model: ModelBundle) -> None:
    whole, holed = Watched(_stack()), Watched(_stack(missing=True))
    result_of(stain(Volume(whole), model, OPTIONS))
    stained = result_of(stain(Volume(holed), model, OPTIONS)).numpy()
    assert "finish-behind" not in whole.read
    assert holed.read["finish-behind"] == holed.values.size
    assert not stained[:, 20:40, 20:40].any()


def test_a_tile_that_cannot_be_kept_ends_the_job_and_those_before_stay(
    model: ModelBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = StainJob.keep, []

    def keep(self: StainJob, *given: Any, **more: Any) -> Any:
        calls.append(threading.current_thread().name)
        if len(calls) == 3:
            raise OSError("the disk is gone")
        return original(self, *given, **more)

    monkeypatch.setattr(StainJob, "keep", keep)
    events: list[Event] = []
    with pytest.raises(OSError, match="the disk is gone"):
        events.extend(stain(Volume(_stack()), model, OPTIONS))
    assert len([e for e in events if isinstance(e, Tile)]) == 2
    assert all(name.startswith("finish-behind") for name in calls)


def test_boxes_are_read_once_and_tiles_finished_in_order() -> None:
    read: list[Any] = []
    ahead = ReadAhead(lambda box: read.append(box) or box)
    one, two = ((0, 1),), ((1, 2),)
    ahead.expect(one)
    ahead.expect(one)
    assert ahead.take(one) == one
    assert ahead.take(two) == two  # not expected
    assert read == [one, two]
    ahead.close()
    behind = FinishBehind[int]()
    go = threading.Event()
    behind.add(lambda: int(go.wait(10)))
    assert list(behind.done(unfinished=1)) == []
    go.set()
    behind.add(lambda: 2)
    assert list(behind.done(unfinished=0)) == [1, 2]
    behind.close()
