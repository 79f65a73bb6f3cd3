"""Specimens: known truth, real units, the same bytes for the same seed, files that pair."""

import json

import numpy as np
import pytest
from scipy import ndimage

from napari_llcm.events import Notice, Progress, UserError, result_of
from napari_llcm.specimen import (
    make_specimen,
    second_exposure,
    specimen_from_dapi,
    write_specimen,
    write_specimens,
)
from napari_llcm.specimen.difficulty import find_difficulty
from napari_llcm.specimen.grid import Grid
from napari_llcm.specimen.modalities import MODALITIES
from napari_llcm.specimen.transfer import oblique_transfer, transmission_transfer
from napari_llcm.volumes import find_pairs, read

SMALL = (24, 72, 72)


@pytest.fixture(scope="module")
def specimen():
    return make_specimen(SMALL, seed=3)


def test_same_arguments_same_bytes(specimen):
    again = make_specimen(SMALL, seed=3)
    other = make_specimen(SMALL, seed=4)
    for name in ("qpi", "dapi", "labels", "refractive_index", "photons"):
        first = getattr(specimen, name).numpy()
        assert first.tobytes() == getattr(again, name).numpy().tobytes()
        assert first.tobytes() != getattr(other, name).numpy().tobytes()
    assert specimen.nuclei == again.nuclei


def test_volumes_are_calibrated(specimen):
    assert specimen.qpi.dtype == np.float32
    assert specimen.dapi.dtype == np.uint16
    assert specimen.labels.dtype == np.uint16
    for volume in (specimen.qpi, specimen.dapi, specimen.labels, specimen.refractive_index):
        assert volume.shape == SMALL
        assert volume.spacing == (0.8, 0.5, 0.5)
        assert volume.metadata["simulated"] is True
        assert volume.metadata["unit"]


def test_the_table_tells_the_truth(specimen):
    labels = specimen.labels.numpy()
    assert [n.id for n in specimen.nuclei] == list(range(1, labels.max() + 1))
    for nucleus in specimen.nuclei:
        mask = labels == nucleus.id
        assert mask.sum() * 0.2 == pytest.approx(nucleus.volume)
        centre = (np.argwhere(mask).mean(0) + 0.5) * (0.8, 0.5, 0.5)
        assert nucleus.centre == pytest.approx(centre, abs=1e-6)
        assert nucleus.depth == nucleus.centre[0]


@pytest.mark.versions
@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
def test_every_labelled_nucleus_is_visible_in_dapi(difficulty):
    specimen = make_specimen(SMALL, seed=1, difficulty=difficulty)
    labels, dapi = specimen.labels.numpy(), specimen.dapi.numpy().astype(float)
    smooth = ndimage.gaussian_filter(dapi, (0.6, 1, 1))
    dark = smooth[ndimage.distance_transform_edt(labels == 0) > 8]
    level, noise = np.median(dark), 1.4826 * np.median(np.abs(dark - np.median(dark)))
    for nucleus in specimen.nuclei:
        assert (smooth[labels == nucleus.id].mean() - level) / noise > 3


def test_dapi_is_blind_where_there_is_no_nucleus(specimen):
    """Vacuoles, corpses and droplets show in phase alone."""
    far = ndimage.distance_transform_edt(specimen.labels.numpy() == 0, (0.8, 0.5, 0.5)) > 4
    assert specimen.photons.numpy()[far].max() < 15
    assert specimen.refractive_index.numpy()[far].max() > 1.35


def test_refractive_index_is_in_real_units():
    """As in a measured HL60 cell: medium 1.33, cytoplasm 1.36; some nuclei below it."""
    specimen = make_specimen(SMALL, seed=2, difficulty="hard")
    index, labels = specimen.refractive_index.numpy(), specimen.labels.numpy()
    assert np.median(index[labels > 0]) == pytest.approx(1.358, abs=0.006)
    assert 1.33 < index.min() < 1.337
    assert 1.40 < index.max() < 1.47
    contrasts = np.array([n.contrast for n in specimen.nuclei if n.kind == "interphase"])
    assert contrasts.min() < 0 < contrasts.max()
    assert np.abs(contrasts).max() <= 0.004


