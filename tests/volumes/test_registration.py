"""Registered, shifted and unrelated pairs are told apart; grids are left and found again."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from napari_llcm import Stainer
from napari_llcm.events import UserError
from napari_llcm.specimen import make_specimen
from napari_llcm.volumes import Volume, apply_shift, check_registration, resample

SHIFT = (1, 3, -5)
MARGIN = 5


@cache
def _specimen(seed: int) -> tuple[Volume, Volume]:
    specimen = make_specimen(size=(40, 160, 160), seed=seed, difficulty="medium")
    return specimen.qpi, specimen.dapi


def _inner(volume: Volume, shift: tuple[int, int, int] = (0, 0, 0)) -> Volume:
    """Cut a field out of a larger one, so that a shift brings in true tissue."""
    start = [MARGIN + s for s in shift]
    size = [n - 2 * MARGIN for n in volume.shape]
    cut = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    return volume.replace(data=volume.numpy()[cut])


@pytest.mark.versions
def test_a_registered_pair() -> None:
    qpi, dapi = _specimen(1)
    result = check_registration(_inner(qpi), _inner(dapi))
    assert result.verdict == "registered"
    assert np.abs(result.shift[1:]).max() < 1
    assert "µm" in result.sentence


@pytest.mark.versions
@pytest.mark.parametrize("sign", [1, -1], ids=["bright in phase", "dark in phase"])
def test_a_shifted_pair_is_measured_and_mended(sign: int) -> None:
    qpi, dapi = _specimen(1)
    fixed = _inner(qpi.replace(data=sign * qpi.numpy()))
    moving = _inner(dapi, SHIFT)
    result = check_registration(fixed, moving)
    assert result.verdict == "shifted"
    np.testing.assert_allclose(result.shift[1:], SHIFT[1:], atol=1)
    np.testing.assert_allclose(result.shift[0], SHIFT[0], atol=2)
    assert f"{result.shift[2]:+.1f}" in result.sentence
    assert len(result.local) > 1
    mended = apply_shift(moving, result.shift)
    assert mended.dtype == moving.dtype
    assert check_registration(fixed, mended).verdict == "registered"


@pytest.mark.parametrize("seed", [1, 5, 6])
def test_a_field_whose_halves_are_shifted_apart(seed: int) -> None:
    qpi, dapi = _specimen(seed)
    torn = dapi.numpy().copy()
    torn[:, :, 80:] = np.roll(torn, 8, axis=1)[:, :, 80:]
    assert check_registration(qpi, dapi).verdict == "registered"
    assert check_registration(qpi, dapi.replace(data=torn)).verdict == "distorted"


def test_blank_parts_of_a_field_tell_nothing() -> None:
    padded = [v.replace(data=np.pad(v.numpy(), ((0, 0), (0, 0), (0, 320)))) for v in _specimen(1)]
    result = check_registration(*padded)
    assert result.verdict == "registered"
    assert 0 in [part.score for part in result.local]


@pytest.mark.parametrize("seeds", [(1, 2), (2, 1)])
def test_an_unrelated_pair(seeds: tuple[int, int]) -> None:
    result = check_registration(_specimen(seeds[0])[0], _specimen(seeds[1])[1])
    assert result.verdict in ("unrelated", "unclear")


@pytest.mark.parametrize("difficulty", ["easy", "medium"])
@pytest.mark.parametrize("seed", [500, 503, 507])
def test_a_field_of_few_nuclei_is_never_called_shifted(seed: int, difficulty: Any) -> None:
    made = make_specimen(size=(24, 96, 96), seed=seed, difficulty=difficulty)
    assert check_registration(made.qpi, made.dapi).verdict in ("registered", "unclear")


def test_a_shift_along_z_is_measured_or_not_clear() -> None:
    """It was said to be -3.4 voxels."""
    made = make_specimen(size=(24, 96, 96), seed=20000, difficulty="easy", spacing=(0.8, 0.5, 0.4))
    assert check_registration(made.qpi, made.dapi).verdict in ("registered", "unclear")


def test_a_mirrored_pair_is_told_as_such() -> None:
    qpi, dapi = _specimen(1)
    result = check_registration(qpi, dapi.replace(data=dapi.numpy()[:, :, ::-1]))
    assert result.verdict == "unrelated"
    assert "mirrored along x" in result.sentence


def test_the_virtual_stain_tells_more_than_phase() -> None:
    made = make_specimen(size=(24, 112, 112), seed=7001, difficulty="medium")
    cut = (slice(None), slice(8, -8), slice(8, -8))
    moved = (slice(None), slice(14, -2), slice(8, -8))
    fixed, moving, dapi = (
        v.replace(data=v.numpy()[c])
        for v, c in ((made.qpi, cut), (made.dapi, moved), (made.dapi, cut))
    )
    stain = Stainer(device="cpu").stain(fixed)
    assert check_registration(fixed, dapi, stain=stain).verdict == "registered"
    result = check_registration(fixed, moving, stain=stain)
    assert result.score > check_registration(fixed, moving).score
    assert result.verdict == "shifted"
    np.testing.assert_allclose(np.array(result.shift), (0, 6, 0), atol=0.7)


@pytest.mark.parametrize("hole", ["NaN", "0", "planes"])
def test_voxels_without_data_take_no_part(hole: str) -> None:
    qpi, dapi = _specimen(1)
    frame = np.ones(qpi.shape, bool)
    frame[:, 14:-14, 14:-14] = False
    if hole == "planes":
        frame = np.zeros(qpi.shape, bool)
        frame[33:] = True
    value = np.float32(np.nan if hole == "NaN" else 0)
    phase = qpi.replace(data=np.where(frame, value, qpi.numpy() + np.float32(1.33)))
    result = check_registration(phase, dapi)
    assert result.verdict == "registered"
    assert "hold no data" in result.notes[0]
    shifted = dapi.replace(data=np.roll(dapi.numpy(), (-6, 8), (1, 2)))
    result = check_registration(phase, shifted)
    assert result.verdict == "shifted"
    np.testing.assert_allclose(result.shift[1:], (6, -8), atol=1)


def test_noise_is_no_registration() -> None:
    rng = np.random.default_rng(0)
    volumes = [Volume(rng.random((16, 64, 64), np.float32)) for _ in range(2)]
    assert check_registration(*volumes).verdict in ("unrelated", "unclear")


def test_the_figure_shows_both_and_the_verdict() -> None:
    qpi, dapi = (_inner(v) for v in _specimen(1))
    result = check_registration(qpi, dapi)
    axes = result.figure().axes[0]
    assert axes.get_title() == result.sentence
    assert axes.images[0].get_array().shape == (*qpi.shape[1:], 3)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(UserError, match="one shape"):
        check_registration(Volume(np.zeros((4, 8, 8))), Volume(np.zeros((4, 8, 9))))


def test_apply_shift_moves_whole_voxels_exactly() -> None:
    data = np.random.default_rng(0).integers(0, 999, (6, 9, 9), np.uint16)
    moved = apply_shift(Volume(data), (1, 0, -2)).numpy()
    np.testing.assert_array_equal(moved[1:, :, :-2], data[:-1, :, 2:])
    assert np.unique(moved[0]) == round(np.median(data))
    labels = apply_shift(Volume(data), (0.6, 0, 0), order=0).numpy()
    assert set(np.unique(labels)) <= {0, *np.unique(data)}


def _wave(spacing: tuple[float, float, float], shape: tuple[int, int, int]) -> Volume:
    """Sample one smooth function of the position in µm, from the outer face on."""
    z, y, x = ((np.arange(n) + 0.5) * s for n, s in zip(shape, spacing, strict=True))
    wave: Callable[..., np.ndarray] = np.sin
    data = wave(z / 8)[:, None, None] + wave(y / 9)[:, None] + wave(x / 7)
    origin = tuple(s / 2 for s in spacing)
    return Volume(data.astype(np.float32), spacing, origin=(origin[0], origin[1], origin[2]))


def test_resampling_keeps_every_structure_in_its_place() -> None:
    fine = _wave((1.0, 0.5, 0.5), (24, 60, 61))
    coarse = resample(fine, (1.6, 0.8, 0.6))
    assert coarse.spacing == (1.6, 0.8, 0.6)
    expected = _wave((1.6, 0.8, 0.6), coarse.shape)
    np.testing.assert_allclose(coarse.origin, expected.origin)
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(coarse.numpy()[inner], expected.numpy()[inner], atol=0.03)


def test_resampled_labels_stay_labels() -> None:
    labels = np.random.default_rng(0).choice([0, 7, 900], (8, 20, 20)).astype(np.uint16)
    result = resample(Volume(labels, (1.0, 0.5, 0.5)), (1.3, 0.7, 0.7), order=0)
    assert result.dtype == np.uint16
    assert set(np.unique(result.numpy())) == {0, 7, 900}


def test_resampling_needs_a_spacing() -> None:
    with pytest.raises(UserError, match="voxel size"):
        resample(Volume(np.zeros((4, 8, 8))), (1, 1, 1))
