"""The halo that is enough in bfloat16: what it costs, what it saves, and where the whole is kept.

In float32 a tile is what the whole volume gives, but for the rounding of float32 (1e-4 of the
largest value, as everywhere in these tests). In bfloat16 two computations of one tile differ by
its rounding, whatever their halo; what the shorter halo adds has to stay below that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from napari_llcm.models import ModelBundle, find_model, load_bundle
from napari_llcm.models.halo_errors import halo_errors, measure_reach
from napari_llcm.models.reach import Reach
from napari_llcm.specimen import make_specimen
from napari_llcm.staining import Canvas, Tiling
from napari_llcm.staining.tiled import LocalPipeline
from napari_llcm.tasks.normalise import qpi_scaling
from napari_llcm.volumes import Volume
from stains import difference, make_volume, run, stained, staining

SHIPPED = ("specimen-v6", "universal-v1")
NEAR = Reach(unet=(2, 2, 2), decoder=(1, 1, 1))
TILING = Tiling((8, 32, 32), (8, 32, 32))


@pytest.fixture
def bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("models.device", "staining.pipeline", "staining.tiled", "staining.stainer"):
        monkeypatch.setattr(f"napari_llcm.{name}.precision", lambda device: torch.bfloat16)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The latent sites of each window that the U-Net runs on."""
    sizes: list[int] = []
    denoise = LocalPipeline.denoise

    def counted(self: LocalPipeline, block: Any, step: int) -> None:
        sizes.append(int(np.prod([b - a for a, b in self.features_window(block)])))
        denoise(self, block, step)

    monkeypatch.setattr(LocalPipeline, "denoise", counted)
    return sizes


def of_reach(model: ModelBundle, reach: Reach | None) -> ModelBundle:
    info = model.info.model_copy(update={"reach": reach})
    return ModelBundle(info, model.networks, model.source)


def inputs(shape: tuple[int, int, int]) -> torch.Tensor:
    made = make_specimen(shape, 4, "medium").qpi
    scaled = qpi_scaling(made.data).apply(made.numpy())
    return torch.from_numpy(scaled.astype(np.float32))[None, None]


def painted(volume: Volume, model: ModelBundle, **options: Any) -> np.ndarray:
    canvas = Canvas(np.zeros(volume.shape, np.float32))
    run(staining(volume, model, out=canvas, check=False, **options))
    return canvas.array


@pytest.mark.usefixtures("bfloat16")
def test_a_known_reach_saves_arithmetic_where_somebody_watches(
    model: ModelBundle, computed: list[int]
) -> None:
    volume, near = make_volume((8, 96, 96)), of_reach(model, NEAR)

    def sites(work: Any, model: ModelBundle, **options: Any) -> int:
        computed.clear()
        work(volume, model, tiling=TILING, **options)
        return sum(computed)

    whole = sites(painted, model)
    assert sites(painted, near) < 0.6 * whole
    assert sites(painted, near, steps=2) >= 2 * whole  # measured is what one step hears
    assert sites(stained, near) == sites(stained, model)  # a file can be gone on with to the bit


def test_float32_keeps_the_whole_halo(model: ModelBundle, computed: list[int]) -> None:
    volume = make_volume((8, 96, 96))
    whole = stained(volume, model)
    computed.clear()
    assert difference(painted(volume, of_reach(model, NEAR), tiling=TILING), whole) < 1e-4
    halves = sum(computed)
    computed.clear()
    painted(volume, model, tiling=TILING)
    assert sum(computed) == halves


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.usefixtures("bfloat16")
def test_the_reach_of_shipped_models_is_below_the_rounding_of_bfloat16(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_bundle(find_model(name))
    assert model.info.reach is not None
    assert max(model.info.reach.unet[1:]) < 30
    qpi = make_specimen((8, 160, 160), 5, "medium").qpi
    one = Tiling((1000,) * 3, (1000,) * 3)
    small = Tiling((8, 48, 48), (8, 48, 48))
    whole = painted(qpi, of_reach(model, None), tiling=one)
    parts = painted(qpi, model, tiling=small)
    with monkeypatch.context() as patch:
        for module in ("models.device", "staining.pipeline", "staining.tiled"):
            patch.setattr(f"napari_llcm.{module}.precision", lambda device: torch.float32)
        right = painted(qpi, model, tiling=one)

    def rms(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sqrt(np.mean((a - b) ** 2)) / right.std())

    assert 0 < rms(parts, whole) < rms(whole, right)
    assert rms(parts, right) < 1.1 * rms(whole, right)
    assert np.abs(parts - right).max() < 1.5 * np.abs(whole - right).max()


def test_the_reach_is_measured_or_left_open() -> None:
    model = load_bundle(find_model("specimen-v6"))
    stack = inputs((8, 112, 112))
    reach = measure_reach(model.info, model.networks, [stack])
    assert reach is not None
    assert 8 <= reach.unet[1] <= 20
    assert 3 <= reach.decoder[1] <= 7
    unet, decoder = halo_errors(model.info, model.networks, stack)
    for errors, enough in ((unet, reach.unet), (decoder, reach.decoder)):
        (used,) = [e for e in errors.halos if e.halo == enough]
        assert used.rms < errors.rounding.rms
        assert used.largest < errors.rounding.largest
        shorter = [e for e in errors.halos if e.halo[1] < enough[1]]
        assert shorter[0].rms > errors.rounding.rms  # what is too short is worse
    # along an axis that is too short to tell, the whole halo is kept; so it is of a small stack
    assert reach.unet[0] == 38
    none = measure_reach(model.info, model.networks, [stack[..., :32, :32]])
    assert none == Reach(unet=(38, 38, 38), decoder=(9, 7, 7))
    assert measure_reach(model.info, model.networks, []) is None