def test_difficulty_orders_contrast_and_crowding():
    easy, hard = (make_specimen(SMALL, seed=5, difficulty=d) for d in ("easy", "hard"))
    assert len(hard.nuclei) > len(easy.nuclei)
    contrast = [np.median([abs(n.contrast) for n in s.nuclei]) for s in (easy, hard)]
    assert contrast[0] > 2 * contrast[1]


def test_modalities_differ_in_unit_and_in_missing_frequencies():
    grid = Grid((32, 64, 64), (0.8, 0.5, 0.5))
    transmission = transmission_transfer(grid, MODALITIES["transmission"].optics)
    along_y, along_x = oblique_transfer(grid, MODALITIES["qobm"].optics)
    # a unit of index in all 32 planes of 0.8 µm: 2π · 25.6 / 0.56 rad; on the axis: missing cone
    assert transmission[0, 0, 0].real == pytest.approx(2 * np.pi * 25.6 / 0.56, rel=0.001)
    assert np.abs(transmission[1:, 0, 0]).max() < 1e-3 * np.abs(transmission[0, 0, 0])
    # differential contrast is blind to what does not change along its axis, and odd along it
    assert np.abs(along_x[:, :, 0]).max() < 1e-3 * np.abs(along_x).max()
    assert np.abs(along_y[:, 0, :]).max() < 1e-3 * np.abs(along_y).max()
    np.testing.assert_allclose(along_y[:, 1, 3], -along_y[:, -1, 3], atol=1e-3)
    assert make_specimen(SMALL, modality="transmission").qpi.metadata["unit"] == "rad"
    assert "index" in make_specimen(SMALL).qpi.metadata["unit"]


def test_phase_follows_the_index(specimen):
    index, phase = specimen.refractive_index.numpy(), specimen.qpi.numpy()
    assert np.corrcoef(index.ravel(), phase.ravel())[0, 1] > 0.5


def test_second_exposure_differs_by_noise_alone(specimen):
    again = second_exposure(specimen, seed=1)
    assert again.dtype == np.uint16
    assert not np.array_equal(again.numpy(), specimen.dapi.numpy())
    difference = again.numpy().astype(float) - specimen.dapi.numpy()
    shot = np.sqrt(2 * (specimen.photons.numpy() + 1.5**2)) * 4.0
    assert (difference / shot).std() == pytest.approx(1, abs=0.02)


@pytest.mark.versions
def test_files_pair_by_name_and_say_how_they_were_made(tmp_path):
    events = []
    names = result_of(write_specimens(tmp_path, 2, (8, 32, 32), 7, "hard"), events.append)
    assert names == ["hard-0007", "hard-0008"]
    assert [e.done for e in events if isinstance(e, Progress)] == [1, 2]
    result_of(write_specimens(tmp_path, 1, (8, 32, 32), 7, "easy"))
    assert [p.name for p in find_pairs(tmp_path)] == ["easy-0007", "hard-0007", "hard-0008"]
    table = json.loads((tmp_path / "specimens.json").read_text())
    assert sorted(table) == ["easy-0007", "hard-0007", "hard-0008"]
    for name, record in table.items():
        volumes = {k: read(tmp_path / k / f"{name}.ome.tif") for k in ("qpi", "dapi", "labels")}
        assert {v.spacing for v in volumes.values()} == {(0.8, 0.5, 0.5)}
        assert len(record["nuclei"]) == volumes["labels"].numpy().max()
        assert record["optics"]["wavelength"] == 0.72
    made = make_specimen((8, 32, 32), 7, "hard")
    np.testing.assert_array_equal(
        read(tmp_path / "qpi" / "hard-0007.ome.tif").numpy(), made.qpi.numpy()
    )


def test_writing_stops_and_does_not_overwrite(tmp_path):
    made = result_of(write_specimens(tmp_path, 5, (8, 32, 32), should_stop=iter([0, 1]).__next__))
    assert made == ["medium-0000"]
    with pytest.raises(UserError, match="exists already"):
        result_of(write_specimens(tmp_path, 1, (8, 32, 32)))
    result_of(write_specimens(tmp_path, 1, (8, 32, 32), overwrite=True))


