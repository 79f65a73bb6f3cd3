"""A truth that is one plane: the stain's projection is compared with it in 2D, and it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flat_fields import flat_folder, plane_of
from napari_llcm.events import Notice, UserError, result_of
from napari_llcm.nuclei import Comparison, compare_nuclei, pool
from napari_llcm.specimen import Specimen, make_specimen
from napari_llcm.volumes import Volume, check_registration, find_pairs
from napari_llcm.volumes.flat import as_flat, is_flat, project


@pytest.fixture(scope="module")
def field() -> Specimen:
    """About 10 nuclei."""
    return make_specimen(size=(20, 128, 128), seed=4, difficulty="easy")


def compare(truth: Volume, stain: Volume, **settings: Any) -> Comparison:
    result = result_of(compare_nuclei(truth, stain, **({"segmenter": "classical"} | settings)))
    assert isinstance(result, Comparison)
    return result


@pytest.mark.parametrize("how", ["max", "mean", "focus"])
def test_a_projection_is_found_in_the_stack_that_it_is_of(field: Specimen, how: Any) -> None:
    found = compare(plane_of(field.dapi, how), field.dapi, projection=how)
    assert found.counts.f1 == 1.0
    assert found.counts.truth > 4
    assert found.stain_labels.shape == (1, 128, 128)
    assert found.settings["projection"] == how
    row = found.table[0]
    assert row["depth"] is None
    assert (row["z"] is None) == (how != "focus")  # of a projection nobody knows the plane
    width = 2 * np.sqrt(row["volume"] / np.pi)
    assert 3 < width < 15  # an area in µm², whatever the distance of the planes


def test_planes_are_segmented_in_2d_by_cellpose(field: Specimen) -> None:
    found = compare(plane_of(field.dapi), field.dapi, segmenter="cellpose")
    assert found.counts.f1 == 1.0
    classical = compare(plane_of(field.dapi), field.dapi)
    assert found.counts.truth == pytest.approx(classical.counts.truth, rel=0.3)


def test_which_projection_was_taken_is_said_everywhere(field: Specimen) -> None:
    events = list(compare_nuclei(plane_of(field.dapi), field.dapi, segmenter="classical"))
    said = " ".join(event.text for event in events if isinstance(event, Notice))
    assert "one plane" in said
    assert "maximum projection of DAPI" in said
    assert any("one plane" in text for text in events[-1].value.settings["notices"])  # type: ignore[union-attr]


def test_a_shifted_plane_is_told(field: Specimen) -> None:
    job = compare_nuclei(plane_of(field.dapi, by=(6, 0)), field.dapi, segmenter="classical")
    events = list(job)
    said = [e.text for e in events if isinstance(e, Notice) and "shifted" in e.text]
    assert len(said) == 1
    assert "-6." in said[0] or "-5.9" in said[0]
    right = compare_nuclei(plane_of(field.dapi), field.dapi, segmenter="classical")
    assert not [e for e in right if isinstance(e, Notice) and "shifted" in e.text]


def test_what_does_not_fit_is_refused_in_one_sentence(field: Specimen) -> None:
    small = Volume(np.zeros((64, 128), np.uint16), axes="yx", name="small")
    with pytest.raises(UserError, match="128 × 128 pixels, but small has 64 × 128"):
        compare(small, field.dapi)
    plane = plane_of(field.dapi)
    with pytest.raises(UserError, match="2D image"):
        compare(plane, plane)  # there is nothing to project
    with pytest.raises(UserError):
        compare(field.dapi, plane)


def test_labels_of_a_plane_are_taken_as_they_are(field: Specimen) -> None:
    images = compare(plane_of(field.dapi), field.dapi)
    labels = Volume(images.truth_labels.numpy()[0], field.dapi.spacing, axes="yx", name="labels")
    found = compare(labels, field.dapi, truth_is_labels=True)
    assert found.counts.truth == images.counts.truth
    assert found.counts.f1 > 0.95
    stack = Volume(field.labels.numpy(), field.dapi.spacing, name="stack of labels")
    both = compare(labels, stack, truth_is_labels=True, stain_is_labels=True)
    assert both.counts.f1 > 0.7


def test_projections_leave_out_what_holds_no_data() -> None:
    rng = np.random.default_rng(0)
    data = rng.random((5, 40, 40), np.float32)
    data[2] = 7  # a dead plane
    data[:, :10, :10] = np.nan
    flat = project(Volume(data), "max")
    assert np.isnan(flat.numpy()[0, :10, :10]).all()
    assert float(np.nanmax(flat.numpy())) <= 1
    data[3, 20:] *= 100  # the plane with the largest contrast
    assert project(Volume(data), "focus").metadata["plane"] == 3


def test_a_flat_pair_is_read_as_one(field: Specimen, tmp_path: Path) -> None:
    (pair,) = find_pairs(flat_folder(tmp_path, field))
    qpi, dapi, labels = pair.read(flat=True)
    assert qpi.shape == (20, 128, 128)
    assert dapi.shape == (1, 128, 128)
    assert is_flat(dapi)
    assert labels is None
    assert dapi.spacing == qpi.spacing == field.qpi.spacing
    with pytest.raises(UserError, match="is one plane"):
        pair.read()  # a job that needs a stack


def test_registration_of_a_flat_pair(field: Specimen) -> None:
    large = make_specimen(size=(16, 192, 192), seed=5, difficulty="easy")
    lies = check_registration(large.qpi, as_flat(plane_of(large.dapi)))
    assert lies.verdict == "registered"
    moved = check_registration(large.qpi, as_flat(plane_of(large.dapi, by=(6, -4))))
    assert moved.verdict == "shifted"
    assert moved.shift == pytest.approx((0, -6, 4), abs=1)
    by_stain = check_registration(
        field.qpi, as_flat(plane_of(field.dapi, by=(6, -4))), stain=field.dapi
    )
    assert by_stain.shift == pytest.approx((0, -6, 4), abs=0.5)


def test_flat_and_full_fields_are_pooled_with_a_word(field: Specimen) -> None:
    full, flat = compare(field.dapi, field.dapi), compare(plane_of(field.dapi), field.dapi)
    pooled = pool([full, flat])
    assert pooled["flat"] == 1
    assert pooled["truth_nuclei"] == full.counts.truth + flat.counts.truth
    assert pooled["strata"] == {}
