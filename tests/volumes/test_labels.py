"""Labels are told from images by metadata and values, never by a word in a path."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from napari_llcm.events import UserError
from napari_llcm.specimen import Specimen, make_specimen
from napari_llcm.volumes import Volume, labels_of, labels_told_by, read, write

pytestmark = pytest.mark.versions
SPACING = (0.8, 0.5, 0.5)


@pytest.fixture(scope="module")
def crowd() -> Specimen:
    """Nuclei of which some touch."""
    return make_specimen((24, 96, 96), 5, "hard")


def volume(data: np.ndarray, **fields: object) -> Volume:
    return Volume(data, **{"spacing": SPACING, **fields})


LABELS = {
    "numbers": lambda labels: labels,
    "floats": lambda labels: labels.astype(np.float32),
    "mask": lambda labels: (labels > 0).astype(np.uint8) * 255,
    "bool": lambda labels: labels > 0,
    "large numbers": lambda labels: labels.astype(np.int64) * 200_000_001,
    "-1 as background": lambda labels: labels.astype(np.int32) - (labels == 0),
    "kinds": lambda labels: np.where(labels > 0, labels % 2 + 1, 0).astype(np.uint8),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_told_by_their_values(crowd: Specimen, kind: str) -> None:
    assert labels_told_by(volume(LABELS[kind](crowd.labels.numpy()), name="DAPI")) == "values"


def test_images_are_no_labels_whatever_they_are_called(crowd: Specimen) -> None:
    rng = np.random.default_rng(0)
    light = ndimage.gaussian_filter((crowd.labels.numpy() > 0).astype(float), 2)
    dapi = crowd.dapi.numpy()
    images = {
        "as measured": dapi,
        "8 bit": (dapi / dapi.max() * 255).astype(np.uint8),
        "few photons": rng.poisson(0.3, light.shape).astype(np.uint8),
        "few photons in nuclei": rng.poisson(3 * light).astype(np.uint8),
        "smooth": (light * 255).astype(np.uint8),
        "smooth, of three values": (light * 2.9).astype(np.uint8),
        "saturated": np.clip(light * 800 - 200 + rng.normal(0, 9, light.shape), 0, 255).astype(
            "u1"
        ),
        "empty": np.zeros(light.shape, np.uint16),
    }
    for name, data in images.items():
        image = volume(data, name="label-free labels mask", source="/data/labels/label_free.tif")
        assert labels_told_by(image) is None, name


@pytest.mark.parametrize("name", ["found.ome.tif", "found.ome.zarr", "found.nii.gz"])
def test_what_is_written_as_labels_says_so(tmp_path: Path, name: str) -> None:
    empty = volume(np.zeros((4, 16, 16), np.uint16))  # of which the values tell nothing
    assert labels_told_by(read(write(tmp_path / name, empty, labels=True))) == "metadata"
    (tmp_path / "image").mkdir()
    assert labels_told_by(read(write(tmp_path / "image" / name, empty))) is None


def test_a_mask_counts_its_pieces_and_says_so(crowd: Specimen) -> None:
    mask = crowd.labels.numpy() > 0
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())[1:]
    found = labels_of(volume(mask.astype(np.uint8) * 255, name="mask"))
    assert found.dtype == np.uint32
    assert len(np.unique(found.numpy())) - 1 == (sizes >= 0.05 * np.median(sizes)).sum() > 5
    assert "mask has one number" in found.notes[0]
    one = labels_of(volume((pieces == 1).astype(np.uint8)))
    assert one.numpy().max() == 1
    assert "one nucleus" in one.notes[0]


def test_large_numbers_take_no_memory(crowd: Specimen) -> None:
    labels = crowd.labels.numpy()
    sparse = volume(labels.astype(np.int64) * 200_000_001, name="sparse")
    tracemalloc.start()
    found = labels_of(sparse)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found.numpy(), labels)
    assert most < 20 * labels.nbytes
    assert "numbered anew" in found.notes[0]


def test_numbers_below_0_are_background_and_told(crowd: Specimen) -> None:
    found = labels_of(volume(LABELS["-1 as background"](crowd.labels.numpy())))
    np.testing.assert_array_equal(found.numpy(), crowd.labels.numpy())
    assert "below 0" in found.notes[0]


def test_labels_as_they_should_be_are_left_alone(crowd: Specimen) -> None:
    for data in (crowd.labels.numpy(), crowd.labels.numpy().astype(np.float32)):
        found = labels_of(volume(data))
        np.testing.assert_array_equal(found.numpy(), crowd.labels.numpy())
        assert found.notes == ()
    assert labels_of(volume(np.zeros((2, 4, 4), np.uint8))).numpy().max() == 0


def test_an_image_that_is_given_as_labels_is_told(crowd: Specimen) -> None:
    assert "looks like an image" in labels_of(volume(crowd.dapi.numpy())).notes[0]
    for wrong in (np.full((2, 4, 4), 0.5), np.full((2, 4, 4), np.nan)):
        with pytest.raises(UserError, match="whole numbers"):
            labels_of(volume(wrong))
