"""Thick slices from thin ones and planes between thick ones: in number, in register, in value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_llcm.events import UserError
from napari_llcm.volumes import Volume
from napari_llcm.volumes.thick_slices import (
    ThickOptions,
    interpolated,
    positions_between,
    thicken,
)

SPACING = (1000.0, 700.0, 700.0)


def _thin(planes: int, seed: int = 0) -> Volume:
    data = np.random.default_rng(seed).normal(0, 100, (planes, 5, 6)).astype("f4")
    return Volume(data, SPACING, name="thin", origin=(7.0, 8.0, 9.0))


@pytest.mark.parametrize(
    ("thick", "thin", "ratio"),
    [(50, 300, 6), (37, 222, 6), (24, 144, 6), (24, 96, 4), (10, 25, 2.5)],
)
def test_exactly_the_slices_asked_for(thick: int, thin: int, ratio: float) -> None:
    volume = _thin(thin)
    made, truth = thicken(volume, ThickOptions(ratio=ratio))
    assert made.shape[0] == thick
    assert truth.shape[0] == thin
    assert made.spacing == pytest.approx((1000 * ratio, 700, 700))
    for order in ("linear", "cubic"):
        again = interpolated(made, thin, order)  # type: ignore[arg-type]
        assert again.shape == volume.shape
        assert again.spacing == pytest.approx(SPACING)
        assert again.origin == pytest.approx(volume.origin)
    assert len(positions_between(thick, thin)) == thin


def test_planes_that_fill_no_slice_are_left_out() -> None:
    made, truth = thicken(_thin(27), ThickOptions(ratio=6))
    assert (made.shape[0], truth.shape[0]) == (4, 24)
    np.testing.assert_array_equal(truth.numpy(), _thin(27).numpy()[:24])
    with pytest.raises(UserError, match="too few"):
        thicken(_thin(5), ThickOptions(ratio=6))


def test_a_slab_is_the_mean_of_its_planes_and_never_one_of_them() -> None:
    volume = _thin(24)
    made, _ = thicken(volume, ThickOptions(ratio=6))
    expected = volume.numpy().reshape(4, 6, 5, 6).mean(1)
    np.testing.assert_allclose(made.numpy(), expected, atol=1e-4)
    # a slice with gaps sees the planes in its middle: 3 of 6
    gaps, _ = thicken(volume, ThickOptions(ratio=6, thickness=0.5))
    middle = volume.numpy().reshape(4, 6, 5, 6)[:, 1:5]
    expected = np.einsum("skyx,k->syx", middle, np.array([0.5, 1, 1, 0.5]) / 3)
    np.testing.assert_allclose(gaps.numpy(), expected, atol=1e-4)
    # of planes that are all noise, a Gaussian as wide keeps 1/√(2 √π σ) of it
    noise, _ = thicken(_thin(1200), ThickOptions(ratio=6, profile="gaussian"))
    sigma = 6 / 2.3548
    assert noise.numpy()[5:-5].std() == pytest.approx(
        100 / np.sqrt(2 * np.sqrt(np.pi) * sigma), rel=0.03
    )


def test_each_slice_lies_in_the_middle_of_its_planes() -> None:
    turned = ((0.0, 0.6, 0.8), (1.0, 0.0, 0.0), (0.0, 0.8, -0.6))
    volume = _thin(24).replace(orientation=turned)
    made, thin = thicken(volume, ThickOptions(ratio=6))
    for j in range(4):
        middle = np.mean([thin.place((k, 2, 3)) for k in range(6 * j, 6 * j + 6)], axis=0)
        np.testing.assert_allclose(made.place((j, 2, 3)), middle)


def _edge(volume: Volume) -> np.ndarray:
    """Return where the edge lies in each plane, in pixels along x."""
    return np.asarray((1 - volume.numpy()).sum(2).mean(1))


@pytest.mark.parametrize("profile", ["slab", "gaussian", "measured"])
@pytest.mark.parametrize("ratio", [4, 5, 6, 2.5])
def test_a_tilted_edge_is_not_shifted(tmp_path: Path, profile: str, ratio: float) -> None:
    z, x = np.arange(60)[:, None, None], np.arange(90)[None, None, :]
    at = 10 + 1.1 * z  # where the edge crosses each plane, by area
    data = np.clip(x + 1 - at, 0, 1) * np.ones((1, 3, 1))
    volume = Volume(data.astype("f4"), SPACING, name="edge")
    if profile == "measured":  # of a scanner whose table lagged: off its middle, and skewed
        profile = str(tmp_path / "profile.csv")
        rows = [
            (u, max(1 - abs(u - 300) / (2000 if u > 300 else 3500), 0))
            for u in range(-4000, 4000, 50)
        ]
        np.savetxt(profile, rows, delimiter=",", header="um, sensitivity")
    made, _ = thicken(volume, ThickOptions(ratio=ratio, profile=profile))
    count = made.shape[0]
    middles = (np.arange(count) + 0.5) * 60 / count - 0.5
    inner = slice(2, -2)
    # a slice that takes half a plane cannot know which half of its edge: 0.05 planes
    near = 0.01 if ratio == int(ratio) else 0.06
    np.testing.assert_allclose(_edge(made)[inner], (10 + 1.1 * middles)[inner], atol=near)
    for order in ("linear", "cubic"):
        again = interpolated(made, 60, order)  # type: ignore[arg-type]
        inner = slice(int(3 * ratio), -int(3 * ratio))
        shift = _edge(again)[inner] - at[inner, 0, 0]
        np.testing.assert_allclose(shift, 0, atol=0.06)


def test_interpolation_goes_through_the_slices() -> None:
    made, _ = thicken(_thin(45), ThickOptions(ratio=5))
    for order in ("linear", "cubic"):
        again = interpolated(made, 45, order)  # type: ignore[arg-type]
        np.testing.assert_allclose(again.numpy()[2::5], made.numpy(), atol=1e-2)
    between = positions_between(9, 45)
    np.testing.assert_allclose(between[2:7], [0, 0.2, 0.4, 0.6, 0.8], atol=1e-6)
    half = made.numpy()[1] * 0.6 + made.numpy()[2] * 0.4
    np.testing.assert_allclose(interpolated(made, 45).numpy()[9], half, atol=1e-3)
    # an even ratio: no plane lies on a slice
    np.testing.assert_allclose(positions_between(3, 12)[:4], [0.625, 0.875, 0.125, 0.375])


def test_noise_is_drawn_by_its_seed_and_whole_numbers_stay_whole() -> None:
    flat = Volume(np.full((60, 40, 40), -700, "i2"), SPACING, name="air")
    one, _ = thicken(flat, ThickOptions(noise=20, seed=1))
    same, _ = thicken(flat, ThickOptions(noise=20, seed=1))
    other, _ = thicken(flat, ThickOptions(noise=20, seed=2))
    assert one.dtype == np.int16
    np.testing.assert_array_equal(one.numpy(), same.numpy())
    assert (one.numpy() != other.numpy()).mean() > 0.9
    assert one.numpy().std() == pytest.approx(20, rel=0.05)
    assert one.metadata["thick_slices"]["noise"] == 20


def test_where_there_is_no_data_none_is_made_up() -> None:
    data = _thin(24).numpy().copy()
    data[6:12, 0] = np.nan
    data[:, :, 0] = np.nan
    made, _ = thicken(_thin(24).replace(data=data), ThickOptions())
    hidden = np.isnan(made.numpy())
    assert hidden[:, :, 0].all()
    assert hidden[1, 0].all()
    assert not hidden[0, 0, 1:].any()
    again = np.isnan(interpolated(made, 24).numpy())
    assert again[6:12, 0].all()
    assert not again[:, 1:, 1:].any()


@pytest.mark.parametrize(
    ("text", "words"),
    [("a,b\n", "no slice profile"), ("0,1\n", "two lines"), ("0,0\n1,0\n", "0 thr")],
)
def test_a_file_that_is_no_profile(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "profile.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        thicken(_thin(12), ThickOptions(profile=str(path)))
    with pytest.raises(UserError, match="choose slab, gaussian"):
        thicken(_thin(12), ThickOptions(profile="box"))