def test_semi_synthetic_keeps_the_real_dapi(specimen, tmp_path):
    real = specimen.dapi.replace(metadata={}, name="embryo")
    made = specimen_from_dapi(real, specimen.labels, seed=2)
    np.testing.assert_array_equal(made.dapi.numpy(), real.numpy())
    np.testing.assert_array_equal(made.labels.numpy(), specimen.labels.numpy())
    assert made.qpi.shape == SMALL
    assert "semi-synthetic" in made.qpi.name
    assert made.qpi.metadata["semi_synthetic"] is True
    assert {n.kind for n in made.nuclei} == {"real"}
    paths = write_specimen(tmp_path, made, "embryo")
    assert read(paths["qpi"]).metadata["semi_synthetic"] is True
    (name,) = result_of(write_specimens(tmp_path, 1, dapi=real, labels=specimen.labels))
    assert name == "semi-synthetic-embryo-medium-0000"
    np.testing.assert_array_equal(read(tmp_path / "dapi" / f"{name}.ome.tif").numpy(), real.numpy())
    with pytest.raises(UserError, match="semi-synthetic"):
        second_exposure(made)


def test_semi_synthetic_lies_where_the_dapi_lies_and_tells_what_is_missing(specimen, tmp_path):
    data = specimen.dapi.numpy().astype(np.float32)
    data[3:5] = np.nan
    mirrored = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
    real = specimen.dapi.replace(data=data, origin=(5.0, 6.0, 7.0), orientation=mirrored)
    made = specimen_from_dapi(real, specimen.labels)
    for volume in (made.qpi, made.dapi, made.labels):
        assert (volume.origin, volume.orientation) == ((5.0, 6.0, 7.0), mirrored)
    told = [e.text for e in write_specimens(tmp_path, 1, dapi=real) if isinstance(e, Notice)]
    assert any("planes 3 to 4" in text for text in told)


def test_semi_synthetic_without_labels_finds_the_nuclei(specimen):
    made = specimen_from_dapi(specimen.dapi)
    true, found = specimen.labels.numpy(), made.labels.numpy()
    bright = [n for n in specimen.nuclei if n.kind == "interphase" and n.signal > 30]
    seen = [np.mean(found[true == n.id] > 0) > 0.5 for n in bright]
    assert np.mean(seen) > 0.9
    assert len(made.nuclei) == pytest.approx(len(specimen.nuclei), rel=0.4)


def test_mistakes_are_told_in_one_sentence(specimen):
    with pytest.raises(UserError, match="difficulty 'brutal'"):
        make_specimen(SMALL, difficulty="brutal")
    with pytest.raises(UserError, match="modality 'xray'"):
        make_specimen(SMALL, modality="xray")
    with pytest.raises(UserError, match="at least 8 voxels"):
        make_specimen((4, 64, 64))
    with pytest.raises(UserError, match="seed must be 0 or more"):
        make_specimen(SMALL, seed=-1)
    with pytest.raises(UserError, match="voxel size"):
        make_specimen(SMALL, spacing=(0.0, 0.5, 0.5))
    with pytest.raises(UserError, match="no spacing"):
        specimen_from_dapi(specimen.dapi.replace(spacing=None))
    with pytest.raises(UserError, match="same field and of one shape"):
        specimen_from_dapi(specimen.dapi, specimen.labels.replace(data=np.ones((9, 9, 9), int)))
    with pytest.raises(UserError, match="at least 1"):
        result_of(write_specimens("unused", 0))


def test_varied_specimens_differ_in_kind_and_hold_more_of_what_is_rare():
    drawn = [find_difficulty("varied", seed) for seed in range(12)]
    assert len({d.radius for d in drawn}) == 12
    assert find_difficulty("varied", 3) == drawn[3]  # the seed alone decides
    assert min(d.mitotic for d in drawn) >= find_difficulty("medium").mitotic
    assert np.mean([d.look_alikes for d in drawn]) > 2 * find_difficulty("medium").look_alikes
    small, large = (make_specimen((16, 64, 64), seed, "varied") for seed in _extremes(drawn))
    assert _median_volume(small) < _median_volume(large)


def _extremes(drawn):
    radii = [d.radius for d in drawn]
    return int(np.argmin(radii)), int(np.argmax(radii))


def _median_volume(specimen):
    return float(np.median([n.volume for n in specimen.nuclei]))
