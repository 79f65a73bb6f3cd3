"""Voxels without data change nothing in the stain of the others, and stay empty."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_llcm import Stainer
from napari_llcm.events import Notice
from napari_llcm.models import ModelBundle
from napari_llcm.specimen import make_specimen
from napari_llcm.staining import Tiling
from napari_llcm.volumes import Volume, read, write
from stains import difference, make_volume, run, stained, staining

FRAME = np.ones((24, 96, 96), bool)
FRAME[:, 12:-12, 12:-12] = False
CORNER = np.zeros_like(FRAME)
CORNER[:, :12, :12] = True
PLANES = np.zeros_like(FRAME)
PLANES[20:] = True
HOT = np.random.default_rng(0).random(FRAME.shape) < 0.001

# the holes, what is in them, what is added to all phase, and whether they are told as holes
KINDS: dict[str, tuple[np.ndarray, float, float, bool]] = {
    "frame of 0, phase of 1.33": (FRAME, 0, 1.33, True),
    "frame of 0, phase below 0": (FRAME, 0, -0.2, True),
    "frame of NaN": (FRAME, np.nan, 0, True),
    "corner of 1e6": (CORNER, 1e6, 0, True),
    "planes of 0": (PLANES, 0, 1.33, True),
    "hot voxels": (HOT, 1e4, 0, False),
}


@pytest.fixture(scope="module")
def shipped() -> ModelBundle:
    return Stainer("specimen-v6", device="cpu").model  # knows what is stained here


@pytest.fixture(scope="module")
def clean(shipped: ModelBundle) -> tuple[Volume, np.ndarray]:
    """A specimen and its stain."""
    qpi = make_specimen(
        size=FRAME.shape, seed=20000, difficulty="easy", spacing=(0.8, 0.5, 0.5)
    ).qpi
    return qpi, run(staining(qpi, shipped))[0].value.numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_the_rest_is_stained_as_without_them(
    shipped: ModelBundle, clean: tuple[Volume, np.ndarray], kind: str
) -> None:
    holes, value, offset, told = KINDS[kind]
    qpi, expected = clean
    data = np.where(holes, np.float32(value), qpi.numpy() + np.float32(offset))
    finished, events = run(staining(qpi.replace(data=data), shipped))
    result = finished.value.numpy()
    assert np.corrcoef(result[~holes], expected[~holes])[0, 1] > 0.98
    notices = " ".join(e.text for e in events if isinstance(e, Notice))
    if told:
        assert not result[holes].any()
        assert "hold no data" in notices
        assert finished.value.metadata["no_data_share"] == pytest.approx(holes.mean(), rel=0.01)
    else:
        assert "brighter or darker" in notices
    assert "contrast" not in notices


def _holes(shape: tuple[int, int, int]) -> Volume:
    volume = make_volume(shape)
    data = volume.numpy().copy()
    data[:, :9, 5:] = data[3] = 0
    data[8:, 40:, 20:60] = np.nan
    return volume.replace(data=data)


@pytest.mark.parametrize(
    "tiling", [Tiling((8, 16, 16), (8, 16, 16)), Tiling((4, 32, 24), (16, 32, 32))]
)
def test_tiles_do_not_change_the_result(model: ModelBundle, tiling: Tiling) -> None:
    volume = _holes((12, 64, 80))
    whole = stained(volume, model)
    assert difference(stained(volume, model, tiling=tiling), whole) < 1e-4
    assert not whole[3].any()
    assert not whole[:, :9, 5:].any()
    assert not whole[8:, 40:, 20:60].any()


def test_samples_and_another_grid_stay_empty_too(model: ModelBundle) -> None:
    volume = _holes((12, 64, 80)).replace(spacing=(0.5, 0.3, 0.25))
    result = stained(volume, model, samples=2)
    assert np.isfinite(result).all()
    assert not result[:, 3].any()
    assert not result[:, :, :9, 5:].any()
    assert result[:, 0, 20:, :20].any()


def test_a_job_that_was_stopped_goes_on_exactly(model: ModelBundle, tmp_path: Path) -> None:
    write(tmp_path / "in.ome.zarr", _holes((12, 64, 80)))
    volume = read(tmp_path / "in.ome.zarr")
    tiling = Tiling((8, 16, 16), (8, 16, 16))
    whole = stained(volume, model)
    seen: list[object] = []

    def stop() -> bool:
        return len(seen) > 4

    for event in staining(
        volume, model, out=tmp_path / "out.ome.zarr", tiling=tiling, should_stop=stop
    ):
        seen += [event] if event.kind == "tile" else []
    stained(volume, model, out=tmp_path / "out.ome.zarr", tiling=tiling)
    assert difference(read(tmp_path / "out.ome.zarr").numpy(), whole) < 1e-4


def test_a_large_stack_is_not_scaled_by_one_plane(model: ModelBundle) -> None:
    """Of planes of more than 8 million voxels one was looked at, the first."""
    from napari_llcm.tasks.normalise import qpi_scaling

    rng = np.random.default_rng(0)
    data = rng.normal(5, 1, (12, 100, 100)).astype(np.float32)
    data[0] = 0

    class Large:
        """Planes that are as large as they say, of which a corner is read."""

        shape, dtype = (12, 3000, 3000), data.dtype

        def __getitem__(self, z: int) -> np.ndarray:
            return np.tile(data[z], (30, 30))

    scaling = qpi_scaling(Large())
    assert scaling.low == pytest.approx(5, abs=0.1)
    assert scaling.high - scaling.low == pytest.approx(1.16, abs=0.1)
