"""Judges of planes between thick slices: what they count, in which window, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from napari_llcm.evaluation.image_metrics import NoContrast
from napari_llcm.evaluation.restoration import restoration_metrics
from napari_llcm.events import UserError
from napari_llcm.phantom import Phantom, make_phantom
from napari_llcm.volumes import Volume
from napari_llcm.volumes.hounsfield import HounsfieldWindow, body_mask
from napari_llcm.volumes.thick_slices import ThickOptions, interpolated, thicken

SPACING = (1000.0, 700.0, 700.0)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom((24, 64, 64), 4, spacing=(2000, 5600, 5600))


def _ct(data: np.ndarray, **fields: object) -> Volume:
    return Volume(data, SPACING, metadata={"unit": "HU"}, **fields)  # type: ignore[arg-type]


def test_a_window_goes_to_one_and_back() -> None:
    window = HounsfieldWindow()
    hu = np.array([-1000, -160, 40, 240, 3000, np.nan])
    np.testing.assert_allclose(window.apply(hu), [-1, -1, 0, 1, 1, np.nan])
    inside = np.linspace(-160, 240, 9)
    np.testing.assert_allclose(window.undo(window.apply(inside)), inside, atol=1e-3)
    lung = HounsfieldWindow(centre=-600, width=1500)
    assert lung.apply(-600) == 0
    with pytest.raises(ValueError, match="greater than 0"):
        HounsfieldWindow(width=0)


def test_figures_are_those_of_their_formulas() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(-100, 200, (14, 30, 30))
    made = truth + rng.normal(0, 10, truth.shape)
    found = restoration_metrics(_ct(truth), _ct(made), mask=np.ones(truth.shape, bool))
    assert found["mae"] == pytest.approx(np.abs(made - truth).mean())
    windowed = np.clip(made, -160, 240)
    error = ((windowed - truth) ** 2).mean()
    assert found["psnr"] == pytest.approx(10 * np.log10(400**2 / error), abs=1e-3)
    assert 0.5 < found["ssim"] < 1
    same = restoration_metrics(_ct(truth), _ct(truth), mask=np.ones(truth.shape, bool))
    assert (same["mae"], same["psnr"], same["ssim"]) == (0, 100, pytest.approx(1))


def test_beyond_the_window_only_the_mean_error_sees_a_difference() -> None:
    truth = np.random.default_rng(0).uniform(-100, 200, (12, 20, 20))
    truth[:, :10] = -900
    made = truth.copy()
    made[:, :10] = -700  # lung in either: both black
    found = restoration_metrics(_ct(truth), _ct(made), mask=np.ones(truth.shape, bool))
    assert found["psnr"] == 100
    assert found["mae"] == pytest.approx(100)
    lung = HounsfieldWindow(centre=-600, width=1500)
    wide = restoration_metrics(_ct(truth), _ct(made), mask=np.ones(truth.shape, bool), window=lung)
    assert wide["psnr"] < 25


def test_air_around_the_patient_counts_for_nothing(phantom: Phantom) -> None:
    body = body_mask(phantom.thin.numpy())
    tissue = phantom.tissue.numpy()
    assert body[tissue == 3].mean() > 0.99  # the lungs are part of it
    assert body[tissue == 0].mean() < 0.02
    made = phantom.thin.numpy().copy()
    made[~body] += 300
    found = restoration_metrics(phantom.thin, phantom.thin.replace(data=made))
    assert found["mae"] == 0
    assert found["counted"] == pytest.approx(body.mean(), abs=0.02)
    hidden = phantom.thin.numpy().astype("f4")
    hidden[3:6] = np.nan
    lost = restoration_metrics(phantom.thin, phantom.thin.replace(data=hidden))
    assert lost["psnr"] == 100
    assert lost["counted"] < found["counted"]


def test_cubic_beats_a_repetition_of_slices(phantom: Phantom) -> None:
    thick, thin = thicken(phantom.thin, ThickOptions(ratio=4))
    cubic = restoration_metrics(thin, interpolated(thick, 24, "cubic"))
    repeated = restoration_metrics(thin, thin.replace(data=np.repeat(thick.numpy(), 4, axis=0)))
    assert cubic["psnr"] > repeated["psnr"]
    assert cubic["mae"] < repeated["mae"]
    shifted = np.roll(interpolated(thick, 24, "cubic").numpy(), 1, axis=0)
    assert restoration_metrics(thin, thin.replace(data=shifted))["mae"] > cubic["mae"]


def test_microscopy_is_measured_on_its_own_range() -> None:
    truth = np.random.default_rng(0).gamma(2, 500, (12, 24, 24)).astype("f4")
    one = Volume(truth, SPACING, name="dapi")
    found = restoration_metrics(one, one.replace(data=truth + 50))
    low, high = np.percentile(truth, (0.1, 99.9))
    assert found["data_range"] == pytest.approx(high - low)
    assert found["psnr"] == pytest.approx(20 * np.log10((high - low) / 50), abs=0.01)
    assert found["counted"] == 1


def test_what_cannot_be_compared(phantom: Phantom) -> None:
    thin = phantom.thin
    with pytest.raises(UserError, match="one grid"):
        restoration_metrics(thin, thin.replace(data=thin.numpy()[1:]))
    z, y, x = thin.origin
    with pytest.raises(UserError, match=r"up to 0.5 voxels off"):
        restoration_metrics(thin, thin.replace(origin=(z + 1000, y, x)))
    with pytest.raises(UserError, match="shape"):
        restoration_metrics(thin, thin, mask=np.ones((2, 2, 2), bool))
    with pytest.raises(UserError, match="nothing is left"):
        restoration_metrics(thin, thin, mask=np.zeros(thin.shape, bool))
    with pytest.raises(UserError, match="no CT of a body"):
        restoration_metrics(*[_ct(np.full((8, 9, 9), -1000.0) + np.eye(9))] * 2)
    flat = Volume(np.full((12, 12, 12), 5.0) + 0, SPACING)
    with pytest.raises((NoContrast, UserError)):
        restoration_metrics(flat, flat)
