"""Voxels without data are told from data that happens to have one value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, rotate

from napari_llcm.specimen import Specimen, make_specimen
from napari_llcm.volumes import FilledStack, NoData, Volume, find_no_data

WIDTH = 8  # voxels of a frame


@pytest.fixture(scope="module")
def field() -> Specimen:
    return make_specimen(size=(16, 80, 96), seed=20000, difficulty="easy")


def _frame(data: np.ndarray, value: float, width: int = WIDTH) -> np.ndarray:
    framed = np.full_like(data, value)
    inside = (..., slice(width, -width), slice(width, -width))
    framed[inside] = data[inside]
    return framed


def _planes(data: np.ndarray, value: float, *planes: int) -> np.ndarray:
    dead = data.copy()
    dead[list(planes)] = value
    return dead


def _box(data: np.ndarray, value: float, *box: slice) -> np.ndarray:
    changed = data.copy()
    changed[box] = value
    return changed


def _round(data: np.ndarray, value: float) -> np.ndarray:
    y, x = np.mgrid[: data.shape[1], : data.shape[2]]
    inside = (y - 39.5) ** 2 + (x - 47.5) ** 2 < 38**2
    return np.where(inside, data, np.asarray(value, data.dtype))


FRAME = 1 - (80 - 2 * WIDTH) * (96 - 2 * WIDTH) / (80 * 96)
CORNER = (slice(None), slice(12), slice(12))
HOLES: dict[str, tuple[Callable[[Specimen], np.ndarray], float | None, str]] = {
    "zeros around phase of 1.33": (
        lambda s: _frame(s.qpi.numpy() + np.float32(1.33), 0),
        FRAME,
        "the value 0 in a frame",
    ),
    "zeros around phase below 0": (
        lambda s: _frame(s.qpi.numpy() - np.float32(0.2), 0),
        FRAME,
        "the value 0 in a frame",
    ),
    "NaN": (lambda s: _frame(s.qpi.numpy(), np.nan), FRAME, "NaN .* in a frame"),
    "a frame of one voxel": (lambda s: _frame(s.qpi.numpy(), 0, 1), 348 / 7680, "in a frame"),
    "a hot corner": (
        lambda s: _box(s.qpi.numpy(), 1e6, *CORNER),
        144 / 7680,
        "corner at the top left",
    ),
    "planes at the end": (
        lambda s: _planes(s.qpi.numpy(), 0, 13, 14, 15),
        3 / 16,
        "planes 13 to 15, 0",
    ),
    "a dead plane of DAPI": (lambda s: _planes(s.dapi.numpy(), 0, 4), 1 / 16, "plane 4, 0"),
    "a plane of NaN": (lambda s: _planes(s.qpi.numpy(), np.nan, 4), 1 / 16, "plane 4, NaN"),
    "zeros around DAPI": (lambda s: _frame(s.dapi.numpy(), 0), FRAME, "in a frame"),
    "65535 around DAPI": (lambda s: _frame(s.dapi.numpy(), 65535), FRAME, "value 65535 in a frame"),
    "a white corner of counts": (
        lambda s: _box(s.dapi.numpy(), 65535, *CORNER),
        144 / 7680,
        "corner at the top left",
    ),
    "8 bit": (lambda s: _frame(_grey(s.qpi.numpy(), 255), 0), FRAME, "in a frame"),
    "a chunk that is missing": (
        lambda s: _box(s.dapi.numpy(), 0, slice(4, 8), slice(20, 40), slice(30, 60)),
        4 * 20 * 30 / (16 * 7680),
        "inside the field",
    ),
    "a round field": (lambda s: _round(s.dapi.numpy(), 0), None, "in a frame"),
    "a turned field": (
        lambda s: rotate(s.qpi.numpy() + 1.33, 15, (1, 2), reshape=False, order=1),
        None,
        "in a frame",
    ),
    "three voxels": (
        lambda s: _box(s.qpi.numpy(), np.nan, 3, 5, slice(3)),
        3 / 122880,
        "scattered",
    ),
}


def _grey(data: np.ndarray, levels: int) -> np.ndarray:
    low, high = data.min(), data.max()
    return ((data - low) / (high - low) * levels).astype(np.uint8)


def _smooth_dapi(s: Specimen) -> np.ndarray:
    return gaussian_filter(s.dapi.numpy().astype(np.float32), 1.5)


DATA: dict[str, Callable[[Specimen], np.ndarray]] = {
    "phase": lambda s: s.qpi.numpy(),
    "DAPI": lambda s: s.dapi.numpy(),
    "saturated nuclei": lambda s: np.clip(
        (s.dapi.numpy() - 100.0) / (np.percentile(s.dapi.numpy(), 97) - 100) * 255, 0, 255
    ).astype(np.uint8),
    "nuclei that saturate wholly": lambda s: np.where(
        s.labels.numpy() > 0, 65535, s.dapi.numpy() * 20
    ).astype(np.uint16),
    "background clipped to 0": lambda s: np.clip(
        s.dapi.numpy().astype(int) - int(np.median(s.dapi.numpy())), 0, None
    ).astype(np.uint16),
    "background thresholded": lambda s: np.where(
        _smooth_dapi(s) > np.percentile(_smooth_dapi(s), 85), _smooth_dapi(s), 0
    ),
    "labels": lambda s: s.labels.numpy(),
    "a mask": lambda s: (s.labels.numpy() > 0).astype(np.uint8) * 255,
    "few grey values": lambda s: _grey(gaussian_filter(s.qpi.numpy(), (1, 2, 2)), 12),
    "few photons": lambda s: (
        np.random.default_rng(0).poisson(0.03 + 20 * (s.labels.numpy() > 0)).astype(np.uint16)
    ),
}


@pytest.mark.parametrize("kind", HOLES)
def test_voxels_without_data_are_found(field: Specimen, kind: str) -> None:
    make, share, words = HOLES[kind]
    data = make(field)
    found = find_no_data(Volume(data, name="field"))
    assert found
    if share is not None:
        assert found.share == pytest.approx(share, rel=0.01)
        assert found.mask(data).mean() == pytest.approx(share, rel=0.01)
    assert re.search(words, found.sentence("field"))


@pytest.mark.parametrize("kind", DATA)
def test_data_of_one_value_stays_data(field: Specimen, kind: str) -> None:
    found = find_no_data(Volume(DATA[kind](field)))
    assert not found, found.where
    assert (found.masked > 0) == (
        kind in ("background thresholded", "labels", "a mask", "few grey values", "few photons")
    )


def test_a_part_has_the_mask_and_the_filling_of_the_whole(field: Specimen) -> None:
    data = _planes(_box(_round(field.qpi.numpy() + np.float32(1.33), 0), 1e6, *CORNER), 0, 5, 15)
    found = find_no_data(Volume(data))
    filled = FilledStack(data, found, 1.33, (0, 2))
    whole, mask = filled[:, :, :], found.mask(data)
    assert np.isfinite(whole).all()
    assert whole.min() > 1.2
    assert whole.max() < 1.5
    rng = np.random.default_rng(0)
    for _ in range(20):
        start = [int(rng.integers(n - 2)) for n in data.shape]
        box = [(a, int(rng.integers(a + 1, n + 1))) for a, n in zip(start, data.shape, strict=True)]
        cut = tuple(slice(a, b) for a, b in box)
        np.testing.assert_array_equal(found.mask(data, box), mask[cut])
        np.testing.assert_array_equal(filled[cut], whole[cut])


def test_a_hole_mirrors_what_lies_beyond_its_border() -> None:
    data = np.random.default_rng(0).normal(size=(6, 40, 40)).astype(np.float32)
    holes: Any = data.copy()
    holes[:, :8] = holes[2] = np.nan
    found = find_no_data(Volume(holes))
    assert found.planes == (2,)
    filled = FilledStack(holes, found, 0.0, (-9, 9))[:, :, :]
    np.testing.assert_array_equal(filled[0, :8], data[0, 16:8:-1])
    np.testing.assert_array_equal(filled[2, 8:], data[0, 8:])


def test_nothing_but_holes_is_not_told_as_a_number() -> None:
    assert not NoData()
    assert find_no_data(Volume(np.full((4, 20, 20), np.nan))).share == 1
