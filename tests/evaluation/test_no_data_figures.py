"""Voxels without data take no part in figures, in the nuclei that are counted, or in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_llcm.evaluation import image_metrics
from napari_llcm.events import Notice, result_of
from napari_llcm.nuclei import compare_nuclei
from napari_llcm.nuclei.features import measure
from napari_llcm.nuclei.scale import estimate_diameter, normalise, readable_image
from napari_llcm.specimen import Specimen, make_specimen
from napari_llcm.tasks.normalise import dapi_scaling, noise_level, qpi_scaling
from napari_llcm.training.reading import Normalised, ReadPair
from napari_llcm.volumes import Pair, Volume, find_no_data, write

INSIDE = (slice(None), slice(10, -10), slice(10, -10))


@pytest.fixture(scope="module")
def field() -> Specimen:
    return make_specimen(size=(24, 112, 112), seed=3, difficulty="easy")


def _framed(volume: Volume, value: float) -> Volume:
    data = np.full_like(volume.numpy(), value)
    data[INSIDE] = volume.numpy()[INSIDE]
    return volume.replace(data=data)


def test_scalings_and_noise_are_those_of_the_inner_part(field: Specimen) -> None:
    phase = _framed(field.qpi.replace(data=field.qpi.numpy() + np.float32(1.33)), 0).numpy()
    scaling, inner = qpi_scaling(phase), qpi_scaling(phase[INSIDE])
    assert scaling == inner
    noise = noise_level(phase, scaling, find_no_data(Volume(phase)))
    assert noise == pytest.approx(noise_level(phase[INSIDE], inner), rel=0.05)
    dapi = _framed(field.dapi, 65535).numpy()
    assert dapi_scaling(dapi) == dapi_scaling(dapi[INSIDE])


def test_image_metrics_are_those_of_the_inner_part(field: Specimen) -> None:
    rng = np.random.default_rng(0)
    truth = _framed(field.dapi.replace(data=field.dapi.numpy().astype(np.float32)), np.nan)
    stain = field.dapi.numpy() + rng.normal(0, 30, field.dapi.shape)
    whole = image_metrics(truth, stain)
    inner = image_metrics(truth.numpy()[INSIDE], stain[INSIDE])
    for name in ("psnr", "pearson", "nrmse", "data_range"):
        assert whole[name] == pytest.approx(inner[name], rel=1e-6)
    assert whole["ssim"] == pytest.approx(inner["ssim"], abs=0.02)


def test_a_frame_changes_neither_diameter_nor_brightness(field: Specimen) -> None:
    framed, inner = (
        readable_image(v)
        for v in (_framed(field.dapi, 0), field.dapi.replace(data=field.dapi.numpy()[INSIDE]))
    )
    np.testing.assert_allclose(normalise(framed)[INSIDE], normalise(inner), atol=1e-5)
    np.testing.assert_array_equal(normalise(framed)[:, 9, 10:-10], normalise(framed)[:, 11, 10:-10])
    assert estimate_diameter(framed) == pytest.approx(estimate_diameter(inner), rel=0.1)


def test_nuclei_where_the_real_stain_has_no_data_are_not_made_up(field: Specimen) -> None:
    dead = field.dapi.numpy().copy()
    dead[:14] = 0
    job = list(
        compare_nuclei(
            field.dapi.replace(data=dead, name="real"), field.dapi, segmenter="classical"
        )
    )
    counts = job[-1].value.counts  # type: ignore[union-attr]
    assert counts.truth > 3
    assert counts.hallucinated <= 1  # one that is cut by the last dead plane
    told = [e.text for e in job if isinstance(e, Notice)]
    assert any("planes 0 to 13, 0 throughout" in text for text in told)
    blind = result_of(compare_nuclei(field.dapi, field.dapi, segmenter="classical"))
    assert blind.counts.truth > counts.truth


def test_what_is_measured_of_nuclei_stays_finite(field: Specimen) -> None:
    phase = _framed(field.qpi, np.nan).numpy()
    _, features = measure(field.labels.numpy(), field.dapi.numpy(), phase, field.qpi.spacing)
    assert all(np.isfinite(values).all() for values in features.values())


def test_a_pair_with_holes_is_mirrored_in_both_and_told(field: Specimen, tmp_path: Path) -> None:
    dapi = field.dapi.numpy().copy()
    dapi[20:] = 0
    write(tmp_path / "qpi" / "a.ome.tif", _framed(field.qpi, np.nan))
    write(tmp_path / "dapi" / "a.ome.tif", field.dapi.replace(data=dapi))
    read = ReadPair(None)(
        Pair("a", (tmp_path / "qpi" / "a.ome.tif",), (tmp_path / "dapi" / "a.ome.tif",))
    )
    item = Normalised()(read)
    assert len(item["told"]) == 2
    for name in ("inputs", "outputs"):
        assert np.isfinite(item[name]).all()
        np.testing.assert_array_equal(item[name][0, 20], item[name][0, 18])
        np.testing.assert_array_equal(item[name][0, :20, 9, 10:-10], item[name][0, :20, 11, 10:-10])
    valid = (slice(20), *INSIDE[1:])
    expected = qpi_scaling(field.qpi.numpy()[valid])
    assert item["scalings"]["qpi"].tolist() == pytest.approx(
        [expected.low, expected.high], rel=1e-5
    )
