"""A stack whose nuclei are wider or narrower than the model's is brought to the model's size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_llcm.events import Notice, Tile, UserError, result_of
from napari_llcm.models import ModelBundle, load_model
from napari_llcm.specimen import make_specimen
from napari_llcm.staining import Stainer, Tiling
from napari_llcm.volumes import Volume, read
from stains import difference, make_volume, run, stained, staining

SPACING = (0.5, 0.25, 0.25)


@pytest.fixture(scope="module")
def sized(model: ModelBundle) -> ModelBundle:
    """The test model, whose nuclei are 32 voxels wide."""
    return replace(model, info=model.info.model_copy(update={"nucleus_um": 8.0}))


def said(volume: Volume, model: ModelBundle, **options: Any) -> list[Notice]:
    return [e for e in run(staining(volume, model, **options))[1] if isinstance(e, Notice)]


@pytest.mark.parametrize("width", [4.0, 12.0])
def test_nuclei_of_any_width_are_stained_as_if_the_voxels_made_up_for_it(
    sized: ModelBundle, width: float
) -> None:
    """To the network, nuclei half as wide are nuclei under voxels twice as large."""
    stack = make_volume((10, 50, 60), SPACING)
    alike = stack.replace(spacing=tuple(s * 8.0 / width for s in SPACING))
    by_voxels, by_width = stained(alike, sized), stained(stack, sized, nucleus_um=width)
    assert by_width.shape == stack.shape
    assert difference(by_width, by_voxels) < 1e-5
    assert difference(by_width, stained(stack, sized)) > 0.1


def test_a_width_in_pixels_says_nothing_of_z(sized: ModelBundle) -> None:
    """Few planes of wide nuclei reach the network as they are, however wide the nuclei."""
    from napari_llcm.models.nucleus_width import seen_spacing

    stack = make_volume((6, 64, 64), None)
    result = result_of(staining(stack, sized, nucleus_um=64.0))
    assert result.metadata["resampled_by"] == (1.0, 2.0, 2.0)
    assert seen_spacing(result, sized.info) == (0.5, 0.125, 0.125)
    in_plane_alone = stained(stack.replace(spacing=(0.5, 0.125, 0.125)), sized)
    assert difference(result.numpy(), in_plane_alone) < 1e-5
    for width, plane in ((64.0, "each plane is resampled 2 to 1"), (32.0, "as wide as those")):
        (told,) = said(stack, sized, nucleus_um=width)
        assert plane in told.text
        assert "planes are taken as they are" in told.text


@pytest.mark.parametrize("width", [5.0, 11.0])
def test_tiles_make_no_difference(sized: ModelBundle, width: float) -> None:
    volume = make_volume((14, 60, 50), (0.7, 0.2, 0.31))
    whole = stained(volume, sized, nucleus_um=width, tiling=Tiling((1000,) * 3, (1000,) * 3))
    small = Tiling(tile=(6, 16, 20), block=(8, 32, 48))
    assert difference(stained(volume, sized, nucleus_um=width, tiling=small), whole) < 1e-4


def test_the_width_is_told_and_kept_with_the_result(sized: ModelBundle) -> None:
    volume = make_volume((6, 40, 40), SPACING)
    result = run(staining(volume, sized, nucleus_um=4.0))[0].value
    assert result.metadata["nucleus_um"] == 4.0
    assert result.metadata["resampled_by"] == (0.5, 0.5, 0.5)
    (narrow,) = said(volume, sized, nucleus_um=4.0)
    assert "4 µm wide: it is resampled to voxels of 0.25 × 0.125" in narrow.text
    (alike,) = said(volume, sized, nucleus_um=8.1)
    assert "as wide as those that the model knows" in alike.text
    (pixels,) = said(volume.replace(spacing=None), sized, nucleus_um=16)
    assert "16 pixels wide" in pixels.text
    coarse = said(volume.replace(spacing=(5.0, 0.25, 0.25)), sized, nucleus_um=8.0)
    assert [n.warning for n in coarse] == [False, True]
    assert "nucleus_um" not in run(staining(volume, sized))[0].value.metadata


def test_a_width_that_cannot_be_is_refused_in_a_sentence(
    model: ModelBundle, sized: ModelBundle
) -> None:
    volume = make_volume((6, 40, 40), SPACING)
    with pytest.raises(UserError, match="does not tell how wide"):
        run(staining(volume, model, nucleus_um=8.0))
    with pytest.raises(UserError, match=r"2\.0 pixels wide in cells"):
        run(staining(volume, sized, nucleus_um=0.5))
    with pytest.raises(UserError, match="wider than the planes"):
        run(staining(volume, sized, nucleus_um=80.0))
    with pytest.raises(UserError, match="too coarse"):
        run(staining(volume.replace(spacing=(9.0, 0.25, 0.25)), sized, nucleus_um=8.0))
    with pytest.raises(UserError, match="nucleus_um"):
        Stainer(model).stain(volume, nucleus_um=-1)


def test_a_killed_job_goes_on_with_the_same_width_alone(sized: ModelBundle, tmp_path: Path) -> None:
    volume, out = make_volume((8, 64, 64), SPACING), tmp_path / "out.ome.zarr"
    tiling = Tiling((8, 16, 16), (8, 32, 32))

    def broken_off(width: float) -> None:
        job = staining(volume, sized, out=out, tiling=tiling, nucleus_um=width)
        while not isinstance(next(job), Tile):
            pass
        job.close()

    broken_off(10.0)
    again = said(volume, sized, out=out, tiling=tiling, nucleus_um=10.0)
    assert "Going on" in again[0].text
    whole = stained(volume, sized, nucleus_um=10.0)
    assert difference(read(out).numpy(), whole) < 1e-4
    out = tmp_path / "other.ome.zarr"
    broken_off(10.0)
    assert "anew" in said(volume, sized, out=out, tiling=tiling, nucleus_um=12.0)[0].text


def test_the_shipped_model_sees_nuclei_of_half_the_width_by_their_width() -> None:
    """The phase of a usual specimen, declared to be of half the size in every direction."""
    specimen = make_specimen(size=(16, 80, 80), seed=9_700_001, difficulty="easy")
    half = specimen.qpi.replace(spacing=(0.4, 0.25, 0.25))
    shipped, truth = Stainer(load_model("specimen-v6"), "cpu"), specimen.dapi.numpy().ravel()

    def likeness(**options: Any) -> float:
        return float(np.corrcoef(shipped.stain(half, **options).numpy().ravel(), truth)[0, 1])

    assert likeness(nucleus_um=3.8) > 0.9
    assert likeness() < 0.8


def test_other_views_of_a_stain_are_of_its_width(sized: ModelBundle) -> None:
    from napari_llcm.models.nucleus_width import seen_spacing

    stain = result_of(staining(make_volume((6, 40, 40), SPACING), sized, nucleus_um=4.0))
    assert seen_spacing(stain, sized.info) == (1.0, 0.5, 0.5)
    plain = result_of(staining(make_volume((6, 40, 40), SPACING), sized))
    assert seen_spacing(plain, sized.info) is None
